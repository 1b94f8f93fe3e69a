//! What the threads of one backend share: the module, the token, and what is known of their state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::module::Module;
use super::recovery::Breaker;
use super::token::Token;
use crate::custody::CustodyError;

/// What the threads of one backend share.
pub(super) struct Shared {
    pub(super) backend: String,
    pub(super) module: Arc<Module>,
    pub(super) token: Token,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) crew: Crew,
    pub(super) timeout: Duration,
    /// Workers that take jobs. At least one stays.
    pub(super) working: AtomicUsize,
    /// How long a call may take before it counts as hanging.
    pub(super) call_timeout: Duration,
}

impl Shared {
    /// Refuses at once what would only wait: a refused PIN, a hanging module, an open breaker.
    pub(super) fn admit(&self) -> Result<(), CustodyError> {
        if self.token.pin_refused() {
            return Err(CustodyError::PinRefused);
        }
        let admitted = self.breaker(|breaker| breaker.admit());
        admitted.map_err(CustodyError::Unavailable)?;
        if self.module.answers() {
            Ok(())
        } else {
            Err(down())
        }
    }

    /// Has a worker look whether the device answers; until then it is down.
    pub(super) fn look(&self, why: &str) {
        self.breaker(|breaker| breaker.trip_to_look(Instant::now(), why));
    }

    /// Counts one worker less, if there are more than `most`; one stays in any case.
    pub(super) fn goes_on_without_one(&self, most: usize) -> bool {
        let fewer = |working: usize| (working > most.max(1)).then(|| working - 1);
        let working = &self.working;
        let left = working.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        if let Ok(before) = left {
            tracing::warn!(
                custody.backend = self.backend,
                sessions = before - 1,
                "the token allows fewer sessions than are configured; going on with fewer"
            );
        }
        left.is_ok()
    }

    pub(super) fn breaker<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn down(&self, why: String) -> CustodyError {
        tracing::error!(
            custody.backend = self.backend,
            error = why,
            "the token is down"
        );
        self.breaker(|breaker| breaker.trip(Instant::now(), why.clone()));
        CustodyError::Unavailable(why)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Ok(call) = self.module.enter(self.timeout) {
            self.token.leave(&call);
        }
    }
}

pub(super) fn down() -> CustodyError {
    CustodyError::Unavailable("the PKCS#11 module is down or being initialized again".into())
}
