//! One place of the cache: a token, the fetch of the next one, and the pause after a failure. Pure:
//! the time is given, and whoever looks holds the lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Held;
use super::failure::FetchError;
use super::life::Age;

/// What came of a fetch; none while it is under way.
pub(super) type Outcome = Option<Result<Arc<Held>, FetchError>>;

/// A fetch under way, or done.
pub(super) type Flight = watch::Receiver<Outcome>;

#[derive(Default)]
pub(super) struct Slot {
    held: Option<Arc<Held>>,
    flight: Option<Flight>,
    rest: Option<Rest>,
    /// How often in a row a fetch has failed.
    failures: u32,
}

/// A failure that is answered again for a while.
struct Rest {
    until: Instant,
    error: FetchError,
    generation: i64,
}

/// What is to be done for whoever looks.
pub(super) enum Look {
    /// This token is good.
    Serve(Arc<Held>),
    /// This token is good; the next one is to be fetched meanwhile.
    Refresh(Arc<Held>),
    /// The next one is being fetched.
    Wait(Flight),
    /// Nobody is fetching it.
    Fetch,
    /// It was not to be had a moment ago; for so long nobody tries.
    Rest(FetchError, Duration),
}

impl Slot {
    /// What there is, where only tokens of this generation, or a later one, count.
    pub(super) fn look(&mut self, now: Instant, generation: i64) -> Look {
        let stale =
            |held: &Arc<Held>| held.generation < generation || held.life.age(now) == Age::Over;
        self.held.take_if(|held| stale(held));
        // A fetch that died without a word is none.
        self.flight
            .take_if(|flight| flight.has_changed().is_err() && flight.borrow().is_none());
        self.rest.take_if(|rest| {
            now >= rest.until || (rest.generation < generation && rest.error.ends_with_generation())
        });

        let Some(held) = &self.held else {
            return match (&self.flight, &self.rest) {
                (Some(flight), _) => Look::Wait(flight.clone()),
                (None, Some(rest)) => Look::Rest(rest.error.clone(), rest.until - now),
                (None, None) => Look::Fetch,
            };
        };
        match (held.life.age(now), &self.flight, &self.rest) {
            (Age::Fresh, ..) | (_, _, Some(_)) | (Age::Ripe, Some(_), _) => {
                Look::Serve(held.clone())
            }
            (Age::Ripe, None, None) => Look::Refresh(held.clone()),
            (_, Some(flight), None) => Look::Wait(flight.clone()),
            (_, None, None) => Look::Fetch,
        }
    }

    /// The token, however little of its life is left: for whoever waited for the next one in vain.
    pub(super) fn last(&self, now: Instant, generation: i64) -> Option<Arc<Held>> {
        let good =
            |held: &&Arc<Held>| held.generation >= generation && held.life.age(now) != Age::Over;
        self.held.as_ref().filter(good).cloned()
    }

    /// How long nobody tries.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        let rest = self.rest.as_ref()?;
        Some(rest.until.saturating_duration_since(now))
    }

    /// A fetch begins. Its outcome goes to whoever waits.
    pub(super) fn begin(&mut self) -> watch::Sender<Outcome> {
        let (tell, flight) = watch::channel(None);
        self.flight = Some(flight);
        tell
    }

    /// A fetch brought a token.
    pub(super) fn filled(&mut self, held: &Arc<Held>) {
        self.flight = None;
        self.rest = None;
        self.failures = 0;
        let newer = |old: &Arc<Held>| old.generation <= held.generation;
        if self.held.as_ref().is_none_or(newer) {
            self.held = Some(held.clone());
        }
    }

    /// A fetch that was begun in this generation failed. `dice` is 0 to 255.
    pub(super) fn failed(&mut self, now: Instant, error: &FetchError, generation: i64, dice: u8) {
        self.flight = None;
        self.failures = self.failures.saturating_add(1);
        let pause = error.pause(self.failures, dice);
        self.rest = (!pause.is_zero()).then(|| Rest {
            until: now + pause,
            error: error.clone(),
            generation,
        });
    }
}
