//! What some kinds of device do and others do not.
//!
//! [`Custody`](super::Custody) hands out each ability as an option: a kind of device without it says
//! `None`, and whoever needs it says what that means for the caller.

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{
    CustodyError, Description, DeviceKey, DeviceRef, DeviceSealingKey, KeyRef, KeyTemplate, Offer,
    Place, Turn,
};
use crate::id::CallerId;

/// A device that signs so much a second, and has callers wait in line for it.
#[async_trait]
pub trait Line: Send + Sync {
    /// Refuses at once what the device would not do, as [`ready`](super::Custody::ready) does, takes a place
    /// in the line, or says that no place comes in time.
    async fn turn(&self, key: &Place, caller: CallerId) -> Result<Turn, CustodyError>;
}

/// A device whose keys can be taken over that somebody else had it make.
#[async_trait]
pub trait Adopter: Send + Sync {
    /// Reads a key that is not ours yet, by what the device calls it.
    async fn look_up(&self, device_ref: &DeviceRef) -> Result<DeviceKey, CustodyError>;
}

/// A device that takes private keys from outside.
#[async_trait]
pub trait Importer: Send + Sync {
    /// Makes ready for a private key that is brought. The key's id is on record before this is called;
    /// `earlier` is where an earlier call had it go, whose ticket is worth nothing any more.
    async fn prepare_import(
        &self,
        template: &KeyTemplate,
        earlier: Option<&Place>,
    ) -> Result<Offer, CustodyError>;

    /// Takes a private key that was [wrapped](super::wrapping::wrap) as an [`Offer`] says, shows that it
    /// signs as the announced public key, and forgets the offer. Another key than the announced is not
    /// kept. What an earlier attempt left is replaced: a key with a public key on record is never brought.
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<DeviceKey, CustodyError>;

    /// Forgets an offer that nobody took.
    async fn forget_import(&self, key: &Place) -> Result<(), CustodyError> {
        let _ = key;
        Ok(())
    }
}

/// A device that puts a key out of use without destroying it, and brings it back.
#[async_trait]
pub trait KeySwitch: Send + Sync {
    /// Lets the device itself sign with a key or not, besides what our record says of the key.
    async fn enable(&self, key: &Place, enabled: bool) -> Result<(), CustodyError>;

    /// Takes back a destruction that is [due](super::Destruction::Due). The key stays disabled. Asking
    /// again changes nothing.
    async fn restore(&self, key: &Place) -> Result<(), CustodyError>;
}

/// A device that seals secrets under a key of its own.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// Seals a secret under the device's sealing key, which is made when it is first needed, and binds
    /// the secret to `aad`: with other associated data it does not open.
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError>;

    /// Opens what [`seal`](Self::seal) made with the same `aad` in this device.
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError>;

    /// The key under which the device seals, and the former ones that it still has. Without any, the
    /// device has sealed nothing yet.
    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError>;

    /// Under which sealing key something rests that [`seal`](Self::seal) made. `None`: it names none.
    fn sealed_under(&self, sealed: &[u8]) -> Option<String>;
}

/// A device that makes its sealing keys itself, where others are told of them by the configuration.
#[async_trait]
pub trait SealingKeyMaker: Send + Sync {
    /// Makes a sealing key, which seals from then on, and says its id. The former ones still open.
    async fn make_sealing_key(&self) -> Result<String, CustodyError>;

    /// Destroys a former sealing key. Nothing that rests under it opens any more.
    async fn destroy_sealing_key(&self, id: &str) -> Result<(), CustodyError>;
}

/// A device that tells of itself to those who look after it.
#[async_trait]
pub trait Describer: Send + Sync {
    /// Describes the device, for `doctor`, if it is healthy.
    async fn describe(&self) -> Result<Description, CustodyError>;
}
