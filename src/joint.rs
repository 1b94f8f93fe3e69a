//! One look for many who ask at the same time.
//!
//! Whoever asks gets an answer that was asked for after they came, never an older one; those who come
//! while a look is under way share the next.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::Mutex;

use crate::ledger::LedgerError;

/// How many things are looked at in turn.
const PLACES: u64 = 4_096;

/// A place where nobody looks is forgotten after this.
const IDLE: Duration = Duration::from_mins(1);

type Seen<V> = Option<(Instant, Result<V, LedgerError>)>;

/// Looks, by what is looked at. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Joint<K, V>(Cache<K, Arc<Mutex<Seen<V>>>>);

impl<K, V> Joint<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        let places = Cache::builder().max_capacity(PLACES).time_to_idle(IDLE);
        Self(places.build())
    }

    /// What is there now.
    pub(crate) async fn look(
        &self,
        key: K,
        look: impl AsyncFnOnce() -> Result<V, LedgerError>,
    ) -> Result<V, LedgerError> {
        let came = Instant::now();
        let place = self.0.get_with(key, Arc::default);
        let mut seen = place.lock().await; // in the order in which they came
        if let Some((asked, answer)) = &*seen
            && *asked >= came
        {
            return answer.clone();
        }
        let asked = Instant::now();
        let answer = look().await;
        *seen = Some((asked, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn many_share_a_look_and_nobody_gets_an_older_one() {
        let joint = Joint::<u8, u32>::new();
        let asked = Arc::new(AtomicU32::new(0));
        let look = |asked: Arc<AtomicU32>| {
            async move || {
                let number = asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(number)
            }
        };
        assert_eq!(joint.look(1, look(asked.clone())).await.unwrap(), 0);
        assert_eq!(joint.look(1, look(asked.clone())).await.unwrap(), 1, "anew");
        let mut tasks = JoinSet::new();
        for _ in 0..100 {
            let (joint, look) = (joint.clone(), look(asked.clone()));
            tasks.spawn(async move { joint.look(1, look).await.unwrap() });
        }
        assert!(tasks.join_all().await.into_iter().all(|it| it >= 2));
        assert!(asked.load(Ordering::SeqCst) <= 5, "shared: {asked:?}");
        assert_eq!(joint.look(2, async || Ok(7)).await.unwrap(), 7);
    }
}
