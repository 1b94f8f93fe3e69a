//! No signature leaves that does not verify under the key on record, over the bytes that were meant
//! (P8).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::custody::{Passphrase, Payload, PublicKey, RawSignature, Sign};
use crate::ethereum::{self, signature};

/// A signature that verifies.
#[derive(Clone, Debug)]
pub enum Checked {
    /// Recoverable, low `s`.
    Ethereum(ethereum::Signature),
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256(Vec<u8>),
    /// HMAC-SHA256, and the passphrase that goes beside it.
    Hmac([u8; 32], Arc<Passphrase>),
}

/// A signature that must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// ECDSA.
    #[error(transparent)]
    Ecdsa(#[from] signature::BadSignature),
    /// RSA.
    #[error("the RSA signature does not verify under the key on record")]
    Rsa,
    /// It is not of the form of a signature, or the device says that it is another key's.
    #[error("the device gave no signature of the key on record")]
    Malformed,
    /// Its `r` was used for another digest: whoever has both signatures has the key.
    #[error("the signature repeats the r of another digest")]
    RepeatedR,
    /// An RSA signature of a secp256k1 key, or the reverse, or an HMAC that nobody ordered.
    #[error("the signature is of another kind than the key")]
    Kind,
}

impl Checked {
    /// Checks what a device gave for an order to sign.
    ///
    /// # Why
    /// An HMAC has no public key to be checked under, and computing it again would take the same secret
    /// through the same code. What is checked is that an HMAC was ordered, for a wallet; that the
    /// secret is the one on record, its seal has proved.
    pub fn check(raw: &RawSignature, sign: &Sign) -> Result<Self, BadSignature> {
        match (raw, &sign.payload, &sign.key.public_key) {
            (RawSignature::Ecdsa(raw), Payload::Digest(digest), PublicKey::Secp256k1(key)) => Ok(
                Self::Ethereum(ethereum::Signature::check(raw, digest, key)?),
            ),
            (RawSignature::Rsa(raw), Payload::Message(message), key @ PublicKey::Rsa(_)) => {
                if key.verify_rs256(message, raw) {
                    Ok(Self::Rs256(raw.clone()))
                } else {
                    Err(BadSignature::Rsa)
                }
            }
            (
                RawSignature::Hmac { mac, passphrase },
                Payload::Hmac { .. },
                PublicKey::Secp256k1(_),
            ) => Ok(Self::Hmac(*mac, Arc::clone(passphrase))),
            _ => Err(BadSignature::Kind),
        }
    }

    /// `r`, where there is one.
    pub(super) fn r(&self) -> Option<[u8; 32]> {
        match self {
            Self::Ethereum(signature) => Some(signature.r()),
            Self::Rs256(_) | Self::Hmac(..) => None,
        }
    }

    /// SHA-256 of the signature's bytes.
    pub(super) fn hash(&self) -> [u8; 32] {
        match self {
            Self::Ethereum(signature) => Sha256::digest(signature.as_bytes()).into(),
            Self::Rs256(signature) => Sha256::digest(signature).into(),
            Self::Hmac(mac, _) => Sha256::digest(mac).into(),
        }
    }
}
