//! Logins: which nonce was signed for which address, and what came of it.

use time::OffsetDateTime;

use super::{Account, CredentialNonce, State};
use crate::id::{CallerId, IntentId, WalletId};

pub(crate) mod records;

words! {
    /// What a login is signed for.
    pub enum Purpose {
        /// The service sends it to create an API key.
        Create = "create",
        /// The service sends it to derive one; it goes nowhere else.
        Derive = "derive",
        /// A caller gets it, and may send it to either.
        Header = "header",
    }
}

/// What of the account may end with this login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Replaces {
    /// Nothing: there must be no API key that may be live.
    #[default]
    Nothing,
    /// This API key, and no other.
    Key(String),
    /// Whatever there is: the wallet allows it.
    Anything,
}

/// A login that wants to be signed: a claim on a nonce, decided with the INTENT.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who logs in.
    pub account: Account,
    /// By way of which wallet.
    pub wallet: WalletId,
    /// The nonce.
    pub nonce: CredentialNonce,
    /// What for.
    pub purpose: Purpose,
    /// The timestamp in the message, unix seconds.
    pub signed_for: i64,
    /// What may end with it.
    pub replaces: Replaces,
    /// The right is only to derive: the nonce must have made an API key already.
    pub only_derives: bool,
    /// How a nonce comes on record that is not there yet.
    pub origin: Origin,
}

words! {
    /// How a nonce came on record.
    pub enum Origin {
        /// First used here.
        Signed = "signed",
        /// An operator says that it was used elsewhere.
        Declared = "declared",
        /// A search tried it.
        Searched = "searched",
    }
}

/// Why a login is not signed. Nothing was put on record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// Creating again would be refused by the venue.
    #[error("nonce {nonce} made the API key {api_key} already")]
    AlreadyMade {
        /// The nonce.
        nonce: CredentialNonce,
        /// What it made.
        api_key: String,
    },
    /// The right to derive is not enough for a nonce that may still create.
    #[error(
        "nonce {0} is not known to have made an API key, so that signing it takes the right to create one"
    )]
    NotMade(CredentialNonce),
    /// What another nonce did is not known yet.
    #[error("what nonce {nonce} did, signed for {signed_for}, is not known yet")]
    Unsettled {
        /// The other nonce.
        nonce: CredentialNonce,
        /// Its latest timestamp, unix seconds.
        signed_for: i64,
    },
    /// There is an API key that would end.
    #[error("a new API key would end {api_key}, which may be live")]
    WouldReplace {
        /// The API key.
        api_key: String,
    },
}

/// A nonce on record, and what became of it.
#[derive(Clone, Debug)]
pub struct NonceEntry {
    /// Whose nonce.
    pub account: Account,
    /// The nonce.
    pub nonce: CredentialNonce,
    /// `signed`, `declared` or `searched`.
    pub origin: String,
    /// When it was put on record.
    pub recorded_at: OffsetDateTime,
    /// By whom.
    pub recorded_by: CallerId,
    /// What it made, and the state of that.
    pub made: Option<(String, State)>,
    /// The logins signed with it, oldest first.
    pub logins: Vec<LoginEntry>,
}

/// A login on record.
#[derive(Clone, Debug)]
pub struct LoginEntry {
    /// The signature's id.
    pub intent: IntentId,
    /// By way of which wallet.
    pub wallet: WalletId,
    /// For whom.
    pub caller: CallerId,
    /// `create`, `derive` or `header`.
    pub purpose: String,
    /// The timestamp in the message, unix seconds.
    pub signed_for: i64,
    /// When it was put on record.
    pub at: OffsetDateTime,
    /// Whether it was released; none while that is open.
    pub signature: Option<String>,
    /// `made`, `refused`, `nothing`; none while it is not known.
    pub outcome: Option<String>,
}
