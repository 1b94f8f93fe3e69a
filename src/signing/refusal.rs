//! Why nothing is signed, or answered.

use super::BadSignature;
use crate::credentials::LoginRefused;
use crate::custody::CustodyError;
use crate::evidence::Late;
use crate::id::IntentId;
use crate::ledger::LedgerError;
use crate::limits::Exceeded;
use crate::operations::NotClaimed;
use crate::policy::Denied;

/// Why nothing was signed, or nothing is answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SigningError {
    /// The policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The queue in front of the groups is full.
    #[error("too many requests are waiting")]
    Busy,
    /// The key does not sign in its state.
    #[error("the key is {0}")]
    KeyNotActive(&'static str),
    /// The key's cryptoperiod is over.
    #[error("the key's cryptoperiod has ended")]
    KeyExpired,
    /// The key changed between the first look and the commit.
    #[error("the key changed meanwhile")]
    KeyEpochChanged,
    /// The caller or their token was revoked, or the token expired, meanwhile.
    #[error("the caller was revoked meanwhile")]
    CallerRevoked,
    /// What decides was tightened since it was decided that this may be signed.
    #[error("what is allowed changed meanwhile")]
    AuthorityChanged,
    /// The nonce is not to be signed now.
    #[error(transparent)]
    Login(#[from] LoginRefused),
    /// The wallet operation is not to be signed now.
    #[error(transparent)]
    Operation(#[from] NotClaimed),
    /// The idempotency key stands for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The same request is being worked on.
    #[error("the same request is being worked on")]
    InFlight,
    /// What was released under the key has expired.
    #[error("what was signed under this key has expired")]
    AnswerExpired,
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The device signed something else. An alarm.
    #[error("the device's signature does not verify")]
    BadSignature(#[from] BadSignature),
    /// The signature came too late to be of use, twice.
    #[error("the signature came too late to be of use")]
    Late,
    /// Another replica ended the intent after its lease.
    #[error("the request took longer than its lease")]
    LeaseLost,
    /// The caller's patience ended first. The work goes on.
    #[error("no answer within the deadline")]
    DeadlineExceeded,
    /// Nobody knows what the time is, which goes into what would be signed.
    #[error("this service's clock is {0} ms ahead of the database's")]
    ClockOff(i64),
    /// What was written before is not published in time.
    #[error(transparent)]
    Unpublished(#[from] Late),
    /// A limit.
    #[error(transparent)]
    Limit(#[from] Box<Exceeded>),
    /// The same request came a moment ago under another key.
    #[error(transparent)]
    Same(#[from] Box<SameRequest>),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The request that another one is the same as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[error("the same was asked for a moment ago, under the Idempotency-Key {key}")]
pub struct SameRequest {
    /// The signature's id.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// The `Idempotency-Key` that it came under.
    #[serde(rename = "idempotencyKey")]
    pub key: String,
}

impl SigningError {
    /// The word for the audit log, where a release is refused behind the gate.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::CallerRevoked => "caller-revoked",
            Self::KeyNotActive(_) => "key-not-active",
            Self::KeyEpochChanged => "key-epoch-changed",
            Self::KeyExpired => "key-expired",
            Self::AuthorityChanged => "authority-changed",
            Self::Denied(denied) if denied.halt.is_some() => "halted",
            Self::Denied(_) => "denied",
            Self::Limit(_) => "limit-exceeded",
            Self::Same(_) => "same-request",
            _ => "refused",
        }
    }

    /// Whether the key that was meant does not sign any more: its wallet or client may have another
    /// one by now.
    pub fn is_about_the_key(&self) -> bool {
        matches!(self, Self::KeyNotActive(_) | Self::KeyEpochChanged)
    }
}
