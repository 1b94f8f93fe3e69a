//! One kind of answer, remembered for a while, and asked for once however many want it.

use std::hash::Hash;
use std::time::{Duration, Instant};

use moka::future::Cache;

use crate::clob::venue::VenueError;

/// Answers by key. Failures are not remembered.
pub(super) struct Lookup<K, V>(Cache<K, Seen<V>>);

#[derive(Clone)]
struct Seen<V> {
    value: V,
    /// When the question was sent: the answer is no older.
    asked_at: Instant,
}

impl<K, V> Lookup<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most `capacity` answers, each for so long.
    pub(super) fn new(capacity: u64, keep: Duration) -> Self {
        let cache = Cache::builder().max_capacity(capacity).time_to_live(keep);
        Self(cache.build())
    }

    /// The answer to `key`, not asked for before `since` where that is said. Those who wait for the
    /// same answer share it, or its failure.
    pub(super) async fn find<F>(
        &self,
        key: K,
        since: Option<Instant>,
        ask: impl Fn() -> F,
    ) -> Result<V, VenueError>
    where
        F: Future<Output = Result<V, VenueError>>,
    {
        loop {
            let seen = match self.0.get(&key).await {
                Some(seen) => seen,
                None => Box::pin(self.ask(key.clone(), ask())).await?,
            };
            if since.is_none_or(|since| seen.asked_at >= since) {
                return Ok(seen.value);
            }
            // What comes next was asked after this look, so this ends.
            self.0.invalidate(&key).await;
        }
    }

    async fn ask(
        &self,
        key: K,
        answer: impl Future<Output = Result<V, VenueError>>,
    ) -> Result<Seen<V>, VenueError> {
        let question = async {
            let asked_at = Instant::now();
            answer.await.map(|value| Seen { value, asked_at })
        };
        let found = self.0.try_get_with(key, question).await;
        found.map_err(|error| VenueError::clone(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn those_who_wait_share_an_answer_and_a_failure_is_asked_again() {
        let asked = AtomicU32::new(0);
        let lookup = Lookup::<u8, u32>::new(10, HOUR);
        let ask = || async {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if number == 0 {
                Err(VenueError::Unreachable)
            } else {
                Ok(number)
            }
        };
        let (a, b) = tokio::join!(lookup.find(1, None, ask), lookup.find(1, None, ask));
        assert_eq!((&a, &b), (&Err(VenueError::Unreachable), &a));
        let (a, b) = tokio::join!(lookup.find(1, None, ask), lookup.find(1, None, ask));
        assert_eq!((a, b), (Ok(1), Ok(1)));
        assert_eq!(lookup.find(1, None, ask).await, Ok(1));
    }

    #[tokio::test]
    async fn an_answer_asked_for_too_early_is_asked_for_again() {
        let asked = AtomicU32::new(0);
        let lookup = Lookup::<u8, u32>::new(10, HOUR);
        let ask = || async { Ok(asked.fetch_add(1, Ordering::SeqCst)) };
        let before = Instant::now();
        assert_eq!(lookup.find(1, Some(before), ask).await, Ok(0));
        assert_eq!(lookup.find(1, Some(before), ask).await, Ok(0));
        let now = Instant::now();
        assert_eq!(lookup.find(1, Some(now), ask).await, Ok(1));
        assert_eq!(lookup.find(1, None, ask).await, Ok(1));
    }
}
