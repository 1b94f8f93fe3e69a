//! What a device offers to whoever brings it a private key.

use super::{DeviceRef, Scheme};

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
