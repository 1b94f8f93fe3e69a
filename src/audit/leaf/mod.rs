//! What a leaf says, and the one way in which it is written as bytes.
//!
//! Deterministic CBOR: arrays of definite length, fields by position, integers in their shortest
//! form. The first element of every leaf is the version of this encoding; a leaf's bytes never
//! change, so a new field means a new version beside the old one.

use minicbor::{Decode, Encode};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The version of the encoding below.
const VERSION: u32 = 1;

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leaf {
    /// The version of the encoding.
    #[n(0)]
    version: u32,
    /// Milliseconds since 1970, by the writer's clock.
    #[n(1)]
    pub at_ms: i64,
    /// The program that wrote it.
    #[n(2)]
    pub software: String,
    /// What happened.
    #[n(3)]
    pub event: Event,
}

/// What happened. Digests are 32 bytes, ids 16, `record` and `details` JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// Something is about to be signed.
    #[n(0)]
    Intent(#[n(0)] Box<Intent>),
    /// A signature left, or is about to.
    #[n(1)]
    Released(#[n(0)] Release),
    /// The intent ended without a signature: somebody or something said no.
    #[n(2)]
    Refused(#[n(0)] End),
    /// The intent ended without a signature: it took too long or its replica died.
    #[n(3)]
    Abandoned(#[n(0)] End),
    /// A caller asked for something the policy does not allow.
    #[n(4)]
    Denied(#[n(0)] Denial),
    /// An operator changed something.
    #[n(5)]
    Admin(#[n(0)] Admin),
    /// An access token is about to be handed to a caller.
    #[n(6)]
    Token(#[n(0)] Token),
    /// A caller was refused more often than leaves say one by one.
    #[n(7)]
    Denials(#[n(0)] Denials),
    /// A caller was told what would be signed. Nothing was.
    #[n(8)]
    DryRun(#[n(0)] DryRun),
    /// A caller was told that more often than leaves say one by one.
    #[n(9)]
    DryRuns(#[n(0)] DryRuns),
}

/// What is about to be signed, for whom, under what.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Intent {
    /// The intent's id.
    #[cbor(n(0), with = "id")]
    pub intent: Uuid,
    /// `order` or `assertion`.
    #[n(1)]
    pub operation: String,
    /// Who asked.
    #[cbor(n(2), with = "id")]
    pub caller: Uuid,
    /// With which of their credentials.
    #[cbor(n(3), with = "id")]
    pub credential: Uuid,
    /// The wallet or client.
    #[cbor(n(4), with = "id")]
    pub subject: Uuid,
    /// The key.
    #[cbor(n(5), with = "id")]
    pub key: Uuid,
    /// Its epoch.
    #[n(6)]
    pub key_epoch: i64,
    /// SHA-256 of the policy that allowed it.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub policy: [u8; 32],
    /// SHA-256 over method, path and canonical body.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub request_digest: [u8; 32],
    /// The caller's idempotency key, if there is one.
    #[n(9)]
    pub idempotency_key: Option<String>,
    /// What is signed.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub digest: [u8; 32],
    /// The same for people, as JSON.
    #[n(11)]
    pub record: String,
    /// What kind of credential they came with, where it was no token.
    #[n(12)]
    pub credential_kind: Option<String>,
}

/// A signature that left.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Release {
    /// The intent that ends here.
    #[cbor(n(0), with = "id")]
    pub intent: Uuid,
    /// By which holder of the intent.
    #[n(1)]
    pub attempt: i32,
    /// SHA-256 of the signature.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub signature_hash: [u8; 32],
    /// SHA-256 of the body that is answered.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub answer_hash: [u8; 32],
    /// How often the device was asked, where that was more than once.
    #[n(4)]
    pub tries: Option<u32>,
    /// What the device calls the request that it answered, where it gives it a name.
    #[n(5)]
    pub device_request: Option<String>,
}

/// An intent that ended without a signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct End {
    /// The intent that ends here.
    #[cbor(n(0), with = "id")]
    pub intent: Uuid,
    /// By which holder of the intent.
    #[n(1)]
    pub attempt: i32,
    /// Why, as a stable word.
    #[n(2)]
    pub reason: String,
    /// How often the device was asked, where that was more than once.
    #[n(3)]
    pub tries: Option<u32>,
    /// What the device calls the request that it answered, where it gives it a name.
    #[n(4)]
    pub device_request: Option<String>,
}

/// A request that the policy denied.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Denial {
    /// Who asked.
    #[cbor(n(0), with = "id")]
    pub caller: Uuid,
    /// For which action.
    #[n(1)]
    pub action: String,
    /// On what.
    #[n(2)]
    pub resource: String,
}

/// Further requests of a caller that the policy denied, counted since the last such leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Denials {
    /// Who asked.
    #[cbor(n(0), with = "id")]
    pub caller: Uuid,
    /// How many were denied.
    #[n(1)]
    pub refusals: u64,
}

/// What would have been signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DryRun {
    /// Who asked.
    #[cbor(n(0), with = "id")]
    pub caller: Uuid,
    /// For which action.
    #[n(1)]
    pub action: String,
    /// On what.
    #[n(2)]
    pub resource: String,
    /// The digest that was told. A signature over it is no answer to this.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub digest: [u8; 32],
}

/// Further dry runs of a caller, counted since the last such leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DryRuns {
    /// Who asked.
    #[cbor(n(0), with = "id")]
    pub caller: Uuid,
    /// How many there were.
    #[n(1)]
    pub runs: u64,
}

/// A change by an operator.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Admin {
    /// Who did it.
    #[cbor(n(0), with = "id")]
    pub actor: Uuid,
    /// What: `create-key`, `revoke-caller`, ….
    #[n(1)]
    pub action: String,
    /// On which thing.
    #[cbor(n(2), with = "id")]
    pub subject: Uuid,
    /// Who agreed.
    #[n(3)]
    pub approval: String,
    /// The rest, as JSON. Never a secret.
    #[n(4)]
    pub details: String,
}

/// An access token for a caller, fetched for them or from memory. Never the token.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Token {
    /// The intent of the assertion that was exchanged for it: the same for all who get this token.
    #[cbor(n(0), with = "id")]
    pub fetch: Uuid,
    /// The client.
    #[cbor(n(1), with = "id")]
    pub client: Uuid,
    /// The key that signed the assertion.
    #[cbor(n(2), with = "id")]
    pub key: Uuid,
    /// Its epoch.
    #[n(3)]
    pub key_epoch: i64,
    /// Who gets it.
    #[cbor(n(4), with = "id")]
    pub caller: Uuid,
    /// With which of their credentials.
    #[cbor(n(5), with = "id")]
    pub credential: Uuid,
    /// SHA-256 of the policy that allowed it.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub policy: [u8; 32],
    /// What it may do, in order, with spaces between.
    #[n(7)]
    pub scopes: String,
    /// When it ends, in milliseconds since 1970.
    #[n(8)]
    pub expires_at_ms: i64,
    /// What kind of credential they came with, where it was no token.
    #[n(9)]
    pub credential_kind: Option<String>,
}

impl Leaf {
    /// An event, now, by this program.
    pub fn new(at_ms: i64, event: Event) -> Self {
        let software = concat!("chancery ", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            version: VERSION,
            at_ms,
            software,
            event,
        }
    }

    /// The canonical bytes.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to memory does not fail")
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, and nothing that is written otherwise.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let leaf: Self = minicbor::decode(bytes).ok()?;
        (leaf.version == VERSION && leaf.to_bytes() == bytes).then_some(leaf)
    }

    /// The same as JSON, for people: ids and digests as text, records as what they are.
    pub fn for_people(&self) -> serde_json::Value {
        let json = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
        let mut event = match &self.event {
            Event::Intent(it) => json!({
                "intent": it.intent, "operation": it.operation, "caller": it.caller, "credential": it.credential,
                "credential_kind": it.credential_kind, "subject": it.subject, "key": it.key, "key_epoch": it.key_epoch, "policy": hex::encode(it.policy),
                "request_digest": hex::encode(it.request_digest), "idempotency_key": it.idempotency_key,
                "digest": hex::encode(it.digest), "record": json(&it.record),
            }),
            Event::Released(it) => json!({
                "intent": it.intent, "attempt": it.attempt, "signature_hash": hex::encode(it.signature_hash),
                "answer_hash": hex::encode(it.answer_hash), "tries": it.tries, "device_request": it.device_request,
            }),
            Event::Refused(it) | Event::Abandoned(it) => json!({
                "intent": it.intent, "attempt": it.attempt, "reason": it.reason, "tries": it.tries,
                "device_request": it.device_request,
            }),
            Event::Denied(it) => json!({
                "caller": it.caller, "action": it.action, "resource": it.resource,
            }),
            Event::Denials(it) => json!({ "caller": it.caller, "refusals": it.refusals }),
            Event::DryRun(it) => json!({
                "caller": it.caller, "action": it.action, "resource": it.resource, "digest": hex::encode(it.digest),
            }),
            Event::DryRuns(it) => json!({ "caller": it.caller, "runs": it.runs }),
            Event::Admin(it) => json!({
                "actor": it.actor, "action": it.action, "subject": it.subject, "approval": it.approval,
                "details": json(&it.details),
            }),
            Event::Token(it) => json!({
                "fetch": it.fetch, "client": it.client, "key": it.key, "key_epoch": it.key_epoch,
                "caller": it.caller, "credential": it.credential,
                "credential_kind": it.credential_kind, "policy": hex::encode(it.policy), "scopes": it.scopes, "expires_at_ms": it.expires_at_ms,
            }),
        };
        event["kind"] = self.kind().into();
        event["at_ms"] = self.at_ms.into();
        event["software"] = self.software.as_str().into();
        event
    }

    /// The word for the kind of event, as the table has it.
    pub fn kind(&self) -> &'static str {
        match self.event {
            Event::Intent(_) => "intent",
            Event::Released(_) => "released",
            Event::Refused(_) => "refused",
            Event::Abandoned(_) => "abandoned",
            Event::Denied(_) => "denied",
            Event::Admin(_) => "admin",
            Event::Token(_) => "token",
            Event::Denials(_) => "denials",
            Event::DryRun(_) => "dry-run",
            Event::DryRuns(_) => "dry-runs",
        }
    }

    /// The signature that it is about, if it is about one.
    pub fn signature(&self) -> Option<Uuid> {
        match &self.event {
            Event::Intent(_) | Event::Released(_) | Event::Refused(_) | Event::Abandoned(_) => {
                Some(self.subject())
            }
            _ => None,
        }
    }

    /// What the event is about.
    pub fn subject(&self) -> Uuid {
        match &self.event {
            Event::Intent(intent) => intent.intent,
            Event::Released(release) => release.intent,
            Event::Refused(end) | Event::Abandoned(end) => end.intent,
            Event::Denied(denial) => denial.caller,
            Event::Admin(admin) => admin.subject,
            Event::Token(token) => token.client,
            Event::Denials(denials) => denials.caller,
            Event::DryRun(run) => run.caller,
            Event::DryRuns(runs) => runs.caller,
        }
    }
}

/// The leaf hash of RFC 6962: `SHA-256(0x00 ‖ leaf)`.
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

/// UUIDs as 16 bytes.
mod id {
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};
    use uuid::Uuid;

    pub(super) fn encode<C, W: Write>(
        id: &Uuid,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(id.as_bytes())?.ok()
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Uuid, Error> {
        Uuid::from_slice(d.bytes()?).map_err(|_| Error::message("an id has 16 bytes"))
    }
}

#[cfg(test)]
mod tests;
