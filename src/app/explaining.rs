//! Whose turn it is to have something computed that takes long: one at a time for all, since signing needs the
//! processors, and of each caller one in line, so that the callers take turns (P11).

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::id::CallerId;

/// So many callers have a place of their own, and for so long after they came.
const CALLERS: u64 = 10_000;
const KEPT: Duration = Duration::from_mins(1);

/// Turns to compute.
pub struct Explaining {
    /// Served in the order in which they come.
    one: Arc<Semaphore>,
    of_each: Cache<CallerId, Arc<Semaphore>>,
}

/// A turn, until it is dropped.
pub struct Turn {
    _one: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Explaining {
    pub(super) fn new() -> Self {
        let of_each = Cache::builder().max_capacity(CALLERS).time_to_idle(KEPT);
        Self {
            one: Arc::new(Semaphore::new(1)),
            of_each: of_each.build(),
        }
    }

    /// Waits for a turn of this caller's.
    ///
    /// # Panics
    /// Never: nobody closes a semaphore here.
    pub async fn turn(&self, who: CallerId) -> Turn {
        let own = self.of_each.get_with(who, || Arc::new(Semaphore::new(1)));
        let own = own.acquire_owned().await;
        let one = self.one.clone().acquire_owned().await;
        Turn {
            _own: own.expect("nobody closes it"),
            _one: one.expect("nobody closes it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_asks_for_many_has_one_in_line() {
        let explaining = Explaining::new();
        let (flood, other) = (CallerId::new(), CallerId::new());
        let first = explaining.turn(flood).await;
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(explaining.turn(flood))).collect();
        for wait in &mut waiting {
            assert!(timeout(Duration::ZERO, wait).await.is_err());
            tokio::task::yield_now().await;
        }
        let mut others = pin!(explaining.turn(other));
        assert!(timeout(Duration::ZERO, &mut others).await.is_err());
        drop(first);
        // The other came before the flood's next, which stands in line only now.
        let turn = timeout(Duration::from_secs(10), others).await.unwrap();
        drop(turn);
        let next = timeout(Duration::from_secs(10), waiting.swap_remove(0)).await;
        assert!(next.is_ok());
    }
}
