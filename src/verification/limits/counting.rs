//! How much was signed within a window, and at what pace.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::eras::{self, Eras};
use super::{CLOCKS_MS, Faults, HANDED_OUT_MS};
use crate::limits::{Counter, Limits, Scope, What};

/// What took longer is left out where the pace is judged: when it was counted is not known well enough.
const PROMPT_MS: i64 = 1_000;

/// Something that was counted, between these times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) index: u64,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) amount: i64,
}

/// How much a counter lets through within a window.
type Most = fn(&Counter) -> Option<i64>;

const WINDOWS: [(&str, i64, Most); 3] = [
    ("minute", 60_000, |it| it.minute),
    ("hour", 3_600_000, |it| it.hour),
    ("day", 86_400_000, |it| it.day),
];

/// Weighs all that one counter has counted.
pub(super) fn weigh(
    (scope, what): (Scope, What),
    mut all: Vec<Counted>,
    eras: &Eras,
    faults: &mut Faults,
) {
    let counter = |limits: &Limits| limits.counter(scope, what);
    let counts = |limits: &Limits| counter(limits).map(drop);
    // What may have come before the counter was there, or while it was away, is in none.
    all.retain(|it| eras::least(eras.around(it.from_ms, it.to_ms), counts).is_some());
    all.sort_by_key(|it| (it.to_ms, it.from_ms, it.index));
    for (of, window_ms, most) in WINDOWS {
        let bound = |it: &Counted| {
            let allowed = |limits: &Limits| most(&counter(limits)?);
            eras::most(eras.around(it.from_ms, it.to_ms), allowed)
        };
        for (it, sum) in sums(&all, window_ms) {
            if let Some(most) = bound(&it).filter(|most| sum > i128::from(*most)) {
                let limits = eras.around(it.from_ms, it.to_ms).first();
                let limits = limits.and_then(|era| era.limits.as_ref());
                let name = limits.and_then(counter).map_or("", |it| it.limit(of).0);
                let why = format!("{name} of {scope} is {most}, and {sum} were signed");
                faults.entry(it.index).or_insert(why);
            }
        }
    }
    pace(&all, (scope, what), eras, faults);
}

/// Each with the sum of all that was certainly counted by then, and no longer before it than the window is long.
/// Whichever of them came last, its own counter had the others in it.
fn sums(all: &[Counted], window_ms: i64) -> Vec<(Counted, i128)> {
    let (mut within, mut sum) = (BinaryHeap::new(), 0_i128);
    let mut sums = Vec::with_capacity(all.len());
    for it in all {
        within.push(Reverse((it.from_ms, it.amount)));
        sum += i128::from(it.amount);
        let since = it.to_ms - window_ms + 2 * CLOCKS_MS;
        while let Some(Reverse((from_ms, amount))) = within.peek()
            && *from_ms < since
        {
            sum -= i128::from(*amount);
            within.pop();
        }
        if it.from_ms >= since {
            sums.push((*it, sum));
        }
    }
    sums
}

/// An even pace, and so many at once (GCRA), in each era for itself.
fn pace(all: &[Counted], (scope, what): (Scope, What), eras: &Eras, faults: &mut Faults) {
    let stretch_ms = if what == What::AccessToken {
        HANDED_OUT_MS
    } else {
        PROMPT_MS
    };
    let leeway_us = i128::from(2 * CLOCKS_MS + stretch_ms) * 1_000;
    let mut all = all.to_vec();
    all.retain(|it| it.to_ms - it.from_ms <= stretch_ms);
    all.sort_by_key(|it| (it.from_ms, it.index));
    let (mut era_ms, mut paced_us) = (None, i128::MIN);
    for it in all {
        let [era] = eras.around(it.from_ms, it.to_ms) else {
            continue; // while the limits changed
        };
        let counter = era.limits.as_ref().and_then(|it| it.counter(scope, what));
        let paced = counter.and_then(|it| Some((it.every_us()?, it.burst()?, it.limit("pace"))));
        let Some((every_us, burst, (name, value))) = paced else {
            continue;
        };
        let now_us = i128::from(it.from_ms) * 1_000;
        if era_ms != Some(era.at_ms) {
            (era_ms, paced_us) = (Some(era.at_ms), now_us);
        }
        let due_us = paced_us.max(now_us) + i128::from(every_us);
        if due_us > now_us + i128::from(burst * every_us) + leeway_us {
            let why = format!("{name} of {scope} is {value}, and more were signed");
            faults.entry(it.index).or_insert(why);
        } else {
            paced_us = due_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, amount: i64) -> Counted {
        Counted {
            index: 0,
            from_ms: seconds * 1_000,
            to_ms: seconds * 1_000 + 50,
            amount,
        }
    }

    #[test]
    fn a_window_has_what_is_certainly_within_it() {
        let all = [at(0, 1), at(10, 2), at(39, 4), at(40, 8), at(60, 16)];
        let of = |window_ms| -> Vec<_> {
            let sums = sums(&all, window_ms);
            sums.into_iter().map(|(_, sum)| sum).collect()
        };
        // 60 seconds, less 20 for clocks that differ.
        assert_eq!(of(60_000), [1, 3, 7, 14, 28]);
        assert_eq!(of(3_600_000), [1, 3, 7, 15, 31]);
        let slow = Counted {
            from_ms: 0,
            ..at(45, 1)
        };
        assert!(sums(&[slow], 60_000).is_empty(), "it began too long before");
    }
}
