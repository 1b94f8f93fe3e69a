//! What rests sealed in the ledger, under which sealing key, and how it comes under another.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CustodyError;
use crate::ledger::{LedgerError, Tx};

/// A key under which a device seals, or once did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSealingKey {
    /// The key's id, never the key.
    pub id: String,
    /// Whether this key seals now. A former key only opens.
    pub seals: bool,
    /// When the key was made, where that is known.
    pub made_at: Option<OffsetDateTime>,
}

/// A private key that was sealed anew and opened again, and is not written yet.
pub struct ResealedKey {
    /// The key's id.
    pub id: Uuid,
    /// The sealed key as it rests. Only these bytes are replaced.
    pub(super) was: Vec<u8>,
    /// The sealed key as it is to rest.
    pub(super) sealed: Vec<u8>,
}

/// A stretch of the rows in which something rests, in the order of their ids.
pub struct Stretch<T> {
    /// Rows that were sealed anew.
    pub resealed: Vec<T>,
    /// Rows that could not be sealed anew, and why.
    pub stuck: Vec<(Uuid, String)>,
    /// The last row of the stretch. `None`: there are no more rows.
    pub last: Option<Uuid>,
}

/// Private keys that a device keeps in the ledger, sealed.
#[async_trait]
pub trait KeysAtRest: Send + Sync {
    /// How many keys rest under each sealing key. `None`: keys that name no sealing key.
    async fn counts(&self) -> Result<Vec<(Option<String>, i64)>, CustodyError>;

    /// Seals anew up to `at_most` keys after `after` that rest under another sealing key than the current.
    /// Each is opened again, and its public half compared with the one on record.
    async fn reseal(
        &self,
        after: Option<Uuid>,
        at_most: i64,
    ) -> Result<Stretch<ResealedKey>, CustodyError>;

    /// Writes the keys into those of their rows that are still as they were read. Returns the number.
    async fn put(&self, resealed: &[ResealedKey], tx: &mut Tx) -> Result<u64, LedgerError>;
}
