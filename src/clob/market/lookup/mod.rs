//! One kind of answer, remembered for a while, and asked for once however many want it.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};

use crate::clob::venue::VenueError;

/// Answers by key. Failures are not remembered.
pub(super) struct Lookup<K, V>(Cache<K, Seen<V>>);

/// How long a second look at an answer keeps everybody from the next one.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// How old an answer may be.
#[derive(Clone, Copy, Debug)]
pub enum Freshness {
    /// As old as memory.
    Remembered,
    /// No older than this.
    Since(Instant),
    /// Remembered before this, it is asked for once more, unless somebody just did: what is about to be
    /// refused may have changed.
    Again(Instant),
}

/// An answer.
#[derive(Clone)]
pub(super) struct Seen<V> {
    pub(super) value: V,
    /// When the question was sent: the answer is no older.
    pub(super) asked_at: Instant,
    /// The last question that was asked though it was remembered, also the one that brought it.
    looked_again: Arc<Mutex<Option<Looked>>>,
}

/// A question that was asked though an answer is remembered.
#[derive(Clone, Debug)]
struct Looked {
    began: Instant,
    ended: Instant,
    /// Why no answer came.
    failure: Option<VenueError>,
}

impl<V> Seen<V> {
    fn new(value: V, asked_at: Instant, looked_again: Option<Looked>) -> Self {
        Self {
            value,
            asked_at,
            looked_again: Arc::new(Mutex::new(looked_again)),
        }
    }

    fn serves(&self, freshness: Freshness) -> bool {
        match freshness {
            Freshness::Remembered => true,
            Freshness::Since(since) => self.asked_at >= since,
            Freshness::Again(since) => {
                let looked_again = self.lock();
                let lately = |it: &Looked| it.ended.elapsed() < LOOKED_AGAIN;
                self.asked_at >= since || looked_again.as_ref().is_some_and(lately)
            }
        }
    }

    /// Why a question brought nothing that was asked late enough to be this one's too.
    fn failure(&self, freshness: Freshness) -> Option<VenueError> {
        let Freshness::Since(since) = freshness else {
            return None;
        };
        let looked_again = self.lock();
        let looked = looked_again.as_ref().filter(|it| it.began >= since)?;
        looked.failure.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Looked>> {
        self.looked_again
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A second look at an answer. However it ends, also where nobody waits for it any more, it is noted
/// then: those who come meanwhile wait for it.
struct Look<'a, V> {
    at: &'a Seen<V>,
    began: Instant,
    failure: Option<VenueError>,
}

impl<'a, V> Look<'a, V> {
    fn new(at: &'a Seen<V>, began: Instant) -> Self {
        Self {
            at,
            began,
            failure: Some(VenueError::NoAnswer), // if nobody waits to the end
        }
    }
}

impl<V> Drop for Look<'_, V> {
    fn drop(&mut self) {
        *self.at.lock() = Some(Looked {
            began: self.began,
            ended: Instant::now(),
            failure: self.failure.take(),
        });
    }
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

    /// The answer to `key`, no older than it may be. Those who wait for the same answer share it, or
    /// its failure.
    pub(super) async fn find<F>(
        &self,
        key: K,
        freshness: Freshness,
        ask: impl Fn() -> F,
    ) -> Result<Seen<V>, VenueError>
    where
        F: Future<Output = Result<V, VenueError>>,
    {
        let seen = match self.0.get(&key).await {
            Some(seen) => seen,
            None => Box::pin(self.ask(key.clone(), ask())).await?,
        };
        if seen.serves(freshness) {
            return Ok(seen);
        }
        Box::pin(self.ask_again(key, freshness, ask)).await
    }

    /// The answer to `key` that is in memory; one that should be asked for once more serves, too.
    pub(super) async fn remembered(&self, key: &K, freshness: Freshness) -> Option<Seen<V>> {
        let seen = self.0.get(key).await?;
        match freshness {
            Freshness::Remembered | Freshness::Again(_) => Some(seen),
            Freshness::Since(_) => Some(seen).filter(|seen| seen.serves(freshness)),
        }
    }

    async fn ask(
        &self,
        key: K,
        answer: impl Future<Output = Result<V, VenueError>>,
    ) -> Result<Seen<V>, VenueError> {
        let question = async {
            let asked_at = Instant::now();
            answer.await.map(|value| Seen::new(value, asked_at, None))
        };
        let found = self.0.try_get_with(key, question).await;
        found.map_err(|error| VenueError::clone(&error))
    }

    /// Asks once more, one at a time. Memory stays where no answer comes: it may do for others.
    async fn ask_again<F>(
        &self,
        key: K,
        freshness: Freshness,
        ask: impl Fn() -> F,
    ) -> Result<Seen<V>, VenueError>
    where
        F: Future<Output = Result<V, VenueError>>,
    {
        let renewed = self.0.entry(key).and_try_compute_with(|entry| async {
            let now = Instant::now();
            if let Some(seen) = entry.map(moka::Entry::into_value) {
                if seen.serves(freshness) {
                    return Ok(Op::Nop); // asked by whoever was before us
                }
                if let Some(failure) = seen.failure(freshness) {
                    return Err(failure);
                }
                let mut look = Look::new(&seen, now);
                let answer = ask().await;
                look.failure = answer.as_ref().err().cloned();
                return Ok(Op::Put(Seen::new(answer?, now, Some(looked(now)))));
            }
            let value = ask().await?;
            Ok(Op::Put(Seen::new(value, now, Some(looked(now)))))
        });
        match renewed.await? {
            CompResult::Inserted(entry)
            | CompResult::ReplacedWith(entry)
            | CompResult::Unchanged(entry) => Ok(entry.into_value()),
            CompResult::StillNone(_) | CompResult::Removed(_) => {
                unreachable!("what is not there is put there, and nothing is removed")
            }
        }
    }
}

/// A look that began then and brought an answer.
fn looked(began: Instant) -> Looked {
    Looked {
        began,
        ended: Instant::now(),
        failure: None,
    }
}

#[cfg(test)]
mod tests;
