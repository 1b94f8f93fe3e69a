//! What was signed, for those who lost the answer and for those who look back.

use time::OffsetDateTime;
use uuid::Uuid;

use super::RESCUE;
use crate::callers::Kind;
use crate::id::{CallerId, IntentId, KeyId};
use crate::idempotency::Key;

/// One thing that was to be signed, and what became of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The intent's id, which the answer carries as `id`.
    pub id: IntentId,
    /// `order` or `assertion`.
    pub operation: String,
    /// Who asked.
    pub caller: CallerId,
    /// With which of their credentials.
    pub credential: Uuid,
    /// What kind it is.
    pub kind: Kind,
    /// The wallet or client.
    pub subject: Uuid,
    /// The key.
    pub key: KeyId,
    /// What was signed: 32 bytes.
    pub digest: Vec<u8>,
    /// The other hash that it is known by, once released: an order's at the venue.
    pub alias: Option<Vec<u8>>,
    /// What was signed, as people read it.
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
    /// Why the signature in it is not to be told again, if it is not.
    pub withheld: Option<&'static str>,
}

/// How to find a signature.
#[derive(Clone, Debug)]
pub enum By {
    /// By its id.
    Id(IntentId),
    /// By what was signed.
    Digest([u8; 32]),
    /// By the other hash that it is known by: an order's at the venue.
    Alias([u8; 32]),
    /// By any of several digests.
    Digests(Vec<[u8; 32]>),
    /// By the r of a signature.
    R([u8; 32]),
    /// By an identifier that was issued once: the `jti` of an assertion.
    Identifier(Uuid),
    /// By the idempotency key of this caller, of one request or of a batch.
    IdempotencyKey(CallerId, Key),
}

impl Entry {
    /// Whether it saves a wallet, whatever has become of its key.
    pub fn is_rescue(&self) -> bool {
        self.operation == "wallet-operation" && self.record[RESCUE] == true
    }
}
