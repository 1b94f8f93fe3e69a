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
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Freshness::{Again, Remembered, Since};
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    async fn found<F: Future<Output = Result<u32, VenueError>>>(
        lookup: &Lookup<u8, u32>,
        freshness: Freshness,
        ask: impl Fn() -> F,
    ) -> Result<u32, VenueError> {
        lookup.find(1, freshness, ask).await.map(|seen| seen.value)
    }

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
        let both = || async {
            tokio::join!(
                found(&lookup, Remembered, ask),
                found(&lookup, Remembered, ask)
            )
        };
        let (a, b) = both().await;
        assert_eq!((&a, &b), (&Err(VenueError::Unreachable), &a));
        assert_eq!(both().await, (Ok(1), Ok(1)));
        assert_eq!(found(&lookup, Remembered, ask).await, Ok(1));
    }

    #[tokio::test]
    async fn an_answer_asked_for_too_early_is_asked_for_again() {
        let asked = AtomicU32::new(0);
        let lookup = Lookup::<u8, u32>::new(10, HOUR);
        let ask = || async { Ok(asked.fetch_add(1, Ordering::SeqCst)) };
        let before = Instant::now();
        assert_eq!(found(&lookup, Since(before), ask).await, Ok(0));
        assert_eq!(found(&lookup, Since(before), ask).await, Ok(0));
        let now = Instant::now();
        assert_eq!(found(&lookup, Since(now), ask).await, Ok(1));
        assert_eq!(found(&lookup, Remembered, ask).await, Ok(1));
    }

    #[tokio::test]
    async fn memory_is_looked_at_again_once_a_second_and_stays_where_no_answer_comes() {
        let asked = AtomicU32::new(0);
        let lookup = Lookup::<u8, u32>::new(10, HOUR);
        let ask = || async {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if number == 2 {
                Err(VenueError::NoAnswer)
            } else {
                Ok(number)
            }
        };
        let before = Instant::now();
        assert_eq!(found(&lookup, Remembered, ask).await, Ok(0));
        assert_eq!(found(&lookup, Again(before), ask).await, Ok(0), "is fresh");
        let again = || found(&lookup, Again(Instant::now()), ask);
        assert_eq!(
            tokio::join!(again(), again(), again()),
            (Ok(1), Ok(1), Ok(1))
        );
        assert_eq!(again().await, Ok(1), "within a second");

        let second_ago = Instant::now().checked_sub(LOOKED_AGAIN).unwrap();
        let seen = lookup.0.get(&1).await.unwrap();
        seen.lock().as_mut().unwrap().ended = second_ago;
        assert_eq!(again().await, Err(VenueError::NoAnswer));
        assert_eq!(
            again().await,
            Ok(1),
            "a failure counts, and takes nothing away"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn who_wants_it_fresh_and_gets_nothing_takes_nothing_from_others() {
        let asked = AtomicU32::new(0);
        let lookup = Lookup::<u8, u32>::new(10, HOUR);
        let ask = || async {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            match number {
                1 => Err(VenueError::Unreachable),
                2 => std::future::pending().await,
                number => Ok(number),
            }
        };
        assert_eq!(found(&lookup, Remembered, ask).await, Ok(0));
        let now = Instant::now();
        // Those who wait for the same look share its failure; memory stays.
        let (a, b, memory) = tokio::join!(
            found(&lookup, Since(now), ask),
            found(&lookup, Since(now), ask),
            found(&lookup, Remembered, ask)
        );
        assert_eq!((&a, &b), (&Err(VenueError::Unreachable), &a));
        assert_eq!(memory, Ok(0));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        // Also where nobody waits to the end.
        let patience = Duration::from_millis(20);
        let hung = found(&lookup, Since(Instant::now()), ask);
        assert!(tokio::time::timeout(patience, hung).await.is_err());
        assert_eq!(found(&lookup, Remembered, ask).await, Ok(0));
        assert_eq!(found(&lookup, Since(Instant::now()), ask).await, Ok(3));
        assert_eq!(found(&lookup, Remembered, ask).await, Ok(3));
    }
}
