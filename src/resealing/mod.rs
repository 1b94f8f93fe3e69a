//! How sealing keys are replaced: what rests under a former key is sealed anew under the current one,
//! stretch by stretch, while the service goes on.
//!
//! It promises that nothing is written that was not opened again, so that a process that dies on any line
//! loses nothing; that a repeated stretch changes nothing; and that a device's former key is destroyed only
//! when nothing rests under it. It **trusts** the operator to have told every replica of the new key first:
//! a replica that does not know the key cannot open what is sealed under it.
//!
//! # Why
//! The work comes in stretches, so that no request is long, each is on record with its leaf, and progress
//! shows. Devices are called before the transaction; a row that changed meanwhile is left to the next run.

mod answers;
mod holdings;
mod keys;
mod stretches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::approvals::ApprovalNeeded;
use crate::audit::Log;
use crate::clock::Clock;
use crate::credentials::records::Resting;
use crate::custody::{Custody, CustodyError, DeviceSealingKey, Vault};
use crate::ledger::LedgerError;
use crate::name::Name;
use crate::sealing::Keyring;
pub use answers::{AnswersAfter, AnswersHeld, AnswersStep};
pub use holdings::Holding;
pub use stretches::{After, Prepared, Step, Stuck, What};

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum ResealingError {
    /// No such device.
    #[error("no [custody] section has this name")]
    NoSuchDevice,
    /// The device has no such sealing key.
    #[error("the device has no such sealing key")]
    NoSuchKey,
    /// Something depends on it.
    #[error("{0}")]
    InUse(String),
    /// A second person is needed.
    #[error(transparent)]
    ApprovalNeeded(#[from] ApprovalNeeded),
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The sealing keys of the service and of its devices.
pub struct Resealing {
    log: Log,
    vault: Arc<Vault>,
    sealing: Arc<Keyring>,
    clock: Clock,
}

impl Resealing {
    /// Resealing for these devices, and for the service's own key.
    pub fn new(log: Log, vault: Arc<Vault>, sealing: Arc<Keyring>, clock: Clock) -> Self {
        Self {
            log,
            vault,
            sealing,
            clock,
        }
    }

    fn device(&self, name: &Name) -> Result<&dyn Custody, ResealingError> {
        if self.vault.names().any(|known| known == name) {
            Ok(self.vault.backend(name)?)
        } else {
            Err(ResealingError::NoSuchDevice)
        }
    }
}

async fn sealing_keys(device: &dyn Custody) -> Result<Vec<DeviceSealingKey>, CustodyError> {
    match device.seals() {
        Some(sealer) => sealer.sealing_keys().await,
        None => Ok(Vec::new()),
    }
}

/// Under which sealing keys a row's two halves rest.
fn halves_under(device: &dyn Custody, row: &Resting) -> [Option<String>; 2] {
    let under = |half: &Vec<u8>| device.seals()?.sealed_under(half);
    [&row.sealed.secret, &row.sealed.passphrase].map(under)
}
