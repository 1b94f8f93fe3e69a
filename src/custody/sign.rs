//! An order to sign, and the signature that a device gives for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Algorithm, CustodyError, KeyRef, Passphrase, SealedSecret, Turn};
use crate::id::CallerId;

/// What may be signed: a 32-byte digest (ECDSA), a message that is hashed with SHA-256 in the
/// device or beside it (RSA, PKCS#1 v1.5), or a message under a secret that a device sealed (HMAC).
#[derive(Clone, Debug)]
pub enum Payload {
    /// For secp256k1 keys.
    Digest([u8; 32]),
    /// For RSA keys.
    Message(Vec<u8>),
    /// For a wallet's secret. The wallet's key stands for the secret: while the key may not sign, no HMAC is
    /// made.
    Hmac {
        /// The secret.
        secret: Arc<SealedSecret>,
        /// The message.
        message: Vec<u8>,
    },
}

impl Payload {
    /// Whether a key of this kind signs this kind of payload.
    pub(super) fn fits(&self, algorithm: Algorithm) -> Result<(), CustodyError> {
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
    /// The key.
    pub key: KeyRef,
    /// What is signed.
    pub payload: Payload,
    /// The caller, among whom a shared device is shared fairly.
    pub caller: CallerId,
    /// How often the device was called for this signature, and by which request it answered. That is put on record
    /// with the outcome.
    pub tries: Tries,
    /// The place in the device's line, taken before the intent.
    pub turn: Turn,
}

/// How often a device was called for one signature, and by which request it gave it. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tries(Arc<Made>);

#[derive(Debug, Default)]
struct Made {
    calls: AtomicU32,
    request: OnceLock<String>,
}

/// No device's name for a request is longer.
const LONGEST_REQUEST: usize = 128;

impl Tries {
    /// Counts one more.
    pub fn count(&self) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The device has answered, and this is what it calls the request in its own log.
    pub fn answered(&self, request: Option<&str>) {
        let is_plain = |it: &&str| {
            it.len() <= LONGEST_REQUEST && it.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(request) = request.filter(is_plain) {
            let _ = self.0.request.set(request.to_owned()); // the first answer is the one that counts
        }
    }

    /// Whether the device was called at all.
    pub(super) fn begun(&self) -> bool {
        self.0.calls.load(Ordering::Relaxed) > 0
    }

    /// How often the device was called, where that was more than once.
    pub fn repeated(&self) -> Option<u32> {
        Some(self.0.calls.load(Ordering::Relaxed)).filter(|tries| *tries > 1)
    }

    /// What the device calls the request that it answered, where it gives it a name.
    pub fn request(&self) -> Option<String> {
        self.0.request.get().cloned()
    }
}

/// A signature as a device gave it, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawSignature {
    /// `r ‖ s`, big endian, 32 bytes each; `s` may be high.
    Ecdsa([u8; 64]),
    /// As long as the modulus.
    Rsa(Vec<u8>),
    /// HMAC-SHA256, and the passphrase that goes beside it in a header.
    Hmac {
        /// The tag.
        mac: [u8; 32],
        /// The passphrase, which was sealed beside the secret.
        passphrase: Arc<Passphrase>,
    },
}
