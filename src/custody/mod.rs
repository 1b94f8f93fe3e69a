//! Devices that hold private keys and sign with them.
//!
//! One trait, [`Custody`], and a backend for each kind of device. What only some kinds do is an ability
//! that the trait hands out: adopting, importing, sealing, …. A backend promises that a private
//! key never leaves it and that [`sign`](Custody::sign) sees nothing but a [`Logged`] permit; it does
//! not promise that the signature is right: the caller checks it under the public key on record.
//!
//! It **trusts** the device for secrecy and for nothing else: a device that swaps keys, forgets them
//! or signs something else is found out by that check, by the public key on record and by the
//! attributes read back.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::audit::Logged;
use crate::ledger::Ledger;
use crate::name::Name;
use crate::policy::Permit;
use crate::sealing::Keyring;

mod abilities;
mod aside;
#[cfg(feature = "aws-kms")]
pub mod aws_kms;
mod device_ref;
mod error;
pub mod hmac;
mod key;
mod load;
pub mod material;
mod offer;
pub mod pkcs11;
pub mod public_key;
mod resting;
pub mod sealed;
#[cfg_attr(
    not(feature = "aws-kms"),
    allow(dead_code, reason = "only KMS counts its tries")
)]
mod sign;
mod trial;
#[cfg_attr(
    not(feature = "aws-kms"),
    allow(dead_code, reason = "only KMS has a line")
)]
mod turn;
mod vault;
pub mod wrapping;

pub use abilities::{Adopter, Describer, Importer, KeySwitch, Line, Sealer, SealingKeyMaker};
pub use device_ref::{DeviceRef, NotADeviceRef};
pub use error::CustodyError;
pub use hmac::{Passphrase, Sealed, SealedSecret};
pub use key::{
    Algorithm, Attributes, Description, Destruction, DeviceKey, Evidence, KeyRef, KeyTemplate,
    Place,
};
pub use load::Load;
pub use material::{BadMaterial, Material};
pub use offer::Offer;
pub use public_key::PublicKey;
pub use resting::{DeviceSealingKey, KeysAtRest, ResealedKey, Stretch};
pub use sign::{Payload, RawSignature, Sign, Tries};
pub use trial::{OnTrial, Trial, Tried};
pub use turn::{Pauses, Turn};
pub use vault::Vault;
pub use wrapping::Scheme;

#[cfg(test)]
pub(crate) mod conformance;

/// `[custody.NAME]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Settings {
    /// A PKCS#11 token.
    Pkcs11(pkcs11::Settings),
    /// The sealed software keystore.
    Sealed(sealed::Settings),
    /// AWS KMS.
    #[cfg(feature = "aws-kms")]
    AwsKms(aws_kms::Settings),
}

impl Settings {
    /// The files that hold this device's secrets, each with a word for its content.
    pub fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        match self {
            Self::Pkcs11(token) => vec![("PIN file", &token.pin_file)],
            Self::Sealed(keystore) => {
                let mut files: Vec<(_, &Path)> =
                    vec![("master key file", &keystore.master_key_file)];
                let former = keystore.former_master_key_files.iter();
                files.extend(former.map(|file| ("former master key file", file.as_path())));
                files
            }
            #[cfg(feature = "aws-kms")]
            Self::AwsKms(_) => Vec::new(),
        }
    }
}

/// Makes a device ready. A PKCS#11 token is opened at its first use, and tried again while it is absent.
pub fn open(
    name: &Name,
    settings: &Settings,
    ledger: &Ledger,
) -> Result<Arc<dyn Custody>, CustodyError> {
    Ok(match settings {
        Settings::Pkcs11(settings) => {
            Arc::new(pkcs11::Pkcs11::new(name.as_str(), settings.clone())?)
        }
        Settings::Sealed(settings) => {
            let (file, former) = (&settings.master_key_file, &settings.former_master_key_files);
            let masters = Keyring::from_files(file, former)
                .map_err(|error| CustodyError::Unavailable(error.to_string()))?;
            let ledger = ledger.clone();
            Arc::new(sealed::Keystore::new(name.as_str(), ledger, masters))
        }
        #[cfg(feature = "aws-kms")]
        Settings::AwsKms(settings) => {
            Arc::new(aws_kms::AwsKms::new(name.as_str(), settings.clone())?)
        }
    })
}

/// A device that holds private keys and signs with them. The keys never leave it.
///
/// The first methods are what every device does. The rest name what this kind of device does besides.
#[async_trait]
pub trait Custody: Send + Sync {
    /// Signs exactly what was permitted and logged.
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError>;

    /// Refuses at once what the device would not do, as far as that is known without a call to it: the
    /// device is away, or its queue is full. Called before an intent is written.
    async fn ready(&self) -> Result<(), CustodyError> {
        Ok(())
    }

    /// Makes a key pair in the device, sensitive, never extractable, for signing only. The id is on
    /// record before this is called, so that a key made by a process that then died can be found.
    async fn generate(&self, template: &KeyTemplate) -> Result<DeviceKey, CustodyError>;

    /// Reads a key's public half and private attributes back from the device. A device with names of its
    /// own looks for the key's id where no name is known, which may take long.
    async fn inspect(&self, key: &Place) -> Result<DeviceKey, CustodyError>;

    /// Reads a key back that the device made for us and nobody recorded, because the process died. A key
    /// that is not as it was ordered is refused, and stays in the device.
    async fn recover(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        self.inspect(key).await
    }

    /// Destroys a key pair, at once or after the time that the device insists on. A second call changes
    /// nothing.
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError>;

    /// What the device's word about a key that it made is worth.
    fn evidence(&self) -> Evidence;

    /// Whether the device answers and holds its keys.
    async fn health(&self) -> Result<(), CustodyError>;

    /// How busy the device is, as far as that is known without a call to it.
    fn load(&self) -> Load {
        Load::default()
    }

    /// The line in front of a device that signs so much a second.
    fn queues(&self) -> Option<&dyn Line> {
        None
    }

    /// The way to keys that somebody else had the device make.
    fn adopts(&self) -> Option<&dyn Adopter> {
        None
    }

    /// The way in for private keys from outside.
    fn imports(&self) -> Option<&dyn Importer> {
        None
    }

    /// The switch that puts a key out of use in the device itself.
    fn switches(&self) -> Option<&dyn KeySwitch> {
        None
    }

    /// The way to seal secrets in the device.
    fn seals(&self) -> Option<&dyn Sealer> {
        None
    }

    /// The way to new sealing keys, where the device makes them itself.
    fn makes_sealing_keys(&self) -> Option<&dyn SealingKeyMaker> {
        None
    }

    /// The private keys, where the device keeps them in the ledger.
    fn keys_at_rest(&self) -> Option<&dyn KeysAtRest> {
        None
    }

    /// What the device tells of itself.
    fn describes(&self) -> Option<&dyn Describer> {
        None
    }

    /// The device's own speed, where it has one besides this program's.
    fn on_trial(&self) -> Option<&dyn OnTrial> {
        None
    }
}
