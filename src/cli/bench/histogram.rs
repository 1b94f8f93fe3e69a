//! Counts of times, kept finely enough: none is off by more than one part in 128.

use std::time::Duration;

/// Each power of two is cut into so many parts: two to the power of this.
const FINE: u32 = 7;

/// How often which time was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    longest: Duration,
}

impl Histogram {
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut all = Self::default();
        for time in times {
            all.record(time);
        }
        all
    }

    pub(super) fn record(&mut self, time: Duration) {
        let place = place(nanoseconds(time));
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that so many in ten thousand did not exceed; 5,000 is the median.
    pub(super) fn within(&self, of_ten_thousand: u64) -> Duration {
        let rank = (self.count * of_ten_thousand).div_ceil(10_000).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(last(place)).min(self.longest);
            }
        }
        self.longest
    }

    pub(super) fn p50(&self) -> Duration {
        self.within(5_000)
    }

    pub(super) fn p99(&self) -> Duration {
        self.within(9_900)
    }

    /// The times that occurred, each with how often, in order.
    pub(super) fn times(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.counts.iter().copied().enumerate();
        counts
            .filter(|(_, count)| *count > 0)
            .map(|(place, count)| (Duration::from_nanos(last(place)).min(self.longest), count))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The leading bits of a number, and how many follow them.
fn place(number: u64) -> usize {
    let follow = (u64::BITS - number.leading_zeros()).saturating_sub(FINE + 1);
    ((follow as usize) << FINE) + usize::try_from(number >> follow).unwrap_or(usize::MAX)
}

/// The largest number of a place.
fn last(place: usize) -> u64 {
    let parts = 1 << FINE;
    if place < 2 * parts {
        return place as u64;
    }
    let follow = place / parts - 1;
    let leading = (place - follow * parts) as u64;
    (leading << follow) | ((1 << follow) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_kept_within_one_part_in_128() {
        let numbers = (0..64).flat_map(|power| {
            let near = [0_u64, 1, 2, 3, 5, 77];
            near.map(|more| (1_u64 << power).saturating_add(more << power.min(57)))
        });
        let mut before = (0, 0);
        let mut sorted: Vec<u64> = numbers.chain(0..1000).collect();
        sorted.sort_unstable();
        for number in sorted {
            let (place, last) = (place(number), last(place(number)));
            assert!(last >= number, "{number} in {place}, which ends at {last}");
            assert!(last - number <= number / 128, "{number}: {last}");
            assert!((place, last) >= before, "{number}");
            before = (place, last);
        }
        assert_eq!(last(place(u64::MAX)), u64::MAX);
    }

    #[test]
    fn a_percentile_is_the_time_that_so_many_did_not_exceed() {
        let all = Histogram::of((1..=1000).map(Duration::from_micros));
        let near = |time: Duration, micros: u64| {
            let wanted = Duration::from_micros(micros);
            assert!(time >= wanted && time <= wanted + wanted / 128, "{time:?}");
        };
        near(all.p50(), 500);
        near(all.p99(), 990);
        near(all.within(9_999), 1000);
        assert_eq!(all.within(10_000), Duration::from_millis(1));
        assert_eq!(all.longest(), Duration::from_millis(1));
        assert_eq!(all.times().map(|(_, count)| count).sum::<u64>(), 1000);
        assert_eq!(Histogram::default().p99(), Duration::ZERO);
    }
}
