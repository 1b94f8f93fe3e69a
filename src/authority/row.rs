//! A version as the ledger has it.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Head, Version};
use crate::id::CallerId;

/// What a row is chained with: of the first, all zeros are the one before.
pub(super) type Link = [u8; 32];

/// What came since a version, and how far that leads.
pub(super) struct News {
    pub(super) head: Head,
    pub(super) link: Option<Link>,
    pub(super) seal: Option<Vec<u8>>,
    pub(super) rows: Vec<Row>,
}

/// A version.
pub(super) struct Row {
    pub(super) version: Version,
    pub(super) at: OffsetDateTime,
    pub(super) by: CallerId,
    pub(super) kind: String,
    pub(super) id: Uuid,
    pub(super) tightens: bool,
    /// `None`: the thing is gone.
    pub(super) body: Option<Vec<u8>>,
    pub(super) link: Option<Link>,
}
