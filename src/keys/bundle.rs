//! A public key in all the forms that a counterparty may ask for, so that both sides can compare it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::Key;
use crate::custody::Algorithm;
use crate::name::Name;

/// What is sent to a counterparty who registers the key.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = KeyBundle)]
pub struct Bundle {
    /// The key's name here.
    #[schema(value_type = String)]
    pub key: Name,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// Where it is used, and nowhere else.
    #[schema(value_type = String)]
    pub environment: Name,
    /// `SubjectPublicKeyInfo` in PEM: the file to send, byte for byte.
    pub pem: String,
    /// SHA-256 of those bytes, the last line's end included, in hexadecimal: `sha256sum FILE`.
    pub pem_sha256: String,
    /// The same key as a JWK.
    #[schema(value_type = Object)]
    pub jwk: serde_json::Value,
    /// Its RFC 7638 thumbprint, which Auth0 calls `kid`.
    pub thumbprint: String,
    /// SHA-256 of the `SubjectPublicKeyInfo` in DER, in hexadecimal. The same however a PEM is broken
    /// into lines: the one to read out over a second channel.
    pub fingerprint: String,
    /// The same in base64.
    pub fingerprint_base64: String,
}

impl Bundle {
    /// A key's; none while its device has not made it.
    pub fn of(key: &Key) -> Option<Self> {
        let public = key.public_key.as_ref()?;
        let pem = public.to_pem();
        let fingerprint = public.fingerprint();
        Some(Self {
            key: key.name.clone(),
            algorithm: key.algorithm,
            environment: key.environment.clone(),
            pem_sha256: hex::encode(Sha256::digest(&pem)),
            pem,
            jwk: public.jwk(),
            thumbprint: public.thumbprint(),
            fingerprint: hex::encode(fingerprint),
            fingerprint_base64: STANDARD.encode(fingerprint),
        })
    }
}
