//! Keys: which there are, in which device, in which state.
//!
//! A key's row is on record before its device is asked to make it, so that a key made by a process
//! that then died has a trace. Its state moves only along the edges of [`KeyState::step`], which the
//! database enforces too, and each step raises its epoch: a signature begun under one epoch is not
//! released under another.
//!
//! It **trusts** the `keys` table for which public key is meant. Who can change that column, against
//! the trigger that guards it, can point a wallet at another key of the same device.

mod adoption;
mod bundle;
pub mod cryptoperiod;
mod device_switch;
mod import;
mod orphans;
pub mod reason;
pub(crate) mod records;
pub mod state;
mod suspension;

use std::sync::Arc;

use time::OffsetDateTime;

use crate::approvals::{Approval, ApprovalNeeded};
use crate::audit::{Change, Log};
use crate::clock::Clock;
use crate::custody::{
    Algorithm, Attributes, CustodyError, DeviceKey, DeviceRef, KeyRef, KeyTemplate, Place,
    PublicKey, Vault,
};
use crate::id::KeyId;
use crate::ledger::{Gate, Ledger, LedgerError};
use crate::name::Name;
use crate::policy::{Permit, Resource};
pub use adoption::{Adoption, Use};
pub use bundle::Bundle;
pub use cryptoperiod::BadPeriod;
pub use device_switch::Switch;
pub use import::{Begun, Import};
pub use orphans::{InDevice, Orphan};
pub use reason::{Justification, Reason};
pub use state::{KeyState, NotAStep};

/// What no key is called.
const RESERVED: [&str; 3] = ["adopt", "attest", "import"];

words! {
    /// What a key is for. Never two things.
    #[derive(utoipa::ToSchema)]
    pub enum Purpose {
        /// Signs orders.
        Wallet = "wallet",
        /// Signs client assertions.
        Client = "client",
        /// Signs what the service states itself, such as attestations of other keys.
        Checkpoint = "checkpoint",
    }
}

words! {
    /// Where a key comes from. It never changes.
    #[derive(utoipa::ToSchema)]
    #[schema(as = KeyOrigin)]
    pub enum Origin {
        /// Its device made it for us.
        Created = "created",
        /// Its device made it before we knew it.
        Adopted = "adopted",
        /// It existed outside a device.
        Imported = "imported",
    }
}

/// A key on record.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub purpose: Purpose,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// Which device holds it: the name of a `[custody.NAME]` section.
    pub backend: Name,
    /// What its device calls it, where it does not go by our id.
    pub device_ref: Option<DeviceRef>,
    /// Where it comes from.
    pub origin: Origin,
    /// Where it is used: `prod`, `preprod`, …. Never in two places.
    pub environment: Name,
    /// The desk or team.
    pub owner: Name,
    /// Its state.
    pub state: KeyState,
    /// How often its state has changed.
    pub epoch: i64,
    /// Its public half; absent while the device has not made it.
    pub public_key: Option<PublicKey>,
    /// The private half's attributes as the device stated them.
    pub attributes: Attributes,
    /// When it was put on record.
    pub created_at: OffsetDateTime,
    /// After this it signs nothing.
    pub cryptoperiod_ends_at: OffsetDateTime,
}

impl Key {
    /// The key as policies see it.
    pub fn resource(&self) -> Resource {
        Resource::owned("Key", &self.name, &self.owner, &self.environment)
            .with("purpose", &self.purpose.name())
    }

    /// Where to find it in its device.
    pub fn place(&self) -> Place {
        Place {
            id: self.id,
            algorithm: self.algorithm,
            device_ref: self.device_ref.clone(),
        }
    }

    /// The same, to sign with it.
    pub fn reference(&self) -> Option<KeyRef> {
        let public_key = self.public_key.clone()?;
        let place = self.place();
        Some(KeyRef { place, public_key })
    }
}

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

/// Why a key was not made, found or moved.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name is taken.
    #[error("a key with this name exists")]
    NameTaken,
    /// No key has this name.
    #[error("no such key")]
    NotFound,
    /// It is on record, under another name.
    #[error("this key is on record already, under another name")]
    OnRecord,
    /// It was declared compromised.
    #[error("this key was declared compromised: it is not taken again")]
    WasCompromised,
    /// The name is a word of the API.
    #[error("name: {0:?} is a word of the API; choose another")]
    Reserved(Name),
    /// No device has the name.
    #[error("backend: no device is called {name}; there is {}", listed(.there))]
    NoSuchDevice {
        /// The name.
        name: Name,
        /// Those that are configured.
        there: Vec<Name>,
    },
    /// What was announced is not a public key.
    #[error("public_key: this is not a PEM public key, -----BEGIN PUBLIC KEY-----")]
    NotAPublicKey,
    /// Nothing is waited for.
    #[error("no key is waited for: the import was not begun, or its time is over, or it is done")]
    NoImport,
    /// Another request is at the device.
    #[error("another request is bringing this key")]
    ImportUnderWay,
    /// The algorithm does not fit the purpose.
    #[error("a wallet key is secp256k1; any other is rsa2048, rsa3072 or rsa4096")]
    WrongAlgorithm,
    /// The cryptoperiod is too long, or nothing.
    #[error("cryptoperiod_days is 1 to {0} for such a key")]
    Cryptoperiod(u16),
    /// The cryptoperiod is not changed so.
    #[error(transparent)]
    BadPeriod(#[from] BadPeriod),
    /// The step does not exist.
    #[error(transparent)]
    NotAStep(#[from] NotAStep),
    /// The key was moved by somebody else in the meantime.
    #[error("the key changed in the meantime")]
    Changed,
    /// The device never made the key.
    #[error("the device has not made this key")]
    NeverMade,
    /// Its public half is on record.
    #[error("the key has its public half on record, or is one that is brought")]
    NoOrphan,
    /// In this state it is not switched so in its device.
    #[error("a key that is {} is not {} in its device: {}", .from.name(), if *.enabled { "enabled" } else { "disabled" }, if *.enabled { "it never signs again" } else { "suspend it first, or leave it to its destruction" })]
    NotSwitched {
        /// Its state.
        from: KeyState,
        /// What was asked for.
        enabled: bool,
    },
    /// It is being made, or its device may still be at it.
    #[error("the key is being made, or its device may still be at it")]
    BeingMade {
        /// After how many seconds that is over.
        retry_after_s: u32,
    },
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

/// All keys on record, by name.
pub async fn list(ledger: &Ledger) -> Result<Vec<Key>, LedgerError> {
    records::list(ledger).await
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
        Ok(list(&self.ledger).await?)
    }

    /// One key.
    pub async fn show(&self, name: &Name) -> Result<Key, KeyError> {
        records::find(name, &self.ledger)
            .await?
            .ok_or(KeyError::NotFound)
    }

    /// The key with this id, if there is one.
    pub async fn by_id(&self, id: KeyId) -> Result<Option<Key>, KeyError> {
        Ok(self.by_ids(&[id]).await?.pop())
    }

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
        let approval = change.loosen()?;
        let (algorithm, days) = self.fits(new)?;
        let id = KeyId::new();
        let ends_at = self.clock.now() + time::Duration::days(i64::from(days));
        let row = (id, algorithm, Origin::Created, ends_at);
        records::insert(row, new, change.tx())
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
        match records::find(&new.name, &self.ledger).await? {
            Some(_) => Err(KeyError::NameTaken),
            None => Ok(()),
        }
    }

    /// The algorithm and the days of a new key.
    fn fits(&self, new: &NewKey) -> Result<(Algorithm, u16), KeyError> {
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
    fn is_there(&self, backend: &Name) -> Result<(), KeyError> {
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

    /// A key as a transaction sees it.
    pub(crate) async fn within(&self, id: KeyId, change: &mut Change) -> Result<Key, KeyError> {
        records::find_within(id, change.tx())
            .await?
            .ok_or(KeyError::NotFound)
    }

    /// The keys with these ids.
    pub async fn by_ids(&self, ids: &[KeyId]) -> Result<Vec<Key>, KeyError> {
        Ok(records::find_all(ids, &self.ledger).await?)
    }

    /// Records what the device has made. The key is then in `pre-activation`.
    pub async fn record(
        &self,
        id: KeyId,
        made: &DeviceKey,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let key = records::set_public_key(id, made, change.tx()).await?;
        let details = serde_json::json!({
            "fingerprint": hex::encode(made.public_key.fingerprint()),
            "attributes": made.attributes,
            "device_ref": made.device_ref,
        });
        let approval = change.loosen()?;
        change.note_as(approval, "record-public-key", id, &details);
        Ok(key)
    }

    /// Moves a key to another state. Once the change is committed, which must stand at the exclusive
    /// gate, a key that was moved out of `active` signs nothing more.
    pub async fn step(
        &self,
        key: &Key,
        to: KeyState,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        key.state.step(to)?;
        if key.public_key.is_none() && to == KeyState::Active {
            return Err(KeyError::NeverMade);
        }
        let approval = if key.state.tightens(to) {
            Approval::not_needed()
        } else {
            change.loosen()?
        };
        self.walk(key, to, reason.as_str(), approval, change).await
    }

    /// Moves a key as the service does by itself: at the end of its period, or of its destruction.
    pub async fn step_by_itself(
        &self,
        key: &Key,
        to: KeyState,
        why: &str,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        key.state.step(to)?;
        let approval = Approval::automatic();
        self.walk(key, to, why, approval, change).await
    }

    async fn walk(
        &self,
        key: &Key,
        to: KeyState,
        reason: &str,
        approval: Approval,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let author = (approval != Approval::automatic()).then(|| change.author());
        if !records::step(key, to, author, approval, reason, change.tx()).await? {
            return Err(KeyError::Changed);
        }
        let moved = Key {
            state: to,
            epoch: key.epoch + 1,
            ..key.clone()
        };
        let details = serde_json::json!({
            "name": key.name, "from": key.state, "to": to, "epoch": moved.epoch, "reason": reason,
        });
        change.note_as(approval, "step-key", key.id, &details);
        Ok(moved)
    }

    /// Changes when a key's cryptoperiod ends. Later loosens. Once the change is committed, which must
    /// stand at the exclusive gate, nothing is signed after the new end.
    pub async fn set_cryptoperiod(
        &self,
        key: &Key,
        ends_at: OffsetDateTime,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        // As Postgres keeps it.
        let ends_at = ends_at.replace_nanosecond(0).unwrap_or(ends_at);
        let approval = if cryptoperiod::change(key, ends_at, change.now())? {
            change.loosen()?
        } else {
            Approval::not_needed()
        };
        let text = reason.as_str();
        let author = change.author();
        if !records::set_cryptoperiod(key, ends_at, author, approval, text, change.tx()).await? {
            return Err(KeyError::Changed);
        }
        let details = serde_json::json!({
            "name": key.name, "was": timestamp(key.cryptoperiod_ends_at),
            "ends_at": timestamp(ends_at), "reason": reason,
        });
        change.note_as(approval, "set-cryptoperiod", key.id, &details);
        Ok(Key {
            cryptoperiod_ends_at: ends_at,
            ..key.clone()
        })
    }
}

/// A time as leaves have it: RFC 3339.
pub fn timestamp(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_else(|_| at.to_string())
}

/// The algorithm of a new key: what is asked for, or what its purpose is best served with.
fn algorithm(new: &NewKey) -> Result<Algorithm, KeyError> {
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
fn template(id: KeyId, new: &NewKey, algorithm: Algorithm) -> KeyTemplate {
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

fn listed(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

/// Refuses a name that stands in a path where something else is meant: `/v1/keys/import` is no key.
fn free(name: &Name) -> Result<(), KeyError> {
    if RESERVED.contains(&name.as_str()) {
        return Err(KeyError::Reserved(name.clone()));
    }
    Ok(())
}

fn name_taken(error: LedgerError) -> KeyError {
    match error.constraint() {
        Some("keys_name_is_unique") => KeyError::NameTaken,
        _ => error.into(),
    }
}
