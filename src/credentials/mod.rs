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

pub(crate) mod logins;
mod nonce;
pub(crate) mod records;
mod secrets;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::ethereum::Address;
use crate::id::CallerId;
pub use logins::records::NonceFilter;
pub use logins::{Login, LoginEntry, LoginRefused, NonceEntry, Origin, Purpose, Replaces};
pub use nonce::{CredentialNonce, NotANonce};
pub use secrets::{Half, SealedPair, associated_data, in_use};

/// Who logs in: an address, and the chain that the login names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// `chainId`.
    pub chain_id: u64,
    /// The key's address.
    pub address: Address,
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
