//! A nonce is claimed with the intent to sign something with it: one signature of each is live, whoever races.
//!
//! # Why
//! A nonce happens once on the chain, and that is all that keeps a payment from happening twice. So what is signed
//! for another nonce while it is not known what became of the first is refused where it does the same, and no nonce
//! is ever taken from what somebody answers: callers name it, and it follows the last one.

use ruint::aliases::U256;

use super::account::Turn;
use super::form::PlanKind;
use crate::ethereum::Address;
use crate::id::{IntentId, WalletId};

/// An operation that wants to be signed, as far as others stand in its way.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Of which wallet.
    pub wallet: WalletId,
    /// What holds the assets.
    pub holder: Address,
    /// What is signed.
    pub kind: PlanKind,
    /// Which nonce.
    pub turn: Turn,
    /// What it does, whatever the nonce.
    pub calls_hash: [u8; 32],
    /// Whether it does nothing.
    pub is_cancellation: bool,
    /// Whom it pays.
    pub recipient: Option<Address>,
    /// What leaves, in units of 10⁻⁶.
    pub outflow: i64,
    /// What had left within a day when it was decided, in the same units.
    pub left_before: i64,
    /// Until when it can be carried out, in unix seconds.
    pub expires_at: Option<i64>,
    /// The live one with its nonce that it is to replace.
    pub replaces: Option<IntentId>,
    /// What a second person agrees to, where one has to.
    pub agreed: Option<serde_json::Value>,
}

words! {
    /// What became of an operation.
    #[derive(utoipa::ToSchema)]
    #[schema(as = OperationState)]
    pub enum State {
        /// It is signed, or being signed.
        Live = "live",
        /// Nothing was released.
        Unsigned = "unsigned",
        /// Another one with its nonce was signed since; either may happen.
        Replaced = "replaced",
        /// Its deadline was over when another one with its nonce was signed.
        Expired = "expired",
        /// It happened.
        Executed = "executed",
        /// It can happen no more.
        Dead = "dead",
    }
}

/// Why an operation is not signed now. Nothing was put on record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotClaimed {
    /// Another one has the nonce.
    #[error(
        "nonce {nonce} is that of operation {by}, which is live: replace it (replaces), or put on record what became of it"
    )]
    Taken {
        /// The nonce.
        nonce: U256,
        /// The other one.
        by: IntentId,
    },
    /// It is spent.
    #[error("nonce {nonce} is spent: the next one on record is {next}")]
    Spent {
        /// The nonce.
        nonce: U256,
        /// What would follow.
        next: U256,
    },
    /// There is a gap before it.
    #[error("nonce {nonce} does not follow: the next one on record is {next}")]
    Ahead {
        /// The nonce.
        nonce: U256,
        /// What would follow.
        next: U256,
    },
    /// The same was signed for another nonce.
    #[error(
        "operation {by} does the same with nonce {nonce}, and what became of it is not on record: both could happen"
    )]
    Unsettled {
        /// The other one.
        by: IntentId,
        /// Its nonce.
        nonce: U256,
    },
    /// It cannot take the other one's place.
    #[error("replaces: {0}")]
    NoReplacement(&'static str),
    /// Something left meanwhile.
    #[error("something else left the wallet while this was decided")]
    Moved,
}
