//! What rests sealed in the ledger, under which sealing key, and how it comes under another.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::CustodyError;
use crate::ledger::{LedgerError, Tx};

/// A key under which a device seals, or once did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSealingKey {
    /// What it is known by: never the key.
    pub id: String,
    /// Whether it is the one that seals now. A former one only opens.
    pub seals: bool,
    /// When it was made, as far as that is known.
    pub made_at: Option<OffsetDateTime>,
}

/// A private key that was sealed anew and opened again, and is not written yet.
pub struct ResealedKey {
    /// The key's id.
    pub id: Uuid,
    /// As it rests: only that is replaced.
    pub(super) was: Vec<u8>,
    /// As it is to rest.
    pub(super) sealed: Vec<u8>,
}

/// A stretch of what rests, looked at in the order of ids.
pub struct Stretch<T> {
    /// What was sealed anew.
    pub resealed: Vec<T>,
    /// What could not be, and why.
    pub stuck: Vec<(Uuid, String)>,
    /// The last that was looked at. `None`: there is no more.
    pub last: Option<Uuid>,
}

/// Private keys that a device keeps in the ledger, sealed.
#[async_trait]
pub trait KeysAtRest: Send + Sync {
    /// How many rest under which sealing key. `None`: they name none.
    async fn counts(&self) -> Result<Vec<(Option<String>, i64)>, CustodyError>;

    /// Seals keys anew that rest under another than the current sealing key: up to `at_most` of those
    /// after `after`. Each is opened again and its public half compared with the one on record.
    async fn reseal(
        &self,
        after: Option<Uuid>,
        at_most: i64,
    ) -> Result<Stretch<ResealedKey>, CustodyError>;

    /// Puts them in their rows, where those are still as they were; says how many.
    async fn put(&self, resealed: &[ResealedKey], tx: &mut Tx) -> Result<u64, LedgerError>;
}
