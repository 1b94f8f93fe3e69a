//! What a concept makes of its rows, worked out once for each version in which they change.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Kind, Snapshot, Version};
use crate::ledger::LedgerError;

/// What is made of the rows of some kinds.
pub trait Parsed: Sized + Send + Sync + 'static {
    /// Which.
    const KINDS: &'static [Kind];

    /// Makes it. A row that cannot be read is an error: whoever needs it gets nothing.
    fn parse(snapshot: &Snapshot) -> Result<Self, LedgerError>;
}

/// The last one that was made.
pub struct View<T>(RwLock<Option<(Version, Arc<T>)>>);

impl<T> Default for View<T> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<T: Parsed> View<T> {
    /// What a snapshot says.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Arc<T>, LedgerError> {
        let changed = snapshot.changed(T::KINDS);
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, made)) = &*last
            && *of == changed
        {
            return Ok(Arc::clone(made));
        }
        drop(last);
        let made = Arc::new(T::parse(snapshot)?);
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some((changed, Arc::clone(&made)));
        Ok(made)
    }
}
