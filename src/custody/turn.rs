//! Waiting for a device: a place in its line, and the pauses between attempts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::CustodyError;

/// A place in a device's line, held from before the intent until the signature. Empty where a device has no
/// line. Clones share one place, which is given up with the last of them.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    told: Option<Arc<Mutex<Option<Told>>>>,
    until: Option<Instant>,
}

/// Resolves when the turn has come, or cannot come.
pub(super) type Told = oneshot::Receiver<Result<(), CustodyError>>;

impl Turn {
    /// A place in a line.
    pub(super) fn new(told: Told) -> Self {
        Self {
            told: Some(Arc::new(Mutex::new(Some(told)))),
            until: None,
        }
    }

    /// Nobody waits for the signature after `until`, so that no device need be called for it later.
    #[must_use]
    pub fn until(self, until: Instant) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// This time, or the time until which somebody waits, whichever is earlier.
    pub(super) fn at_most(&self, time: Instant) -> Instant {
        self.until.map_or(time, |until| time.min(until))
    }

    /// Takes the place, once.
    pub(super) fn take(&self) -> Option<Told> {
        let told = self.told.as_ref()?;
        told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Pauses that double, each a random part of its length, so that those who failed together do not come
/// back together.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// From the first to the longest.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// The next one.
    pub fn draw(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        let mut share = [0; 2];
        // Without randomness it is the whole pause.
        if aws_lc_rs::rand::fill(&mut share).is_err() {
            return pause;
        }
        pause * u32::from(u16::from_be_bytes(share)) / 65_536
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let (first, longest) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut pauses = Pauses::new(first, longest);
        let mut drawn = std::collections::BTreeSet::new();
        for most in [10, 20, 40, 80, 100, 100, 100, 100] {
            let pause = pauses.draw();
            assert!(
                pause < Duration::from_millis(most),
                "{pause:?} of {most} ms"
            );
            drawn.insert(pause);
        }
        assert!(drawn.len() > 1);
    }
}
