//! Data keys that lie unwrapped in this process's memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use crate::sealing::SealingKey;

/// How long a data key seals, how many secrets at most, and how long unwrapped ones are kept.
const SEALS_FOR: Duration = Duration::from_hours(1);
const SEALS: u32 = 100_000;
const KEPT: u64 = 64;
const KEPT_FOR: Duration = Duration::from_mins(10);

/// Data keys that are unwrapped.
pub(super) struct DataKeys {
    /// The data key that seals.
    current: Mutex<Option<Current>>,
    /// Data keys that opened something lately, by the id and bytes under which they are wrapped.
    pub(super) known: Cache<Vec<u8>, Arc<SealingKey>>,
}

struct Current {
    key: Arc<SealingKey>,
    wrapped: Vec<u8>,
    made: Instant,
    left: u32,
}

impl Default for DataKeys {
    fn default() -> Self {
        let known = Cache::builder()
            .max_capacity(KEPT)
            .time_to_live(KEPT_FOR)
            .build();
        Self {
            current: Mutex::new(None),
            known,
        }
    }
}

impl DataKeys {
    pub(super) fn current(&self) -> Option<(Arc<SealingKey>, Vec<u8>)> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let it = current
            .as_mut()
            .filter(|it| it.left > 0 && it.made.elapsed() < SEALS_FOR)?;
        it.left -= 1;
        Some((it.key.clone(), it.wrapped.clone()))
    }

    pub(super) fn keep(&self, key: &Arc<SealingKey>, wrapped: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Current {
            key: key.clone(),
            wrapped: wrapped.to_vec(),
            made: Instant::now(),
            left: SEALS - 1,
        });
    }
}
