//! A key on record.

use time::OffsetDateTime;

use super::KeyState;
use crate::authority::{Kind, Proved, Said, Snapshot, Statement, Unlike, Version, form};
use crate::custody::{Algorithm, Attributes, DeviceRef, KeyRef, Place, PublicKey};
use crate::halts::Touches;
use crate::id::KeyId;
use crate::name::Name;
use crate::policy::{Resource, Stake};

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

/// What policies see of a key that is to come: its name, and by whom, where and in which device it will be used.
pub(super) fn at_stake(purpose: Purpose, [name, backend, environment, owner]: [&Name; 4]) -> Stake {
    Stake::new()
        .text("name", name.to_string())
        .text("owner", owner.to_string())
        .text("environment", environment.to_string())
        .text("purpose", purpose.name())
        .text("backend", backend.to_string())
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
    /// By which version its row says so; 0: nobody has compared it.
    pub stated: Version,
}

impl Key {
    /// What its row says.
    pub(crate) fn said(&self) -> Said {
        let hex = |key: &PublicKey| hex::encode(key.to_spki_der());
        let form = form::Key {
            name: self.name.to_string(),
            purpose: self.purpose.name().to_owned(),
            algorithm: self.algorithm.name().to_owned(),
            backend: self.backend.to_string(),
            device_ref: self.device_ref.as_ref().map(|it| it.as_str().to_owned()),
            origin: self.origin.name().to_owned(),
            environment: self.environment.to_string(),
            owner: self.owner.to_string(),
            state: self.state.name().to_owned(),
            epoch: self.epoch,
            public_key: self.public_key.as_ref().map(hex),
            attributes: self.attributes.clone(),
            created_at: form::micros(self.created_at),
            ends_at: form::micros(self.cryptoperiod_ends_at),
        };
        Said::of(self.id, Some(&form))
    }

    /// By which version its row says what this says.
    pub fn statement(&self) -> Statement {
        Statement {
            kind: Kind::Key,
            id: self.id.uuid(),
            version: self.stated,
        }
    }

    /// The key as policies see it.
    pub fn resource(&self) -> Resource {
        Resource::owned("Key", &self.name, &self.owner, &self.environment)
            .with("purpose", &self.purpose.name())
            .stated([Some(self.statement()), None])
            .touching(Touches {
                key: Some(self.id),
                ..Touches::default()
            })
    }

    /// What policies see of it where it is still to come.
    pub fn stake(&self) -> Stake {
        at_stake(
            self.purpose,
            [&self.name, &self.backend, &self.environment, &self.owner],
        )
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

impl Proved for Key {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.stated = by.proves(&self.said())?;
        Ok(())
    }
}
