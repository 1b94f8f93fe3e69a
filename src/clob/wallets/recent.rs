//! Wallets as they were a moment ago.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::Wallet;
use crate::name::Name;

/// How long a wallet is taken as it was: one look a second for a wallet that is always signed with.
const REMEMBER: Duration = Duration::from_secs(1);

/// So many wallets, of some two kilobytes each. Who asks for many drives out only what is asked for seldom.
const WALLETS: u64 = 10_000;

/// Wallets by name, for what passes the gate and for nothing else, each as it was compared with what is stated; one
/// of which something else is stated since is not given out.
///
/// # Why a second is no risk
/// Nothing that goes into a signature changes: chain, signature type, funder, owner and environment of a
/// wallet are for ever, and so is the place of its key. What changes is the key's state, its epoch and its
/// period, and the gate looks at those again, as at the caller: a wallet that is closed, suspended, replaced
/// or revoked a moment ago on another replica signs nothing here, for its key does not. A key that was
/// brought back has another epoch; what is refused for that is looked up again and tried once more. Left are
/// `successor`, which only a refusal names, and `allow_replace`: whoever needs these takes a wallet as it is
/// now. A name that nothing has is never remembered.
#[derive(Clone)]
pub(super) struct Recent(Cache<Name, Arc<Wallet>>);

impl Recent {
    pub(super) fn new() -> Self {
        let recent = Cache::builder()
            .max_capacity(WALLETS)
            .time_to_live(REMEMBER);
        Self(recent.build())
    }

    pub(super) fn get(&self, name: &Name) -> Option<Arc<Wallet>> {
        self.0.get(name)
    }

    pub(super) fn put(&self, wallet: Wallet) -> Arc<Wallet> {
        let wallet = Arc::new(wallet);
        self.0.insert(wallet.name.clone(), wallet.clone());
        wallet
    }

    pub(super) fn forget(&self) {
        self.0.invalidate_all();
    }
}
