//! Keys: which there are, in which device, in which state.
//!
//! A key's row is on record before its device is asked to make it, so that a key made by a process
//! that then died has a trace. Its state moves only along the edges of [`KeyState::step`], which the
//! database enforces too, and each step raises its epoch: a signature begun under one epoch is not
//! released under another.
//!
//! A row says only what is stated ([`authority`](crate::authority)): whoever changes one by themselves, against the
//! triggers that guard it, brings no key back and points no wallet at another one. It **trusts** what
//! `authority` trusts.

mod adoption;
mod bundle;
pub mod cryptoperiod;
mod device_switch;
mod error;
mod import;
mod key;
mod making;
mod orphans;
pub(crate) mod records;
pub mod state;
mod steps;
mod suspension;

use std::sync::Arc;

use crate::audit::{Change, Log};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::custody::Vault;
use crate::id::KeyId;
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
pub use crate::reason::{Justification, Reason};
pub use adoption::{Adoption, Use};
pub use bundle::Bundle;
pub use cryptoperiod::BadPeriod;
pub use device_switch::DeviceSwitch;
pub use error::KeyError;
pub use import::{Begun, Import, WrappedKey};
pub use key::{Key, Origin, Purpose};
pub use making::NewKey;
pub use orphans::{InDevice, Orphan};
pub use state::{KeyState, NotAStep};
pub use steps::{CryptoperiodEnd, KeyStep, Taken};

/// All keys on record, by name.
pub async fn list(authority: &Authority) -> Result<Vec<Key>, LedgerError> {
    records::list(authority).await
}

/// The same as they are, whatever is stated: to look at, and for nothing else.
pub async fn as_they_are(ledger: &Ledger) -> Result<Vec<Key>, LedgerError> {
    records::as_they_are(ledger).await
}

/// The keys of this service.
#[derive(Clone)]
pub struct Keys {
    ledger: Ledger,
    log: Log,
    vault: Arc<Vault>,
    clock: Clock,
}

impl Keys {
    /// Keys on this ledger, in these devices.
    pub fn new(log: Log, vault: Arc<Vault>, clock: Clock) -> Self {
        Self {
            ledger: log.ledger().clone(),
            log,
            vault,
            clock,
        }
    }

    /// All keys, by name.
    pub async fn list(&self) -> Result<Vec<Key>, KeyError> {
        Ok(list(self.log.authority()).await?)
    }

    /// One key.
    pub async fn show(&self, name: &Name) -> Result<Key, KeyError> {
        records::find(name, self.log.authority())
            .await?
            .ok_or(KeyError::NotFound)
    }

    /// The steps that a key has taken, the oldest first.
    pub async fn steps(&self, key: &Key) -> Result<Vec<Taken>, KeyError> {
        Ok(records::steps(key.id, &self.ledger).await?)
    }

    /// The key with this id, if there is one.
    pub async fn by_id(&self, id: KeyId) -> Result<Option<Key>, KeyError> {
        Ok(self.by_ids(&[id]).await?.pop())
    }

    /// A key as a transaction sees it.
    pub(crate) async fn within(&self, id: KeyId, change: &mut Change) -> Result<Key, KeyError> {
        records::find_within(id, change)
            .await?
            .ok_or(KeyError::NotFound)
    }

    /// The keys with these ids.
    pub async fn by_ids(&self, ids: &[KeyId]) -> Result<Vec<Key>, KeyError> {
        Ok(records::find_all(ids, self.log.authority()).await?)
    }
}
