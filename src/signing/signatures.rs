//! What was signed, for those who lost the answer and for those who look back.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::id::{CallerId, IntentId};
use crate::idempotency::Key;
use crate::ledger::{Ledger, LedgerError};

use super::records;

/// One thing that was to be signed, and what became of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The intent's id, which the answer carries as `id`.
    pub id: IntentId,
    /// `order` or `assertion`.
    pub operation: String,
    /// Who asked.
    pub caller: CallerId,
    /// The wallet or client.
    pub subject: Uuid,
    /// What was signed: 32 bytes.
    pub digest: Vec<u8>,
    /// The order's hash at the venue, once released.
    pub order_hash: Option<Vec<u8>>,
    /// The same for people.
    pub record: serde_json::Value,
    /// `released`, `refused` or `abandoned`; nothing while it is being worked on.
    pub outcome: Option<String>,
    /// Why it was refused or abandoned.
    pub reason: Option<String>,
    /// When it was put on record.
    pub created_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// The answer, where it is no credential.
    pub answer: Option<Vec<u8>>,
}

/// How to find a signature.
#[derive(Clone, Debug)]
pub enum By {
    /// By its id.
    Id(IntentId),
    /// By what was signed.
    Digest([u8; 32]),
    /// By the order's hash at the venue.
    OrderHash([u8; 32]),
    /// By any of several digests.
    Digests(Vec<[u8; 32]>),
    /// By the r of an order's signature, 64 hexadecimal digits in lower case.
    R(String),
    /// By the `jti` of an assertion.
    Jti(Uuid),
    /// By the idempotency key of this caller, of one request or of a batch.
    IdempotencyKey(CallerId, Key),
}

/// Finds what was signed, newest first; at most 100.
pub async fn find(by: &By, ledger: &Ledger) -> Result<Vec<Entry>, LedgerError> {
    records::find_signatures(by, ledger).await
}
