//! One line for each caller, and the lines take turns.
//!
//! It promises that who sends much waits behind themselves and nobody else (P11): of two callers who
//! both wait, neither gets more than the other by more than one thing of each; what one caller sent
//! keeps its order; and a full queue still has room for those who have less in it. It is plain data:
//! who waits how, and on what, is told by those who use it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Things that wait, a line of them for each `K`.
#[derive(Debug)]
pub struct Turns<K, T> {
    capacity: u64,
    lines: BTreeMap<K, Line<T>>,
    /// The lines that are not empty: the one that has had least comes next, of equals the one that has
    /// waited longest.
    order: BTreeSet<(u64, u64, K)>,
    /// What the line that came last had had by then. Nobody saves up more than that by being away.
    had: u64,
    /// Numbers those who begin to wait.
    since: u64,
    waiting: u64,
}

/// Things, and how much each of them is.
type Weighed<T> = VecDeque<(T, u64)>;

/// What one caller waits for.
#[derive(Debug)]
struct Line<T> {
    things: Weighed<T>,
    waiting: u64,
    had: u64,
    since: u64,
}

impl<K: Copy + Ord, T> Turns<K, T> {
    /// Room for things that are so much together, and as much again for those who have less in it than
    /// others.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: u64::try_from(capacity).unwrap_or(u64::MAX / 2),
            lines: BTreeMap::new(),
            order: BTreeSet::new(),
            had: 0,
            since: 0,
            waiting: 0,
        }
    }

    /// Whether one more of this caller's has room.
    pub fn has_room(&self, who: K) -> bool {
        self.has_room_within(who, self.capacity)
    }

    /// The same if there were no more room than this.
    pub fn has_room_within(&self, who: K, capacity: u64) -> bool {
        let own = self.lines.get(&who).map_or(0, |line| line.waiting);
        let has_less = || self.lines.values().any(|line| line.waiting > own + 1);
        self.waiting < capacity || (self.waiting / 2 < capacity && has_less())
    }

    /// The room for things.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Puts a thing at the end of this caller's line. It counts as much as `weight`.
    pub fn push(&mut self, who: K, thing: T, weight: u64) {
        self.put(who, thing, weight, VecDeque::push_back);
    }

    /// Puts a thing in front of this caller's line.
    pub fn push_front(&mut self, who: K, thing: T, weight: u64) {
        self.put(who, thing, weight, VecDeque::push_front);
    }

    /// Takes the thing whose turn it is.
    pub fn pop(&mut self) -> Option<(K, T)> {
        let (had, _, who) = self.order.first().copied()?;
        self.had = had;
        self.pop_of(who).map(|thing| (who, thing))
    }

    /// Takes the first thing of this caller's, though it may be another's turn.
    pub fn pop_of(&mut self, who: K) -> Option<T> {
        let line = self.lines.get_mut(&who)?;
        let (thing, weight) = line.things.pop_front()?;
        self.order.remove(&(line.had, line.since, who));
        line.waiting -= weight;
        line.had = line.had.saturating_add(weight);
        self.waiting -= weight;
        if !line.things.is_empty() {
            self.since += 1;
            line.since = self.since;
            self.order.insert((line.had, line.since, who));
        }
        match self.order.first() {
            None => {
                self.lines.clear(); // nobody is there to whom anything could be unfair
                self.had = 0;
            }
            Some((had, _, _)) if self.lines.len() > 2 * self.order.len() + 64 => {
                let is_remembered = |line: &Line<T>| !line.things.is_empty() || line.had > *had;
                self.lines.retain(|_, line| is_remembered(line));
            }
            Some(_) => {}
        }
        Some(thing)
    }

    /// The thing whose turn it is, and whose it is.
    pub fn peek(&self) -> Option<(K, &T)> {
        let (_, _, who) = self.order.first()?;
        let (thing, _) = self.lines.get(who)?.things.front()?;
        Some((*who, thing))
    }

    /// Sends those away who are not wanted any more.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&T) -> bool) {
        for line in self.lines.values_mut() {
            line.things.retain(|(thing, _)| is_wanted(thing));
            line.waiting = line.things.iter().map(|(_, weight)| weight).sum();
        }
        let lines = &self.lines;
        self.order
            .retain(|(_, _, who)| lines.get(who).is_some_and(|it| !it.things.is_empty()));
        self.waiting = lines.values().map(|line| line.waiting).sum();
    }

    /// How much comes before one more thing of this caller's, if nobody else comes.
    pub fn ahead_of(&self, who: K) -> u64 {
        let own = self.lines.get(&who).map_or(0, |line| line.waiting);
        let others = self.lines.iter().filter(|(other, _)| **other != who);
        own + others
            .map(|(_, line)| line.waiting.min(own + 1))
            .sum::<u64>()
    }

    /// How much waits.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn put(&mut self, who: K, thing: T, weight: u64, at: fn(&mut Weighed<T>, (T, u64))) {
        let line = self.lines.entry(who).or_insert(Line {
            things: VecDeque::new(),
            waiting: 0,
            had: 0,
            since: 0,
        });
        if line.things.is_empty() {
            self.since += 1;
            line.since = self.since;
            line.had = line.had.max(self.had);
            self.order.insert((line.had, line.since, who));
        }
        at(&mut line.things, (thing, weight));
        line.waiting += weight;
        self.waiting += weight;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn names(turns: &mut Turns<char, u32>) -> String {
        std::iter::from_fn(|| turns.pop().map(|(who, _)| who)).collect()
    }

    #[test]
    fn lines_take_turns_and_each_keeps_its_order() {
        let mut turns = Turns::new(100);
        for thing in 0..4 {
            turns.push('a', thing, 1);
        }
        turns.push('b', 10, 1);
        turns.push('b', 11, 1);
        turns.push_front('b', 9, 1);
        assert_eq!(turns.peek(), Some(('a', &0)));
        let all: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        let expected = [
            ('a', 0),
            ('b', 9),
            ('a', 1),
            ('b', 10),
            ('a', 2),
            ('b', 11),
            ('a', 3),
        ];
        assert_eq!(all, expected);
        assert!(turns.is_empty());
    }

    #[test]
    fn a_batch_counts_as_what_is_in_it() {
        let mut turns = Turns::new(100);
        turns.push('a', 0, 4);
        turns.push('a', 1, 4);
        for thing in 0..6 {
            turns.push('b', thing, 1);
        }
        assert_eq!(names(&mut turns), "abbbbabb");
    }

    #[test]
    fn who_was_away_has_saved_nothing_and_who_had_much_does_not_forget_it() {
        let mut turns = Turns::new(100);
        for thing in 0..10 {
            turns.push('a', thing, 1);
        }
        for _ in 0..6 {
            turns.pop();
        }
        turns.push('b', 0, 8);
        for thing in 1..4 {
            turns.push('c', thing, 1);
        }
        let first: Vec<_> = (0..3).map(|_| turns.pop().unwrap().0).collect();
        assert_eq!(
            first,
            ['b', 'c', 'a'],
            "not all of theirs before the others"
        );
        turns.push('b', 1, 8); // gone and back, and no newcomer
        assert_eq!(names(&mut turns), "cacaab");
    }

    #[test]
    fn a_full_queue_has_room_for_whom_has_less() {
        let mut turns = Turns::new(4);
        while turns.has_room('a') {
            turns.push('a', 0, 1);
        }
        assert_eq!(turns.waiting(), 4);
        while turns.has_room('b') {
            turns.push('b', 0, 1);
        }
        assert_eq!(turns.waiting(), 7, "as many as the first but one");
        assert!(turns.has_room('c'));
        turns.push('c', 0, 1);
        assert!(!turns.has_room('d'), "twice as much is enough");
    }

    #[test]
    fn those_who_are_gone_take_nobodys_turn() {
        let mut turns = Turns::new(100);
        for thing in 0..5 {
            turns.push('a', thing, 1);
            turns.push('b', thing + 10, 1);
        }
        assert_eq!(turns.ahead_of('a'), 10);
        assert_eq!(turns.ahead_of('c'), 2);
        turns.retain(|thing| *thing >= 14);
        assert_eq!((turns.waiting(), turns.ahead_of('a')), (1, 1));
        assert_eq!(names(&mut turns), "b");
    }

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) % end
        }
    }

    /// Of two who both wait, neither has got more than the other by more than the largest of each.
    #[test]
    fn whatever_comes_nothing_is_lost_and_nobody_is_passed_over() {
        const LARGEST: u64 = 100;
        for seed in 1..200 {
            let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
            let mut turns: Turns<u64, (u64, u64)> = Turns::new(10_000);
            let mut sent: HashMap<u64, VecDeque<(u64, u64)>> = HashMap::new();
            // What each pair has got while both waited.
            let mut got: HashMap<(u64, u64), (u64, u64)> = HashMap::new();
            for number in 0..2_000 {
                if dice.below(100) < 52 {
                    let who = dice.below(5);
                    let weight = if who < 2 { 1 + dice.below(LARGEST) } else { 1 };
                    turns.push(who, (number, weight), weight);
                    sent.entry(who).or_default().push_back((number, weight));
                } else if let Some((who, thing)) = turns.pop() {
                    let waits =
                        |it: u64| sent.get(&it).is_some_and(|line| !line.is_empty()) && it != who;
                    for other in (0..5).filter(|it| *it != who) {
                        let pair = (who.min(other), who.max(other));
                        if !waits(other) {
                            got.remove(&pair);
                            continue;
                        }
                        let both = got.entry(pair).or_default();
                        let mine = if who < other {
                            &mut both.0
                        } else {
                            &mut both.1
                        };
                        *mine += thing.1;
                        assert!(both.0.abs_diff(both.1) <= 2 * LARGEST, "{seed} {both:?}");
                    }
                    let line = sent.get_mut(&who).unwrap();
                    assert_eq!(line.pop_front(), Some(thing), "its order is kept");
                    if line.is_empty() {
                        got.retain(|pair, _| pair.0 != who && pair.1 != who);
                    }
                }
                let all = sent.values().flatten().map(|(_, weight)| weight);
                assert_eq!(turns.waiting(), all.sum::<u64>());
            }
            let left = sent.values().map(VecDeque::len).sum::<usize>();
            assert_eq!(std::iter::from_fn(|| turns.pop()).count(), left);
        }
    }
}
