//! The time, from one place that tests can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;

/// Tells the time. Cheap to clone; all clones of a fixed clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The computer's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `unix_ms`, milliseconds since 1970, until it is [`set`](Self::set).
    pub fn fixed(unix_ms: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(unix_ms))))
    }

    /// Moves a fixed clock. A system clock is left alone.
    pub fn set(&self, unix_ms: i64) {
        if let Some(fixed) = &self.0 {
            fixed.store(unix_ms, Ordering::Relaxed);
        }
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> i64 {
        if let Some(fixed) = &self.0 {
            return fixed.load(Ordering::Relaxed);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one reader of the clock"
        )]
        let now = OffsetDateTime::now_utc();
        i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }

    /// Whole seconds since 1970.
    pub fn unix_s(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }

    /// The time as a calendar date, in UTC.
    pub fn now(&self) -> OffsetDateTime {
        let nanos = i128::from(self.unix_ms()) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_fixed_clock_move_together() {
        let clock = Clock::fixed(1_700_000_000_123);
        let other = clock.clone();
        assert_eq!(other.unix_s(), 1_700_000_000);
        clock.set(1_700_000_001_000);
        assert_eq!(other.now().unix_timestamp(), 1_700_000_001);
    }
}
