//! Whose operations they are: a key, and the account that it speaks for.

use ruint::aliases::U256;

use super::step::Place;
use crate::ethereum::Address;

words! {
    /// What holds the assets.
    pub enum AccountKind {
        /// The key's own address.
        Own = "own",
        /// A proxy wallet.
        Proxy = "proxy",
        /// A Safe.
        Safe = "safe",
        /// A deposit wallet.
        Deposit = "deposit",
    }
}

/// A key, and the account that it speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// What the account is.
    pub kind: AccountKind,
    /// Where it is.
    pub place: Place,
    /// The key's address.
    pub signer: Address,
    /// Whether the key is a session key of a deposit wallet, and not its owner.
    pub is_session_key: bool,
}

words! {
    /// What counts the nonces.
    pub enum Counter {
        /// The transactions of the key's own address.
        Transactions = "transactions",
        /// The Safe.
        Safe = "safe",
        /// The making of the key's Safe, which happens once.
        SafeCreation = "safe-creation",
        /// The relay hub, for the key's address.
        RelayHub = "relay-hub",
        /// The deposit wallet.
        Deposit = "deposit",
    }
}

/// A nonce: of which counter, and which. What is signed with one of the same place can happen once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// On which chain.
    pub chain_id: u64,
    /// Whose.
    pub address: Address,
    /// What counts.
    pub counter: Counter,
    /// Which.
    pub nonce: U256,
}
