//! How long a token is good for, and from when it is looked after. Pure: the time is given.
//!
//! It counts from before the request for it was sent, by the monotonic clock: a slow network shortens
//! it, and a wall clock that jumps changes nothing.

use std::time::{Duration, Instant};

/// Nobody gets a token anew with less left than this, or a quarter of its life.
const BUFFER: Duration = Duration::from_secs(30);

/// With less left than this, or a third of its life, it is replaced while it still serves.
const AHEAD: Duration = Duration::from_mins(1);

/// So much earlier at most, so that replicas and audiences do not do it all at once.
const JITTER: Duration = Duration::from_secs(10);

/// From one moment to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    refresh: Instant,
    close: Instant,
    end: Instant,
}

/// How far a life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Good.
    Fresh,
    /// Good; time to see about the next one.
    Ripe,
    /// Still good, but the next one is better.
    Closing,
    /// Over.
    Over,
}

impl Life {
    /// Of this length, from when it was asked for. `jitter` is 0 to 255 parts of the longest.
    pub(super) fn new(asked_at: Instant, length: Duration, jitter: u8) -> Self {
        let buffer = BUFFER.min(length / 4);
        let earlier = JITTER.min(length / 18) * u32::from(jitter) / 255;
        let ahead = AHEAD.min(length / 3) + earlier;
        Self {
            refresh: asked_at + length.saturating_sub(ahead),
            close: asked_at + length.saturating_sub(buffer),
            end: asked_at + length,
        }
    }

    /// How far it has come. What has less than a second is over: that is how it is answered.
    pub(super) fn age(&self, now: Instant) -> Age {
        if self.left(now) < Duration::from_secs(1) {
            Age::Over
        } else if now >= self.close {
            Age::Closing
        } else if now >= self.refresh {
            Age::Ripe
        } else {
            Age::Fresh
        }
    }

    /// What is left of it.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.end.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_of_the_documentation_is_replaced_from_a_minute_before_its_end() {
        let start = Instant::now();
        let life = Life::new(start, s(180), 0);
        for (second, age) in [
            (0, Age::Fresh),
            (119, Age::Fresh),
            (120, Age::Ripe),
            (149, Age::Ripe),
            (150, Age::Closing),
            (179, Age::Closing),
            (180, Age::Over),
            (10_000, Age::Over),
        ] {
            assert_eq!(life.age(start + s(second)), age, "{second}");
        }
        let earliest = Life::new(start, s(180), 255);
        assert_eq!(earliest.age(start + s(109)), Age::Fresh);
        assert_eq!(earliest.age(start + s(110)), Age::Ripe);
        assert_eq!(earliest.left(start + s(100)), s(80));
    }

    #[test]
    fn a_short_life_is_of_use_too() {
        let start = Instant::now();
        for (length, ripe, closing) in [(20, 13_400, 15_000), (5, 3_400, 3_750), (2, 1_400, 1_500)]
        {
            let life = Life::new(start, s(length), 0);
            assert_eq!(life.age(start), Age::Fresh, "{length}");
            assert_eq!(
                life.age(start + Duration::from_millis(ripe)),
                match length {
                    2 => Age::Over, // less than a second left
                    _ => Age::Ripe,
                }
            );
            let age = life.age(start + Duration::from_millis(closing));
            assert!(matches!(age, Age::Closing | Age::Over), "{length}");
            assert_eq!(life.age(start + s(length)), Age::Over, "{length}");
        }
        assert_eq!(Life::new(start, s(0), 255).age(start), Age::Over);
    }
}
