//! So many signatures a second, and no caller's flood before another's single one.
//!
//! KMS counts an account's requests, ours and everybody else's, and refuses what is too much. Below
//! that quota we wait for our turn: each caller has a line of their own, and the lines take turns. Who
//! would not come to their turn in time is told at once, with the time that it takes: before their
//! intent, for that is when they take their place. Nobody is sent away who has one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::custody::CustodyError;
use crate::custody::turn::Told;
use crate::id::CallerId;
use crate::metrics::Counter;
use crate::turns::Turns;

/// The longest pause after KMS said that it was too much.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Tell = oneshot::Sender<Result<(), CustodyError>>;
/// So often in a row KMS said that it was too much, and newcomers are told so.
const TOO_MUCH: u32 = 4;

/// The pace of one kind of key.
pub(super) struct Pace {
    interval: Duration,
    /// How far ahead of its time a turn may come: a burst after a quiet while.
    allowance: Duration,
    lines: Mutex<Lines>,
    /// How often KMS said that it was too much.
    throttled: Counter,
    /// Held by the one among those who wait that watches the clock for all.
    watch: tokio::sync::Mutex<()>,
}

struct Lines {
    /// When the next turn is due.
    next: Instant,
    /// How often in a row KMS said that it was too much.
    slowed: u32,
    /// Who waits.
    turns: Turns<CallerId, Tell>,
}

impl Pace {
    pub(super) fn new(per_second: u32, queue: usize) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            allowance: interval * (per_second / 10),
            throttled: Counter::new(),
            lines: Mutex::new(Lines {
                next: Instant::now(),
                slowed: 0,
                turns: Turns::new(queue),
            }),
            watch: tokio::sync::Mutex::new(()),
        }
    }

    /// Takes a place in this caller's line, or says at once that none comes to its turn before
    /// `deadline`. It is given back by dropping it.
    pub(super) fn reserve(
        &self,
        caller: CallerId,
        deadline: Instant,
    ) -> Result<Told, CustodyError> {
        let place = self.join(caller, deadline, Instant::now())?;
        Ok(place.unwrap_or_else(|| {
            let (tell, told) = oneshot::channel();
            drop(tell.send(Ok(())));
            told
        }))
    }

    /// Waits for a turn of this caller's, or says at once that there is none before `deadline`.
    pub(super) async fn turn(
        &self,
        caller: CallerId,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let told = self.reserve(caller, deadline)?;
        self.redeem(told, deadline).await
    }

    /// Waits for another turn, in front of this caller's line: for one that has an intent and whom KMS
    /// turned away.
    pub(super) async fn turn_again(
        &self,
        caller: CallerId,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let (tell, told) = oneshot::channel();
        self.lock().turns.push_front(caller, tell, 1);
        self.redeem(told, deadline).await
    }

    /// Waits for the turn of a place.
    pub(super) async fn redeem(
        &self,
        mut told: Told,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let throttled = || CustodyError::Throttled {
            retry_after: LONGEST_PAUSE,
        };
        let wait = async {
            let watching = tokio::select! {
                biased;
                turn = &mut told => return turn.unwrap_or_else(|_| Err(throttled())),
                watching = self.watch.lock() => watching,
            };
            loop {
                let next = self.advance(Instant::now());
                if let Ok(turn) = told.try_recv() {
                    drop(watching);
                    return turn;
                }
                sleep_until(next).await;
            }
        };
        timeout_at(deadline, wait).await.unwrap_or(Err(throttled()))
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.lock().turns.waiting()
    }

    /// How often KMS said that it was too much.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.value()
    }

    /// KMS says that it is too much: everybody waits a while.
    pub(super) fn slow_down(&self) {
        self.throttled.count();
        let mut lines = self.lock();
        let pause = Duration::from_millis(50) * 2_u32.saturating_pow(lines.slowed.min(5));
        lines.slowed += 1;
        // Many are turned away at once, and they do not each add a pause.
        lines.next = lines.next.max(Instant::now() + pause.min(LONGEST_PAUSE));
    }

    /// KMS takes what it is given.
    pub(super) fn go_on(&self) {
        self.lock().slowed = 0;
    }

    /// Joins the line, unless there is none. `None`: it is this one's turn already.
    fn join(
        &self,
        caller: CallerId,
        deadline: Instant,
        now: Instant,
    ) -> Result<Option<Told>, CustodyError> {
        let mut lines = self.lock();
        if lines.turns.is_empty() && self.take(&mut lines, now) {
            return Ok(None);
        }
        if !lines.turns.has_room(caller) {
            lines.turns.retain(|tell| !tell.is_closed()); // who hung up takes nobody's place
        }
        let ahead = lines.turns.ahead_of(caller);
        let wait = lines.next.saturating_duration_since(now)
            + self.interval * u32::try_from(ahead).unwrap_or(u32::MAX);
        let throttled = CustodyError::Throttled { retry_after: wait };
        let is_full = !lines.turns.has_room(caller);
        let is_too_much = lines.slowed >= TOO_MUCH && lines.next > now;
        if now + wait > deadline || is_full || is_too_much {
            return Err(throttled);
        }
        let (tell, told) = oneshot::channel();
        lines.turns.push(caller, tell, 1);
        Ok(Some(told))
    }

    /// Gives out the turns that are due; says when the next one is.
    fn advance(&self, now: Instant) -> Instant {
        let mut lines = self.lock();
        while lines.next <= now
            && let Some((_, tell)) = lines.turns.pop()
        {
            // Who is gone leaves their turn to another.
            if tell.send(Ok(())).is_ok() {
                self.take(&mut lines, now);
            }
        }
        lines.next
    }

    /// Takes a turn, if one is due.
    fn take(&self, lines: &mut Lines, now: Instant) -> bool {
        if lines.next > now {
            return false;
        }
        let earliest = now.checked_sub(self.allowance).unwrap_or(now);
        lines.next = lines.next.max(earliest) + self.interval;
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    /// A pace whose time is ours, and its beginning.
    fn pace(per_second: u32, queue: usize) -> (Pace, Instant) {
        let pace = Pace::new(per_second, queue);
        let start = pace.lock().next;
        (pace, start)
    }

    /// When each of these came to its turn, in milliseconds: the clock ticks from `start`.
    fn served(pace: &Pace, start: Instant, turns: &mut [Option<Told>]) -> Vec<Option<u64>> {
        let mut at = vec![None; turns.len()];
        for ms in 0..2_000 {
            pace.advance(start + Duration::from_millis(ms));
            for (turn, at) in turns.iter_mut().zip(&mut at) {
                match turn.as_mut().map(oneshot::Receiver::try_recv) {
                    None if at.is_none() => *at = Some(0), // it was its turn at once
                    Some(Ok(Ok(()))) => *at = Some(ms),
                    _ => {}
                }
            }
        }
        at
    }

    #[test]
    fn turns_come_at_their_pace_after_a_burst() {
        let (pace, start) = pace(100, 1_000);
        let caller = CallerId::new();
        let join = |now| pace.join(caller, now + SOON, now).unwrap();
        let mut turns: Vec<_> = (0..60).map(|_| join(start)).collect();
        let at = served(&pace, start, &mut turns);
        assert_eq!((at[0], at[1], at[59]), (Some(0), Some(10), Some(590)));
        let later = start + Duration::from_mins(1);
        let at_once = (0..60).take_while(|_| join(later).is_none()).count();
        assert_eq!(at_once, 11, "a tenth of a second's, and its own");
    }

    #[test]
    fn a_flood_of_one_caller_does_not_delay_another() {
        let (pace, start) = pace(100, 1_000);
        let (flood, one) = (CallerId::new(), CallerId::new());
        let join = |caller| pace.join(caller, start + SOON, start).unwrap();
        let _floods: Vec<_> = (0..90).map(|_| join(flood)).collect();
        let mut ones: Vec<_> = (0..5).map(|_| join(one)).collect();
        let at = served(&pace, start, &mut ones);
        assert_eq!(
            at.last().unwrap().unwrap(),
            100,
            "every second turn is theirs"
        );
    }

    #[test]
    fn what_would_come_too_late_is_refused_at_once_and_says_when() {
        let (pace, start) = pace(10, 1_000);
        let caller = CallerId::new();
        let join = || pace.join(caller, start + SOON, start);
        let mut turns = vec![join().unwrap()];
        let refused = loop {
            match join() {
                Ok(turn) => turns.push(turn),
                Err(CustodyError::Throttled { retry_after }) => break retry_after,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(refused > SOON && refused < 2 * SOON, "{refused:?}");
        let at = served(&pace, start, &mut turns);
        let last = at.iter().map(|at| at.expect("it came in time")).max();
        assert_eq!(last, Some(1_000));
    }

    #[test]
    fn a_full_queue_has_room_for_whom_has_less_and_sends_nobody_away() {
        let (pace, start) = pace(10, 4);
        let (flood, one) = (CallerId::new(), CallerId::new());
        let join = |caller| pace.join(caller, start + SOON, start);
        let mut turns: Vec<_> = (0..5).map(|_| join(flood).unwrap()).collect();
        assert!(join(flood).is_err(), "the queue is full");
        turns.push(join(one).unwrap());
        assert!(join(flood).is_err(), "and still is");
        let at = served(&pace, start, &mut turns);
        assert_eq!(at[5], Some(200), "the second turn from now is theirs");
        assert_eq!(at[4], Some(500), "who was there before is served as well");
    }

    #[test]
    fn who_was_turned_away_stands_in_front_and_newcomers_are_told_early() {
        let (pace, start) = pace(10, 4);
        let caller = CallerId::new();
        let join = || pace.join(caller, start + SOON, start);
        assert!(join().unwrap().is_none());
        let (tell, told) = oneshot::channel();
        let mut turns = [join().unwrap(), Some(told)];
        pace.lock().turns.push_front(caller, tell, 1);
        let at = served(&pace, start, &mut turns);
        assert_eq!(at, [Some(200), Some(100)]);
        for _ in 0..TOO_MUCH {
            pace.slow_down();
        }
        let soon = Instant::now();
        let told = pace.join(caller, soon + 60 * SOON, soon);
        assert!(
            matches!(told, Err(CustodyError::Throttled { .. })),
            "{told:?}"
        );
        pace.go_on();
        assert!(pace.join(caller, soon + 60 * SOON, soon).is_ok());
    }

    #[test]
    fn who_hangs_up_takes_nobodys_turn() {
        let (pace, start) = pace(10, 1_000);
        let (gone, here) = (CallerId::new(), CallerId::new());
        let join = |caller| pace.join(caller, start + SOON, start).unwrap();
        join(here);
        for _ in 0..5 {
            drop(join(gone));
        }
        let at = served(&pace, start, &mut [join(here)]);
        assert_eq!(at, [Some(100)]);
        assert!(pace.lock().turns.is_empty());
    }

    #[test]
    fn too_much_makes_all_wait_longer_each_time() {
        let (pace, start) = pace(100, 1_000);
        pace.slow_down();
        let first = pace.lock().next - start;
        pace.slow_down();
        let second = pace.lock().next - start;
        assert!(first >= Duration::from_millis(50) && second >= 2 * Duration::from_millis(50));
        pace.go_on();
        assert_eq!(pace.lock().slowed, 0);
    }

    #[tokio::test]
    async fn those_who_wait_watch_the_clock_for_each_other() {
        let pace = std::sync::Arc::new(Pace::new(1_000, 1_000));
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..200 {
            let pace = pace.clone();
            waiting.spawn(async move {
                let turn = pace.turn(CallerId::new(), Instant::now() + 20 * SOON);
                if number % 3 == 0 {
                    // The one that watches may be one that hangs up.
                    drop(tokio::time::timeout(Duration::from_millis(5), turn).await);
                } else {
                    turn.await.unwrap();
                }
            });
        }
        waiting.join_all().await;
        assert!(
            pace.join(CallerId::new(), Instant::now() + SOON, Instant::now())
                .is_ok()
        );
    }
}
