//! A leaf, beside the rows that it is about.

use std::fmt;

use uuid::Uuid;

use super::PlaceOfLeaf;
use crate::audit::leaf::{Intent, Leaf, leaf_hash};

/// A leaf's row, and what the tables say of its intent.
pub(super) struct Row {
    pub(super) place: PlaceOfLeaf,
    pub(super) kind: String,
    pub(super) subject: Uuid,
    pub(super) leaf: Vec<u8>,
    pub(super) hash: Vec<u8>,
    /// The key of the intent.
    pub(super) key: Option<Uuid>,
    pub(super) begun: Option<Begun>,
    pub(super) ended: Option<Ended>,
    /// The leaf with which it began.
    pub(super) begun_leaf: Option<Vec<u8>>,
}

/// A row of `intents`.
pub(super) struct Begun {
    pub(super) operation: String,
    pub(super) caller: Uuid,
    pub(super) subject: Uuid,
    pub(super) key_epoch: i64,
    pub(super) digest: Vec<u8>,
    pub(super) run: i32,
    pub(super) batch: i64,
}

/// A row of `ends`.
pub(super) struct Ended {
    pub(super) outcome: String,
    pub(super) attempt: i32,
    pub(super) run: i32,
    pub(super) batch: i64,
    pub(super) answer: Option<Vec<u8>>,
    pub(super) is_sealed: bool,
}

/// Whether a leaf stands where the next one has to: in the same batch, at the beginning of the next one, or
/// at that of another run.
pub(super) fn follows(last: Option<PlaceOfLeaf>, place: PlaceOfLeaf) -> bool {
    match last {
        Some((run, batch, position)) if run == place.0 => {
            [(run, batch, position + 1), (run, batch + 1, 0)].contains(&place)
        }
        _ => (place.1, place.2) == (1, 0),
    }
}

impl Row {
    /// Whether the row's columns say what the leaf says.
    pub(super) fn is_of(&self, leaf: &Leaf) -> bool {
        leaf_hash(&self.leaf).as_slice() == self.hash
            && (leaf.kind(), leaf.subject()) == (self.kind.as_str(), self.subject)
    }

    /// Whether the intent is on record as its leaf says.
    pub(super) fn is_begun_by(&self, leaf: &Intent) -> bool {
        self.begun.as_ref().is_some_and(|it| {
            it.operation == leaf.operation
                && (it.caller, it.subject) == (leaf.caller, leaf.subject)
                && self.key == Some(leaf.key)
                && it.key_epoch == leaf.key_epoch
                && it.digest == leaf.digest
                && (it.run, it.batch) == (self.place.0, self.place.1)
        })
    }

    /// Whether the end is on record as its leaf says.
    pub(super) fn is_ended_by(&self, attempt: i32) -> bool {
        self.ended.as_ref().is_some_and(|it| {
            (it.outcome.as_str(), it.attempt) == (self.kind.as_str(), attempt)
                && (it.run, it.batch) == (self.place.0, self.place.1)
        })
    }

    /// Whether it ended in the batch in which it began, or in an earlier one of the same run.
    pub(super) fn ends_too_early(&self) -> bool {
        let (run, batch, _) = self.place;
        let begun = self.begun.as_ref();
        begun.is_some_and(|it| it.run == run && it.batch >= batch)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (run, batch, position) = self.place;
        let Self { kind, subject, .. } = self;
        write!(
            f,
            "{kind} of {subject}, leaf {position} of batch {batch} of run {run}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_no_gap() {
        assert!(follows(None, (1, 1, 0)));
        assert!(follows(Some((1, 1, 0)), (1, 1, 1)));
        assert!(follows(Some((1, 1, 1)), (1, 2, 0)));
        assert!(follows(Some((1, 7, 3)), (4, 1, 0)));
        for (last, place) in [
            (None, (1, 1, 1)),
            (None, (1, 2, 0)),
            (Some((1, 1, 0)), (1, 1, 2)),
            (Some((1, 1, 0)), (1, 3, 0)),
            (Some((1, 1, 0)), (2, 2, 0)),
        ] {
            assert!(!follows(last, place), "{last:?} {place:?}");
        }
    }
}
