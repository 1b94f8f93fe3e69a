//! How things are spread: how many were at most so long, or so many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Counter;

/// Microseconds.
const TIMES: [u64; 16] = [
    250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

const ROWS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The bound of the last bucket, which takes the rest.
const BEYOND: f64 = f64::INFINITY;

/// What is spread.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Microseconds,
    Rows,
}

impl Unit {
    fn bounds(self) -> &'static [u64] {
        match self {
            Self::Microseconds => &TIMES,
            Self::Rows => &ROWS,
        }
    }

    /// As Prometheus wants it: in seconds, or as it is.
    fn base(self, value: u64) -> f64 {
        match self {
            Self::Microseconds => Duration::from_micros(value).as_secs_f64(),
            Self::Rows => Duration::from_secs(value).as_secs_f64(),
        }
    }
}

/// A histogram without a lock. What is read of it while it is written may be short of the last observation.
#[derive(Debug)]
pub struct Histogram {
    unit: Unit,
    /// For each bound, and beyond.
    buckets: [Counter; TIMES.len() + 1],
    sum: AtomicU64,
}

/// What a histogram says at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// All that was observed, together.
    pub sum: f64,
    /// How many observations there were.
    pub count: u64,
    /// The bound of each bucket, and how many observations are in it and in none before.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    const fn new(unit: Unit) -> Self {
        Self {
            unit,
            buckets: [const { Counter::new() }; TIMES.len() + 1],
            sum: AtomicU64::new(0),
        }
    }

    /// Of how long things take.
    pub const fn of_time() -> Self {
        Self::new(Unit::Microseconds)
    }

    /// Of how many rows there are.
    pub const fn of_rows() -> Self {
        Self::new(Unit::Rows)
    }

    /// Something took so long.
    pub fn took(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// There was so much.
    pub fn observe(&self, value: u64) {
        let bounds = self.unit.bounds();
        let place = bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.count();
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What it says now.
    pub fn spread(&self) -> Spread {
        let bounds = self.unit.bounds().iter().map(|it| self.unit.base(*it));
        let counts = self.buckets.iter().map(Counter::value);
        let buckets: Vec<_> = bounds.chain([BEYOND]).zip(counts).collect();
        Spread {
            sum: self.unit.base(self.sum.load(Ordering::Relaxed)),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests;
