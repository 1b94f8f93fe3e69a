//! Keys that a device makes: on record first, then in the device, then with the public half on record.

use super::key::at_stake;
use super::{Key, KeyError, Keys, Origin, Purpose, records};
use crate::audit::Change;
use crate::custody::{Algorithm, CustodyError, DeviceKey, KeyTemplate, Place};
use crate::id::KeyId;
use crate::ledger::{Gate, LedgerError};
use crate::name::Name;
use crate::policy::{Permit, Stake};

/// What no key is called.
const RESERVED: [&str; 3] = ["adopt", "attest", "import"];

/// What it takes to make a key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// A name that no other key has.
    #[schema(value_type = String, example = "desk-1-wallet-2026")]
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// secp256k1 for a wallet; else rsa2048 (the default for a client), rsa3072 (for checkpoints) or rsa4096.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// The `[custody.NAME]` section of the device that makes it.
    #[schema(value_type = String, example = "hsm")]
    pub backend: Name,
    /// Where it is used.
    #[schema(value_type = String, example = "prod")]
    pub environment: Name,
    /// The desk or team.
    #[schema(value_type = String, example = "desk-1")]
    pub owner: Name,
    /// How many days it is in use: at most 1,095 for a wallet key (the default), 730 for a client
    /// key (180 unless said otherwise), 1,095 for a checkpoint key (730).
    #[serde(default)]
    pub cryptoperiod_days: Option<u16>,
}

impl NewKey {
    /// What policies see of it.
    pub fn stake(&self) -> Stake {
        at_stake(
            self.purpose,
            [&self.name, &self.backend, &self.environment, &self.owner],
        )
    }
}

impl Keys {
    /// Puts a key on record and has its device make it. The rest, its public half, is recorded with
    /// [`record`](Self::record). If the process dies in between, the row without a public key is the
    /// trace; asked for once more under the same name, the work is finished.
    pub async fn make(
        &self,
        new: &NewKey,
        permit: &Permit,
    ) -> Result<(KeyId, DeviceKey), KeyError> {
        let mut change = self.log.begin(Gate::Shared, permit.author()).await?;
        let id = match self.plan(new, &mut change).await {
            Ok(id) => id,
            Err(KeyError::NameTaken) => {
                change.abandon().await;
                return self.finish(new).await;
            }
            Err(error) => {
                change.abandon().await;
                return Err(error);
            }
        };
        let _held = self.held(id).await?; // before anybody can see it
        change.commit().await?;
        crate::fail_point!("key-on-record");

        let device = self.vault.backend(&new.backend)?;
        let made = device.generate(&template(id, new, algorithm(new)?)).await?;
        crate::fail_point!("key-made");
        Ok((id, made))
    }

    /// Puts a key on record that its device has not made yet.
    pub async fn plan(&self, new: &NewKey, change: &mut Change) -> Result<KeyId, KeyError> {
        let approval = change.loosen();
        let (algorithm, days) = self.fits(new)?;
        let id = KeyId::new();
        let row = (id, algorithm, Origin::Created, days);
        records::insert(row, new, change)
            .await
            .map_err(name_taken)?;
        let details = serde_json::json!({
            "name": new.name, "purpose": new.purpose, "algorithm": algorithm,
            "backend": new.backend, "environment": new.environment, "owner": new.owner,
            "cryptoperiod_days": days,
        });
        change.note_as(approval, "create-key", id, &details);
        Ok(id)
    }

    /// Says what is wrong with a key that is to be made later.
    pub async fn check(&self, new: &NewKey) -> Result<(), KeyError> {
        self.fits(new)?;
        match records::find(&new.name, self.log.authority()).await? {
            Some(_) => Err(KeyError::NameTaken),
            None => Ok(()),
        }
    }

    /// The algorithm and the days of a new key.
    pub(super) fn fits(&self, new: &NewKey) -> Result<(Algorithm, u16), KeyError> {
        free(&new.name)?;
        let algorithm = algorithm(new)?;
        let days = new.cryptoperiod_days.unwrap_or(new.purpose.default_days());
        if !(1..=new.purpose.longest_days()).contains(&days) {
            return Err(KeyError::Cryptoperiod(new.purpose.longest_days()));
        }
        self.is_there(&new.backend)?;
        Ok((algorithm, days))
    }

    /// Whether a new key can name this device.
    pub(super) fn is_there(&self, backend: &Name) -> Result<(), KeyError> {
        if self.vault.names().any(|name| name == backend) {
            return Ok(());
        }
        Err(KeyError::NoSuchDevice {
            name: backend.clone(),
            there: self.vault.names().cloned().collect(),
        })
    }

    /// Has a planned key made by its device, unless the device has it already: whoever planned it may
    /// have died since.
    pub async fn made(&self, id: KeyId, planned: &NewKey) -> Result<DeviceKey, KeyError> {
        let _held = self.held(id).await?;
        let device = self.vault.backend(&planned.backend)?;
        let algorithm = algorithm(planned)?;
        let place = Place {
            id,
            algorithm,
            device_ref: None,
        };
        match device.recover(&place).await {
            Err(CustodyError::NotFound { found: 0, .. }) => {
                Ok(device.generate(&template(id, planned, algorithm)).await?)
            }
            found => Ok(found?),
        }
    }

    /// Records what the device has made. The key is then in `pre-activation`.
    pub async fn record(
        &self,
        id: KeyId,
        made: &DeviceKey,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let key = records::set_public_key(id, made, change).await?;
        let details = serde_json::json!({
            "fingerprint": hex::encode(made.public_key.fingerprint()),
            "attributes": made.attributes,
            "device_ref": made.device_ref,
        });
        let approval = change.loosen();
        change.note_as(approval, "record-public-key", id, &details);
        Ok(key)
    }
}

/// The algorithm of a new key: what is asked for, or what its purpose is best served with.
pub(super) fn algorithm(new: &NewKey) -> Result<Algorithm, KeyError> {
    match (new.purpose, new.algorithm) {
        (Purpose::Wallet, None | Some(Algorithm::Secp256k1)) => Ok(Algorithm::Secp256k1),
        (Purpose::Client, None) => Ok(Algorithm::Rsa2048),
        (Purpose::Checkpoint, None) => Ok(Algorithm::Rsa3072),
        (Purpose::Client | Purpose::Checkpoint, Some(rsa)) if rsa != Algorithm::Secp256k1 => {
            Ok(rsa)
        }
        _ => Err(KeyError::WrongAlgorithm),
    }
}

/// What a device is told of a new key.
pub(super) fn template(id: KeyId, new: &NewKey, algorithm: Algorithm) -> KeyTemplate {
    let labels = [
        ("name", new.name.to_string()),
        ("owner", new.owner.to_string()),
        ("purpose", new.purpose.name().to_owned()),
        ("environment", new.environment.to_string()),
    ];
    KeyTemplate {
        id,
        algorithm,
        labels: labels.into(),
    }
}

/// Refuses a name that stands in a path where something else is meant: `/v1/keys/import` is no key.
pub(super) fn free(name: &Name) -> Result<(), KeyError> {
    if RESERVED.contains(&name.as_str()) {
        return Err(KeyError::Reserved(name.clone()));
    }
    Ok(())
}

/// The ledger's refusal of a name that another key has.
pub(super) fn name_taken(error: LedgerError) -> KeyError {
    match error.constraint() {
        Some("keys_name_is_unique") => KeyError::NameTaken,
        _ => error.into(),
    }
}
