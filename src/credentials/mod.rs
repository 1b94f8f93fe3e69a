//! The CLOB's API keys: which nonce was signed for which address, what came of it, and the secrets.
//!
//! It promises that a nonce is on record before anything signed with it leaves, and that nothing is signed
//! that could end a live API key unless somebody meant it (P4). The transaction of the INTENT decides, with
//! the account's row locked, so that no two replicas decide at once.
//!
//! It **trusts** the venue's word that a nonce made an API key, and nobody's word that it made none: that is
//! settled only when the signed timestamp has left the venue's window.
//!
//! # Why
//! An API key belongs to an address, which several wallets may share; so an account is a chain and an
//! address. One signed message serves to create and to derive. Whoever holds it can create with it, and a
//! new key ends the old one: so a header that leaves the service counts as a create.

mod nonce;
pub(crate) mod records;
mod secrets;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::ethereum::Address;
use crate::id::{CallerId, IntentId, WalletId};
pub use nonce::{CredentialNonce, NotANonce};
pub use secrets::in_use;

/// Who logs in: an address, and the chain that the login names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// `chainId`.
    pub chain_id: u64,
    /// The key's address.
    pub address: Address,
}

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

words! {
    /// What an API key is for.
    #[derive(utoipa::ToSchema)]
    #[schema(as = CredentialKind)]
    pub enum Kind {
        /// L2 headers.
        Trading = "trading",
        /// Builder headers.
        Builder = "builder",
    }
}

words! {
    /// Whether an API key works.
    #[derive(utoipa::ToSchema)]
    #[schema(as = CredentialState)]
    pub enum State {
        /// No call with it has worked yet.
        Unproven = "unproven",
        /// The last call with it worked.
        Live = "live",
        /// A newer one is live.
        Replaced = "replaced",
        /// The venue refuses it.
        Dead = "dead",
        /// Deleted on request.
        Deleted = "deleted",
    }
}

/// An API key on record, its secrets sealed.
#[derive(Clone)]
pub struct Credential {
    /// Its id here.
    pub id: Uuid,
    /// Whose it is.
    pub account: Account,
    /// What it is for.
    pub kind: Kind,
    /// The id that the venue gave it.
    pub api_key: String,
    /// The nonce that made it; none where it was given to us.
    pub nonce: Option<CredentialNonce>,
    /// Whether it works.
    pub state: State,
    /// Since when it has this state.
    pub state_at: OffsetDateTime,
    /// When it was put on record.
    pub created_at: OffsetDateTime,
    /// By whom.
    pub created_by: CallerId,
    /// Its secrets.
    pub sealed: SealedPair,
}

/// The secret and the passphrase of an API key, sealed.
#[derive(Clone)]
pub struct SealedPair {
    /// The device that opens them: the name of a `[custody.NAME]` section.
    pub sealed_in: String,
    /// Part of the associated data; raised when they are sealed anew.
    pub version: i32,
    /// The HMAC secret, as text.
    pub secret: Vec<u8>,
    /// The passphrase, as text.
    pub passphrase: Vec<u8>,
}

/// Which half of a [`SealedPair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The HMAC secret.
    Secret,
    /// The passphrase.
    Passphrase,
}

/// The associated data that a half is sealed with: moved to another account, API key, kind, version
/// or half, it does not open.
pub fn associated_data(
    account: &Account,
    kind: Kind,
    api_key: &str,
    version: i32,
    half: Half,
) -> Vec<u8> {
    let half = match half {
        Half::Secret => "secret",
        Half::Passphrase => "passphrase",
    };
    let (chain, kind) = (account.chain_id, kind.name());
    format!(
        "chancery credential\n{half}\n{kind}\n{chain}\n{}\n{version}\n{api_key}",
        account.address
    )
    .into_bytes()
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
