//! What a concept makes of its rows, worked out once for each version in which they change.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

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
pub struct View<T> {
    last: RwLock<Option<(Version, Arc<T>)>>,
    /// Held by whoever makes the next, so that it is made once.
    making: Mutex<()>,
}

impl<T> Default for View<T> {
    fn default() -> Self {
        Self {
            last: RwLock::new(None),
            making: Mutex::new(()),
        }
    }
}

impl<T: Parsed> View<T> {
    /// What a snapshot says.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Arc<T>, LedgerError> {
        let changed = snapshot.changed(T::KINDS);
        if let Some(made) = self.known(changed) {
            return Ok(made);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = self.known(changed) {
            return Ok(made);
        }
        let made = Arc::new(T::parse(snapshot)?);
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever still holds an older snapshot does not take the newest one's place.
        if last.as_ref().is_none_or(|(of, _)| *of < changed) {
            *last = Some((changed, Arc::clone(&made)));
        }
        Ok(made)
    }

    fn known(&self, changed: Version) -> Option<Arc<T>> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        let (of, made) = last.as_ref()?;
        (*of == changed).then(|| Arc::clone(made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(i64);

    impl Parsed for Number {
        const KINDS: &'static [Kind] = &[Kind::Policy];

        fn parse(snapshot: &Snapshot) -> Result<Self, LedgerError> {
            Ok(Self(snapshot.changed(Self::KINDS).number()))
        }
    }

    #[test]
    fn an_older_snapshot_is_told_its_own_and_the_newest_stays() {
        let view = View::<Number>::default();
        let (old, new) = (Snapshot::at(Kind::Policy, 3), Snapshot::at(Kind::Policy, 5));
        let newest = view.of(&new).unwrap();
        assert_eq!(view.of(&old).unwrap().0, 3);
        let again = view.of(&new).unwrap();
        assert!(Arc::ptr_eq(&newest, &again) && again.0 == 5);
    }
}
