//! Why a recipient was not added, or not found.

use super::Unfit;
use crate::clob::wallets::WalletError;
use crate::ledger::LedgerError;
use crate::name::Name;

/// Why a recipient was not added, or not found.
#[derive(Debug, thiserror::Error)]
pub enum RecipientError {
    /// None has this name.
    #[error("no such recipient")]
    NotFound,
    /// Another one has the name.
    #[error("another recipient has this name")]
    NameTaken,
    /// One address has one name.
    #[error("the address is {0}'s already, and one address has one name on a chain")]
    AddressTaken(Name),
    /// Nothing should be sent there.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The wallets.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
