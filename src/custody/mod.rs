//! Devices that hold private keys and sign with them.
//!
//! One trait, [`Custody`], and a backend for each kind of device. A backend promises that a private
//! key never leaves it and that [`sign`](Custody::sign) sees nothing but a [`Logged`] permit; it does
//! not promise that the signature is right. Whoever asks checks it under the public key on record.
//!
//! It **trusts** the device for secrecy and for nothing else: a device that swaps keys, forgets them
//! or signs something else is found out by that check, by the recorded public key and by the
//! attributes read back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::audit::Logged;
use crate::id::{CallerId, KeyId};
use crate::ledger::Ledger;
use crate::name::Name;
use crate::policy::Permit;
use crate::sealing::Keyring;
use opening::Opening;

#[cfg(feature = "aws-kms")]
pub mod aws_kms;
mod device_ref;
pub mod hmac;
pub mod material;
mod opening;
pub mod pkcs11;
pub mod public_key;
mod resting;
pub mod sealed;
#[cfg_attr(
    not(feature = "aws-kms"),
    allow(dead_code, reason = "only KMS has a line")
)]
mod turn;
mod vault;
pub mod wrapping;

pub use device_ref::{DeviceRef, NotADeviceRef};
pub use hmac::{Passphrase, Sealed, SealedSecret};
pub use material::{BadMaterial, Material};
pub use public_key::PublicKey;
pub use resting::{DeviceSealingKey, KeysAtRest, ResealedKey, Stretch};
pub use turn::{Pauses, Turn};
pub use vault::Vault;
pub use wrapping::Scheme;

#[cfg(test)]
pub(crate) mod conformance;

words! {
    /// What kind of key: the curve or the modulus length in bits.
    #[derive(utoipa::ToSchema)]
    pub enum Algorithm {
        /// ECDSA on secp256k1: wallets.
        Secp256k1 = "secp256k1",
        /// RSA with 2048 bits, exponent 65537: OAuth clients.
        Rsa2048 = "rsa2048",
        /// RSA with 3072 bits.
        Rsa3072 = "rsa3072",
        /// RSA with 4096 bits.
        Rsa4096 = "rsa4096",
    }
}

/// Where a key is: enough to find exactly one object in its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key's id; a token stores its 16 bytes as `CKA_ID`, KMS as a tag.
    pub id: KeyId,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// What the device calls it, where it does not go by our id.
    pub device_ref: Option<DeviceRef>,
}

/// A key, to be signed with.
#[derive(Clone, Debug)]
pub struct KeyRef {
    /// Where it is.
    pub place: Place,
    /// The public key on record.
    pub public_key: PublicKey,
}

/// A key pair that a device is to make.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its id, which is on record already.
    pub id: KeyId,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// What those who look at the device with other tools are to be told: owner, purpose, environment.
    /// A device without a place for it leaves it out.
    pub labels: BTreeMap<&'static str, String>,
}

/// What may be signed: a 32-byte digest (ECDSA), a message that is hashed with SHA-256 in the
/// device or beside it (RSA, PKCS#1 v1.5), or a message under a secret that a device sealed (HMAC).
#[derive(Clone, Debug)]
pub enum Payload {
    /// For secp256k1 keys.
    Digest([u8; 32]),
    /// For RSA keys.
    Message(Vec<u8>),
    /// For a secret that belongs to a wallet. The wallet's key stands for it: what that may not sign,
    /// this is not made for either.
    Hmac {
        /// Under which secret.
        secret: Arc<SealedSecret>,
        /// What.
        message: Vec<u8>,
    },
}

impl Payload {
    /// Whether a key of this kind signs this kind of payload.
    fn fits(&self, algorithm: Algorithm) -> Result<(), CustodyError> {
        match (self, algorithm) {
            (Self::Digest(_), Algorithm::Secp256k1) => Ok(()),
            (Self::Digest(_) | Self::Hmac { .. }, _) | (_, Algorithm::Secp256k1) => {
                Err(CustodyError::WrongPayload(algorithm))
            }
            (Self::Message(_), _) => Ok(()),
        }
    }
}

/// An order to a device: this payload, under this key.
#[derive(Clone, Debug)]
pub struct Sign {
    /// Under which key.
    pub key: KeyRef,
    /// What.
    pub payload: Payload,
    /// For whom: a device that is shared is shared fairly among callers.
    pub caller: CallerId,
    /// How often the device was asked for it. The count is put on record with the outcome.
    pub tries: Tries,
    /// What the device promised before the intent.
    pub turn: Turn,
}

/// How often a device was asked for one signature. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tries(Arc<AtomicU32>);

impl Tries {
    /// Counts one more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it was asked at all.
    #[cfg(feature = "aws-kms")]
    fn begun(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// How often it was asked, where that was more than once.
    pub fn repeated(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|tries| *tries > 1)
    }
}

/// A signature as a device gave it, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawSignature {
    /// `r ‖ s`, big endian, 32 bytes each; `s` may be high.
    Ecdsa([u8; 64]),
    /// As long as the modulus.
    Rsa(Vec<u8>),
    /// HMAC-SHA256, with what goes beside it.
    Hmac {
        /// The tag.
        mac: [u8; 32],
        /// Sealed with the secret, and opened with it.
        passphrase: Arc<Passphrase>,
    },
}

/// A key as its device shows it: just made, or looked at again.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Read back from the device.
    pub public_key: PublicKey,
    /// The private key's attributes, read back: `sensitive`, `never-extractable`, ….
    pub attributes: Attributes,
    /// What the device calls it, where it does not go by our id.
    pub device_ref: Option<DeviceRef>,
}

words! {
    /// What the word of a device is worth: none of them proves it to a third party by itself.
    #[derive(utoipa::ToSchema)]
    #[schema(as = KeyEvidence)]
    pub enum Evidence {
        /// The key existed outside a device once, so nothing is said of who has it besides.
        Imported = "imported",
        /// The private key is in this program's memory when it signs.
        Software = "software",
        /// The token's library said so; who controls the library controls the answer.
        Claimed = "claimed",
        /// The provider said so, over TLS and to our credentials; nothing of it is signed.
        ProviderStatement = "provider-statement",
    }
}

/// How a device wants a private key to be brought to it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// How it is wrapped.
    pub scheme: Scheme,
    /// Under which RSA key: an SPKI in DER.
    pub wrapping_key: Vec<u8>,
    /// What the device wants to see again with the key, on whichever replica. Where it is a secret it is
    /// sealed by the device.
    pub ticket: Vec<u8>,
    /// What the device calls the key to be, where it does not go by our id.
    pub device_ref: Option<DeviceRef>,
}

/// What became of a key that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destruction {
    /// It is gone.
    Done,
    /// It does not sign any more, and is gone by then. Until then it can be brought back.
    Due(OffsetDateTime),
}

/// A device, as it describes itself to whoever looks after it. Never a secret.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// What it is: model, firmware, serial number, ….
    pub facts: Vec<String>,
    /// What keeps it from what it is there for, or soon will.
    pub troubles: Vec<String>,
    /// What it calls the private keys that it holds, where it lists them: our ids where it goes by them.
    pub keys: Option<Vec<String>>,
}

/// Attributes of a private key as its device states them, by their PKCS#11 names in kebab case
/// without `CKA_` (`never-extractable`). An attribute that the device does not tell is absent.
pub type Attributes = BTreeMap<String, bool>;

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
    /// The files that hold this device's secrets, each with what it is.
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

/// Opens a device. A PKCS#11 token is opened when it is first asked, and again when it was absent.
pub fn open(
    name: &Name,
    settings: &Settings,
    ledger: &Ledger,
) -> Result<Arc<dyn Custody>, CustodyError> {
    Ok(match settings {
        Settings::Pkcs11(settings) => Arc::new(Opening::new(name.as_str(), settings.clone())?),
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
#[async_trait]
pub trait Custody: Send + Sync {
    /// Signs exactly what was permitted and logged.
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError>;

    /// Says at once that the device would not do what it is asked, as far as that is known without
    /// asking it: it is away, or its queue is full. Asked before an intent is written.
    async fn ready(&self) -> Result<(), CustodyError> {
        Ok(())
    }

    /// Takes a place in the line of a device that signs so much a second, or says that there is none
    /// that comes in time.
    async fn turn(&self, _key: &Place, _caller: CallerId) -> Result<Turn, CustodyError> {
        Ok(Turn::default())
    }

    /// Makes a key pair in the device, sensitive, never extractable, for signing only. The id is on
    /// record before this is called, so that a key made by a process that then died can be found.
    async fn generate(&self, wanted: &Wanted) -> Result<Generated, CustodyError>;

    /// Reads a key's public half and private attributes back from the device. Where the device has its
    /// own names and none is known, it looks for the key's id, which may take long.
    async fn inspect(&self, key: &Place) -> Result<Generated, CustodyError>;

    /// Reads a key back that was made for us and never recorded: its process died. One that is not as it
    /// would have been ordered is refused, and stays where it is.
    async fn recover(&self, key: &Place) -> Result<Generated, CustodyError> {
        self.inspect(key).await
    }

    /// Reads a key that is not ours yet, by what the device calls it.
    async fn look_up(&self, device_ref: &DeviceRef) -> Result<Generated, CustodyError> {
        Err(CustodyError::Unsupported(format!(
            "adopting {device_ref}: this kind of device holds only keys that were made through it"
        )))
    }

    /// Makes ready for a private key that is brought. Its id is on record before this is called; `earlier`
    /// is where it was to be, if this was called before, whose ticket is worth nothing any more.
    async fn prepare_import(
        &self,
        wanted: &Wanted,
        earlier: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        let _ = (wanted, earlier);
        let why = "bringing a private key: this kind of device takes none";
        Err(CustodyError::Unsupported(why.to_owned()))
    }

    /// Takes a private key that was [wrapped](wrapping::wrap) as an [`Offer`] says, shows that it signs as
    /// the announced public key, and forgets the offer. Another key than the announced is not kept. What an
    /// earlier attempt left is replaced: a key on record with a public key is never brought.
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<Generated, CustodyError> {
        let _ = (ticket, wrapped);
        let id = announced.place.id;
        let why = format!("bringing key {id}: this kind of device takes none");
        Err(CustodyError::Unsupported(why))
    }

    /// Forgets an offer that nobody took.
    async fn forget_import(&self, key: &Place) -> Result<(), CustodyError> {
        let _ = key;
        Ok(())
    }

    /// Destroys a key pair, at once or after the time that the device insists on. Asking again changes
    /// nothing.
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError>;

    /// Takes back a destruction that is [due](Destruction::Due). The key stays disabled, where the device
    /// has that. Asking again changes nothing.
    async fn restore(&self, key: &Place) -> Result<(), CustodyError> {
        let id = key.id;
        Err(CustodyError::Unsupported(format!(
            "bringing key {id} back: this kind of device destroys at once"
        )))
    }

    /// Lets the device itself sign with a key or not, besides what our record says of it.
    async fn enable(&self, key: &Place, enabled: bool) -> Result<(), CustodyError> {
        let (id, what) = (key.id, if enabled { "enabling" } else { "disabling" });
        Err(CustodyError::Unsupported(format!(
            "{what} key {id}: this kind of device has no such switch"
        )))
    }

    /// Seals a secret under a key of the device, made when it is first needed, and binds it to `aad`:
    /// with other associated data it does not open.
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError>;

    /// Opens what [`seal`](Self::seal) made with the same `aad` in this device.
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError>;

    /// The keys under which the device seals, and the former ones that it still has. Without any, it
    /// has sealed nothing yet, or cannot.
    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        Ok(Vec::new())
    }

    /// Under which sealing key something rests that [`seal`](Self::seal) made. `None`: it names none.
    fn sealed_under(&self, _sealed: &[u8]) -> Option<String> {
        None
    }

    /// Makes a sealing key in the device, which seals from then on; the former ones still open. Says
    /// which it is.
    async fn make_sealing_key(&self) -> Result<String, CustodyError> {
        let why = "making a sealing key: this device's is named by the configuration; name a new one \
                   there, and the former one beside it";
        Err(CustodyError::Unsupported(why.into()))
    }

    /// Destroys a former sealing key. Nothing that rests under it opens any more.
    async fn destroy_sealing_key(&self, id: &str) -> Result<(), CustodyError> {
        Err(CustodyError::Unsupported(format!(
            "destroying sealing key {id}: it is not the device's; take it out of the configuration"
        )))
    }

    /// The private keys, where the device keeps them in the ledger.
    fn keys_at_rest(&self) -> Option<&dyn KeysAtRest> {
        None
    }

    /// What the device's word about a key that it made is worth.
    fn evidence(&self) -> Evidence;

    /// Describes the device, for `doctor`.
    async fn describe(&self) -> Result<Description, CustodyError> {
        self.health().await?;
        Ok(Description::default())
    }

    /// Whether the device answers and holds its keys.
    async fn health(&self) -> Result<(), CustodyError>;
}

/// Why a device did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CustodyError {
    /// The queue in front of the device is full.
    #[error("the device is busy")]
    Busy,
    /// The device does not answer or does not answer sensibly; it may come back.
    #[error("the device is unavailable: {0}")]
    Unavailable(String),
    /// The device did not answer in time. Whether it did the work is unknown.
    #[error("the device did not answer in time")]
    TimedOut,
    /// A healthy device does not hold exactly one such key.
    #[error("the device holds {found} keys with the id {id}")]
    NotFound {
        /// The key.
        id: KeyId,
        /// How many objects answered to it.
        found: usize,
    },
    /// More is asked of the device than it may be asked for; it will take more after a while.
    #[error("the device is asked for more than its share allows")]
    Throttled {
        /// After how long.
        retry_after: Duration,
    },
    /// The device holds the key and was told not to use it.
    #[error("the device keeps key {0} disabled")]
    Disabled(KeyId),
    /// The device is about to destroy the key, or has to be given it first.
    #[error("the device does not use key {0}: its deletion is scheduled, or it is not whole")]
    PendingDeletion(KeyId),
    /// The device holds the key for another use or another algorithm.
    #[error("the device holds key {0} for another use")]
    WrongUsage(KeyId),
    /// The service's own credentials at the device are not good, or not enough.
    #[error("the device does not let this service do it: {0}")]
    AccessDenied(String),
    /// The key is not one that is taken over.
    #[error("not a key to adopt: {0}")]
    NotAdoptable(String),
    /// What was brought was wrapped for another device or another time, or altered.
    #[error("what was brought does not unwrap: wrap the key again, as a new offer says")]
    DoesNotUnwrap,
    /// What was brought is a key, and another one. It was not kept.
    #[error("what was brought is not the key that was announced, and was not kept: {0}")]
    NotTheKey(String),
    /// This kind of device cannot do it.
    #[error("not with this device: {0}")]
    Unsupported(String),
    /// The device refused the PIN. It is not tried again: a token that counts would lock.
    #[error("the device refused the PIN")]
    PinRefused,
    /// The device refused the operation for good.
    #[error("the device refused: {0}")]
    Refused(String),
    /// The device answered something that is not a key, a signature or an attribute.
    #[error("the device answered nonsense: {0}")]
    Nonsense(String),
    /// The device answered, to an order to sign, something that is not a signature by that key. An alarm.
    #[error("the device gave no signature: {0}")]
    NotASignature(String),
    /// What rests sealed was sealed under a key that is not there.
    #[error("sealed under a key that is not there: {0}")]
    SealingKeyMissing(String),
    /// The sealed secret was altered, or is bound to something else. Which, nobody can tell.
    #[error("the sealed secret does not open")]
    DoesNotOpen,
    /// The payload does not fit the key: a digest for RSA, a message for secp256k1.
    #[error("a {0:?} key does not sign this kind of payload")]
    WrongPayload(Algorithm),
}

impl CustodyError {
    /// Whether the device may do the same a moment later. To ask again is safe: a signature that nobody
    /// saw is none, and another over the same digest says nothing new.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::Unavailable(_) | Self::TimedOut | Self::Throttled { .. } => true,
            Self::NotFound { .. }
            | Self::Disabled(_)
            | Self::PendingDeletion(_)
            | Self::WrongUsage(_)
            | Self::AccessDenied(_)
            | Self::NotAdoptable(_)
            | Self::DoesNotUnwrap
            | Self::NotTheKey(_)
            | Self::Unsupported(_)
            | Self::PinRefused
            | Self::Refused(_)
            | Self::Nonsense(_)
            | Self::NotASignature(_)
            | Self::DoesNotOpen
            | Self::SealingKeyMissing(_)
            | Self::WrongPayload(_) => false,
        }
    }
}
