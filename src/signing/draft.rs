//! What can be signed, and what is claimed with it. What it is, an order, a login, an assertion, its own module knows.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use ruint::aliases::U256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Business, Checked, SigningError};
use crate::audit::Change;
use crate::custody::{Payload, SealedSecret};
use crate::halts::{Bearing, Winding};
use crate::id::{CallerId, IntentId};
use crate::idempotency::{RequestDigest, Useful};
use crate::keys::Key;
use crate::ledger::LedgerError;
use crate::limits::Limited;
use crate::policy::{Action, Ask, Resource, Stake};

/// The member of a record that says that a wallet is saved with it.
pub const RESCUE: &str = "rescue";

/// Something that can be signed: an order, an assertion.
pub trait Draft: Ask + Send + Sync + 'static {
    /// `order` or `assertion`: the word in the ledger.
    fn operation(&self) -> &'static str;
    /// The wallet or client.
    fn subject(&self) -> Uuid;
    /// The key, as it was when the draft was made.
    fn key(&self) -> &Key;
    /// The secret that it is made with, where the key only stands for that.
    fn secret(&self) -> Option<&SealedSecret> {
        None
    }
    /// What it is signed for.
    fn business(&self) -> Business {
        Business::Ordinary
    }
    /// What an assertion of the service's own is for.
    fn errand(&self) -> &'static str {
        ""
    }
    /// Whether nothing is changed with it: it reads.
    fn reads(&self) -> bool {
        false
    }
    /// What of it limits look at.
    fn limited(&self) -> Limited {
        Limited::Nothing
    }
    /// How long what is signed can be used. Its idempotency key is kept at least as long.
    fn useful(&self) -> Useful {
        Useful::Briefly
    }
    /// Whether the time goes into what is signed.
    fn tells_the_time(&self) -> bool {
        false
    }
    /// Works out what is signed. Called when the intent joins its group, so that times are fresh;
    /// pure apart from random identifiers.
    fn prepare(&self, now_ms: i64) -> Prepared;
    /// The body of the answer.
    fn answer(&self, id: IntentId, prepared: &Prepared, signature: &Checked) -> Answer;
}

impl Ask for Box<dyn Draft> {
    fn action(&self) -> Action {
        (**self).action()
    }

    fn resource(&self) -> Resource {
        (**self).resource()
    }

    fn stake(&self) -> Stake {
        (**self).stake()
    }

    fn parts(&self) -> Vec<(Action, Stake)> {
        (**self).parts()
    }

    fn markets(&self) -> Vec<U256> {
        (**self).markets()
    }

    fn bearing(&self) -> Bearing {
        match self.business() {
            Business::Ordinary | Business::Reduction => Bearing::Signs,
            Business::Rescue => Bearing::Winds(Winding::Empty),
            Business::Unwinding if self.reads() => Bearing::Winds(Winding::Read),
            Business::Unwinding => Bearing::Winds(Winding::Cancel),
            Business::Probe => Bearing::Probes,
        }
    }
}

/// What is signed, worked out.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// For the device.
    pub payload: Payload,
    /// What stands for it in the ledger: the EIP-712 digest, or SHA-256 of the message.
    pub digest: [u8; 32],
    /// What is signed, as people read it.
    pub record: serde_json::Value,
    /// Another hash that it is looked up by: where a venue knows it by one.
    pub alias: Option<[u8; 32]>,
    /// An identifier in it that is issued once.
    pub identifier: Option<Identifier>,
    /// The nonce in it, which is claimed with the intent.
    pub nonce: Option<Arc<dyn NonceClaim>>,
    /// A signature that is not on its way by then is abandoned, and made once more.
    pub release_before_ms: Option<i64>,
    /// When what is signed stops being of use.
    pub expires_at: Option<OffsetDateTime>,
}

impl Prepared {
    /// Something that claims nothing, and is of use for ever.
    pub fn new(payload: Payload, digest: [u8; 32], record: serde_json::Value) -> Self {
        Self {
            payload,
            digest,
            record,
            alias: None,
            identifier: None,
            nonce: None,
            release_before_ms: None,
            expires_at: None,
        }
    }
}

/// An identifier, which is on record before it leaves, and issued once (P4).
#[derive(Clone, Copy, Debug)]
pub struct Identifier {
    /// The identifier.
    pub id: Uuid,
    /// In whose name it is issued.
    pub issuer: Uuid,
    /// Since when what it stands in holds.
    pub issued_at: OffsetDateTime,
    /// Until when.
    pub expires_at: OffsetDateTime,
}

/// A nonce that is claimed with the intent to sign something with it, in the intent's transaction (P4). What a nonce
/// is good for, and what stands in its way, those know whose it is.
pub trait NonceClaim: std::fmt::Debug + Send + Sync {
    /// Puts it on record, or says why it must not be signed.
    fn claim<'a>(
        &'a self,
        by: Claimant,
        change: &'a mut Change,
    ) -> BoxFuture<'a, Result<Result<(), SigningError>, LedgerError>>;

    /// Whether others had to agree: then its asker is the author of what is put on record.
    fn is_agreed(&self) -> bool {
        false
    }
}

/// Whose intent a nonce is claimed with.
#[derive(Clone, Copy, Debug)]
pub struct Claimant {
    /// The intent.
    pub intent: IntentId,
    /// Whose.
    pub caller: CallerId,
    /// What they asked.
    pub request: RequestDigest,
}

/// A body to be answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// JSON.
    pub body: Vec<u8>,
    /// Whether it is a credential, which the ledger keeps sealed.
    pub is_secret: bool,
}
