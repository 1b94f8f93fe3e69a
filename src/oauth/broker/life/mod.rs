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
mod tests;
