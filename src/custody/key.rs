//! Keys as devices know them: which key, where it is, and what its device says of it.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{DeviceRef, PublicKey};
use crate::id::KeyId;

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

/// A key that signs: where it is, and its public half.
#[derive(Clone, Debug)]
pub struct KeyRef {
    /// Where it is.
    pub place: Place,
    /// The public key on record.
    pub public_key: PublicKey,
}

/// A key pair that a device is to make.
#[derive(Clone, Debug)]
pub struct KeyTemplate {
    /// The key's id, which is on record already.
    pub id: KeyId,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// Owner, purpose and environment, for people who look at the device with other tools. A device
    /// without a place for labels leaves them out.
    pub labels: BTreeMap<&'static str, String>,
}

/// A key as its device shows it: just made, or looked at again.
#[derive(Clone, Debug)]
pub struct DeviceKey {
    /// Read back from the device.
    pub public_key: PublicKey,
    /// The private key's attributes, read back: `sensitive`, `never-extractable`, ….
    pub attributes: Attributes,
    /// What the device calls it, where it does not go by our id.
    pub device_ref: Option<DeviceRef>,
}

/// Attributes of a private key as its device states them, by their PKCS#11 names in kebab case
/// without `CKA_` (`never-extractable`). An attribute that the device does not tell is absent.
pub type Attributes = BTreeMap<String, bool>;

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

/// What became of a key that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destruction {
    /// The key is gone.
    Done,
    /// The key signs no more, and is gone by this time. Until then it can be brought back.
    Due(OffsetDateTime),
}

/// A device, as it describes itself to people who look after it. Never a secret.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Model, firmware, serial number, ….
    pub facts: Vec<String>,
    /// What keeps the device from its work, or soon will.
    pub troubles: Vec<String>,
    /// The private keys by the device's names for them, which are our ids where the device goes by those.
    /// `None`: the device lists no keys.
    pub keys: Option<Vec<String>>,
}
