//! A client that its server does not take is not presented again and again: one try at a time, with
//! growing pauses, whatever scopes are asked for. Pure: the time is given.

use std::time::{Duration, Instant};

use super::failure::FetchError;

/// The pause after the first refusal.
const FIRST: Duration = Duration::from_secs(15);

/// And the longest one.
const LONGEST: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(super) struct Breaker(Option<Open>);

struct Open {
    error: FetchError,
    until: Instant,
    pause: Duration,
}

impl Breaker {
    /// Whether a fetch may go now. Where the breaker is open, one may each time that a pause is over.
    pub(super) fn pass(&mut self, now: Instant) -> Result<(), (FetchError, Duration)> {
        let Some(open) = &mut self.0 else {
            return Ok(());
        };
        if now < open.until {
            return Err((open.error.clone(), open.until - now));
        }
        open.until = now + open.pause;
        Ok(())
    }

    /// One fetch may go at once: somebody thinks that the cause is gone.
    pub(super) fn let_one(&mut self, now: Instant) {
        if let Some(open) = &mut self.0 {
            open.until = now;
        }
    }

    /// How long nobody tries.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        let open = self.0.as_ref()?;
        Some(open.until.saturating_duration_since(now))
    }

    /// The server took the client.
    pub(super) fn close(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// The server did not take the client. Whether that is news.
    pub(super) fn trip(&mut self, now: Instant, error: &FetchError) -> bool {
        let before = self.0.take();
        let news = before.is_none();
        let pause = before.map_or(FIRST, |open| (open.pause * 2).min(LONGEST));
        self.0 = Some(Open {
            error: error.clone(),
            until: now + pause,
            pause,
        });
        news
    }
}
