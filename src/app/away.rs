//! Devices that have not answered for so long that somebody has to know.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::custody::Vault;
use crate::name::Name;

/// A device that was away for a moment is nobody's concern.
const LONG: Duration = Duration::from_mins(5);

/// Since when devices have not answered.
#[derive(Default)]
pub(super) struct Away(Mutex<BTreeMap<Name, Instant>>);

impl Away {
    /// Asks all of them, and raises an alarm for each that has been away for long.
    pub(super) async fn look(&self, vault: &Vault) {
        let health = vault.health().await;
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, health) in health {
            let Err(error) = health else {
                away.remove(&name);
                continue;
            };
            let since = *away.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= LONG {
                tracing::error!(alarm = "device-down", custody.backend = %name, %error,
                    "a device has not answered for minutes: its keys sign nothing until it does");
            }
        }
    }
}
