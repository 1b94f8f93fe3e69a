//! Whose address it is: from an Ethereum account to the wallets that its key signs for.
//!
//! Tools that speak JSON-RPC know accounts, which are addresses of keys; one key may sign for several
//! wallets. They ask for the list before every step, so it is kept for a moment.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::wallets::{Wallet, WalletError, Wallets};

/// How long the list is taken without asking again. What signs with a wallet of it passes the gate, where it
/// is looked at again; a login, which asks for more, takes the wallet as it is now.
const REMEMBER: Duration = Duration::from_secs(1);

/// The wallets as accounts.
#[derive(Clone)]
pub struct Accounts {
    wallets: Wallets,
    known: Cache<(), Arc<Vec<Wallet>>>,
}

impl Accounts {
    /// Accounts of these wallets.
    pub fn new(wallets: Wallets) -> Self {
        let known = Cache::builder().time_to_live(REMEMBER).build();
        Self { wallets, known }
    }

    /// All wallets by name, as they were at most a second ago.
    pub async fn recent(&self) -> Result<Arc<Vec<Wallet>>, WalletError> {
        match self.known.get(&()).await {
            Some(known) => Ok(known),
            None => self.fresh().await,
        }
    }

    /// All wallets by name, as they are.
    pub async fn fresh(&self) -> Result<Arc<Vec<Wallet>>, WalletError> {
        let fresh = Arc::new(self.wallets.list().await?);
        self.known.insert((), fresh.clone()).await;
        Ok(fresh)
    }
}
