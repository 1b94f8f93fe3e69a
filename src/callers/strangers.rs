//! Looks for tokens that nobody here has seen: a few at a time, so that whoever sends many invented ones
//! does not keep the database from those who are known (P11).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many looks at a time.
const LOOKS: usize = 4;

/// So many in all, those that wait included: as many callers may come at the same time after a start.
const WAIT: usize = 256;

/// The turns of those whom nobody knows.
#[derive(Clone)]
pub(crate) struct Strangers {
    places: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

/// A turn, until it is dropped.
pub(crate) struct Turn {
    _look: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(WAIT)),
            looks: Arc::new(Semaphore::new(LOOKS)),
        }
    }
}

impl Strangers {
    /// Waits for a turn. `None`: too many wait already.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let look = self.looks.clone().acquire_owned().await.ok()?;
        Some(Turn {
            _look: look,
            _place: place,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn few_look_some_wait_and_the_rest_is_told_so() {
        let strangers = Strangers::default();
        let mut turns = Vec::new();
        for _ in 0..LOOKS {
            turns.push(strangers.turn().await.unwrap());
        }
        let mut waiting: Vec<_> = (LOOKS..WAIT).map(|_| Box::pin(strangers.turn())).collect();
        for wait in &mut waiting {
            assert!(timeout(Duration::ZERO, wait).await.is_err());
            tokio::task::yield_now().await;
        }
        assert!(strangers.turn().await.is_none());
        turns.pop();
        assert!(waiting.swap_remove(0).await.is_some());
    }
}
