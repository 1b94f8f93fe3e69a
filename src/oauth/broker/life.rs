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

/// The longest life that is believed.
const LONGEST: Duration = Duration::from_hours(24);

/// How long a token lives from the answer on: the least that it and its answer say. `now` is the server's
/// clock when it answered, or ours. None where neither says it; nothing where it is over.
pub(super) fn length(
    expires_in: Option<u32>,
    issued_at: Option<i64>,
    expires_at: Option<i64>,
    now: i64,
) -> Option<Duration> {
    let until = |from: i64, end: i64| u64::try_from(end.saturating_sub(from)).unwrap_or(0);
    let left = expires_at.map(|end| until(now, end));
    let whole = issued_at
        .zip(expires_at)
        .map(|(from, end)| until(from, end));
    let said = [expires_in.map(u64::from), left, whole];
    let least = said.into_iter().flatten().min()?;
    Some(Duration::from_secs(least).min(LONGEST))
}

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
    fn the_least_that_is_said_counts() {
        let now = 1_800_000_000;
        for (expires_in, issued_at, expires_at, length_s) in [
            (Some(180), None, None, Some(180)),
            (Some(3_600), None, Some(now + 60), Some(60)),
            (Some(3_600), Some(now - 10), Some(now + 60), Some(60)),
            (Some(180), Some(now + 30), Some(now + 90), Some(60)), // their clock and Date disagree
            (Some(30), Some(now), Some(now + 180), Some(30)),
            (None, None, Some(now + 180), Some(180)),
            (Some(180), None, Some(now), Some(0)),
            (Some(180), Some(now - 200), Some(now - 20), Some(0)),
            (None, Some(now), None, None),
            (None, None, Some(i64::MAX), Some(86_400)),
            (None, Some(i64::MIN), Some(i64::MAX), Some(86_400)),
        ] {
            let read = length(expires_in, issued_at, expires_at, now);
            assert_eq!(read, length_s.map(s), "{expires_in:?} {expires_at:?}");
        }
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
