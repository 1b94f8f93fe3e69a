//! An intent on record.

use super::{Draft, Prepared, Right};
use crate::audit::Logged;
use crate::custody::Sign;
use crate::id::IntentId;
use crate::policy::Permit;

/// An intent on record: what came of a permit in a committed group.
pub(super) struct Intent {
    pub(super) id: IntentId,
    pub(super) draft: Box<dyn Draft>,
    pub(super) prepared: Prepared,
    pub(super) permit: Logged<Permit<Sign>>,
    pub(super) right: Right,
    /// The bytes of its leaf.
    pub(super) leaf: Vec<u8>,
}
