//! What was signed, for those who lost the answer and for those who look back.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Business, RESCUE, Signer, SigningError, records, right};
use crate::callers::{Caller, Kind};
use crate::id::{CallerId, IntentId, KeyId};
use crate::idempotency::Key;
use crate::standing::Look;

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

impl Signer {
    /// Finds what was signed, newest first; at most 100. What was released is durable when this returns,
    /// and of what is told it was looked at behind the gate whether the caller stands, and whether the
    /// key still signs.
    pub async fn look_up(&self, caller: &Caller, by: &By) -> Result<Vec<Entry>, SigningError> {
        let log = &self.0.equipment.log;
        let mut found = records::find_signatures(by, log.ledger()).await?;
        let answered = found.iter().filter(|entry| entry.answer.is_some());
        let mut look = Look::default();
        for entry in answered {
            look.join(Look::at(Some(caller.credential), Some(entry.key)));
        }
        if look.is_empty() {
            return Ok(found);
        }
        let standing = log.vouch(look).await?;
        // What is told of it is decided by what holds now.
        let authority = self.0.equipment.rights.authority();
        authority.confirm(standing.head()).await?;
        if !standing.is_live(caller.credential) {
            return Err(SigningError::CallerRevoked);
        }
        for entry in found.iter_mut().filter(|entry| entry.answer.is_some()) {
            let business = if entry.is_rescue() {
                Business::Rescue
            } else {
                Business::Ordinary
            };
            entry.withheld = right::silences(entry.key, business, &standing);
        }
        Ok(found)
    }
}
