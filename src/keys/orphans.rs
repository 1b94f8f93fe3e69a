//! Orphans: keys on record without a public half, because the process that had them made died, or the
//! device did not answer.
//!
//! The device may hold such a key. It is found by its id, and finished or destroyed, never forgotten.

use time::Duration;

use super::making::{algorithm, template};
use super::{Key, KeyError, KeyState, Keys, NewKey, Origin, records};
use crate::audit::Change;
use crate::custody::{CustodyError, DeviceKey};
use crate::id::KeyId;
use crate::ledger::Held;
use crate::policy::Permit;

/// How long a device may still be making a key after the process that ordered it died.
const STILL_AT_IT: Duration = Duration::minutes(3);

/// A key without a public half on record.
pub struct Orphan {
    /// Its row.
    pub key: Key,
    /// What its device holds.
    pub in_device: InDevice,
}

/// What a device holds of an orphan.
pub enum InDevice {
    /// The key, whole and safe: it can be recovered.
    Made(Box<DeviceKey>),
    /// The device holds no such key.
    Nothing,
    /// The device does not say, or holds a key that must not be used.
    Unknown(CustodyError),
}

impl Keys {
    /// All orphans, and what their devices hold. That may take long.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, KeyError> {
        let mut orphans = Vec::new();
        for key in records::orphans(self.log.authority()).await? {
            let found = match self.vault.backend(&key.backend) {
                Ok(device) => device.recover(&key.place()).await,
                Err(error) => Err(error),
            };
            let in_device = match found {
                Ok(found) => InDevice::Made(Box::new(found)),
                Err(CustodyError::NotFound { found: 0, .. }) => InDevice::Nothing,
                Err(error) => InDevice::Unknown(error),
            };
            orphans.push(Orphan { key, in_device });
        }
        Ok(orphans)
    }

    /// Reads back the key that the device made for an orphan. [`recovered`](Self::recovered) records it.
    pub async fn recover(&self, key: &Key, permit: &Permit) -> Result<DeviceKey, KeyError> {
        permit.loosen()?;
        let _held = self.held(key.id).await?;
        let brought = key.origin == Origin::Imported; // an import is begun again instead
        if brought || key.public_key.is_some() || key.state != KeyState::PreActivation {
            return Err(KeyError::NoOrphan);
        }
        let device = self.vault.backend(&key.backend)?;
        match device.recover(&key.place()).await {
            Err(CustodyError::NotFound { found: 0, .. }) => Err(KeyError::NeverMade),
            found => Ok(found?),
        }
    }

    /// Records a key that was read back. It is then in `pre-activation`, as if it had just been made.
    pub async fn recovered(
        &self,
        id: KeyId,
        found: &DeviceKey,
        reason: &str,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let approval = change.loosen();
        let details = serde_json::json!({ "reason": reason });
        change.note_as(approval, "recover-key", id, &details);
        self.record(id, found, change).await
    }

    /// Finishes a key that an earlier, equal request began and nobody finished.
    pub(super) async fn finish(&self, new: &NewKey) -> Result<(KeyId, DeviceKey), KeyError> {
        let begun = self.show(&new.name).await?;
        if !is_the_same(&begun, new)? {
            return Err(KeyError::NameTaken);
        }
        let _held = self.held(begun.id).await?;
        let device = self.vault.backend(&begun.backend)?;
        match device.recover(&begun.place()).await {
            Err(CustodyError::NotFound { found: 0, .. }) => {}
            found => return Ok((begun.id, found?)),
        }
        // A device that is still making the key would make a second pair under the same id.
        let left = begun.created_at + STILL_AT_IT - self.clock.now();
        if left.is_positive() {
            let retry_after_s = u32::try_from(left.whole_seconds()).unwrap_or(0).max(1);
            return Err(KeyError::BeingMade { retry_after_s });
        }
        let template = template(begun.id, new, begun.algorithm);
        Ok((begun.id, device.generate(&template).await?))
    }

    /// The lock on a key, across replicas, while its device makes it or is told what to do with it.
    pub(crate) async fn held(&self, id: KeyId) -> Result<Held, KeyError> {
        let held = self.ledger.hold(id.uuid()).await?;
        held.ok_or(KeyError::BeingMade { retry_after_s: 2 })
    }
}

/// Whether a request asks for exactly this key, of which only the row exists.
fn is_the_same(begun: &Key, new: &NewKey) -> Result<bool, KeyError> {
    let days = new.cryptoperiod_days.unwrap_or(new.purpose.default_days());
    let period = begun.cryptoperiod_ends_at - begun.created_at;
    // Two clocks were read.
    let same_period = (period - Duration::days(days.into())).abs() < Duration::hours(1);
    Ok(same_period
        && begun.public_key.is_none()
        && begun.state == KeyState::PreActivation
        && begun.origin == Origin::Created
        && begun.purpose == new.purpose
        && begun.algorithm == algorithm(new)?
        && begun.backend == new.backend
        && begun.environment == new.environment
        && begun.owner == new.owner)
}
