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
mod tests;
