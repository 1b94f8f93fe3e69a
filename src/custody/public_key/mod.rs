//! Public keys in the forms that others want them: SPKI, PEM, JWK, an address.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k256::elliptic_curve::sec1::ToEncodedPoint;
use rsa::BigUint;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Algorithm;
use crate::ethereum::Address;

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A wallet's.
    Secp256k1(k256::PublicKey),
    /// An OAuth client's.
    Rsa(rsa::RsaPublicKey),
}

/// The bytes are not a public key of a kind we keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is neither a point on secp256k1 nor an RSA public key")]
pub struct NotAPublicKey;

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1).
    pub fn from_spki_der(der: &[u8]) -> Result<Self, NotAPublicKey> {
        k256::PublicKey::from_public_key_der(der)
            .map(Self::Secp256k1)
            .or_else(|_| rsa::RsaPublicKey::from_public_key_der(der).map(Self::Rsa))
            .map_err(|_| NotAPublicKey)
    }

    /// Reads a `SubjectPublicKeyInfo` in PEM, `-----BEGIN PUBLIC KEY-----`.
    pub fn from_pem(pem: &str) -> Result<Self, NotAPublicKey> {
        k256::PublicKey::from_public_key_pem(pem)
            .map(Self::Secp256k1)
            .or_else(|_| rsa::RsaPublicKey::from_public_key_pem(pem).map(Self::Rsa))
            .map_err(|_| NotAPublicKey)
    }

    /// Reads `CKA_EC_POINT`. PKCS#11 wants the SEC1 point in a DER OCTET STRING; some devices give
    /// the bare point. A point that is not on the curve is refused.
    pub fn from_ec_point(point: &[u8]) -> Result<Self, NotAPublicKey> {
        // A bare point also begins with 4, but a bare one is 33 or 65 bytes and a wrapped one 2 more.
        let bare = match point {
            [4, length, bare @ ..]
                if usize::from(*length) == bare.len() && matches!(length, 33 | 65) =>
            {
                bare
            }
            bare => bare,
        };
        k256::PublicKey::from_sec1_bytes(bare)
            .map(Self::Secp256k1)
            .map_err(|_| NotAPublicKey)
    }

    /// Makes an RSA key from `CKA_MODULUS` and `CKA_PUBLIC_EXPONENT`, big endian.
    pub fn from_rsa_parts(modulus: &[u8], exponent: &[u8]) -> Result<Self, NotAPublicKey> {
        let n = BigUint::from_bytes_be(modulus);
        let e = BigUint::from_bytes_be(exponent);
        rsa::RsaPublicKey::new(n, e)
            .map(Self::Rsa)
            .map_err(|_| NotAPublicKey)
    }

    /// The `SubjectPublicKeyInfo` in DER.
    ///
    /// # Panics
    /// Never: a key that parsed has a DER form.
    pub fn to_spki_der(&self) -> Vec<u8> {
        match self {
            Self::Secp256k1(key) => key.to_public_key_der(),
            Self::Rsa(key) => key.to_public_key_der(),
        }
        .expect("a public key that parsed has a DER form")
        .into_vec()
    }

    /// The `SubjectPublicKeyInfo` in PEM, `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Panics
    /// Never: a key that parsed has a PEM form.
    pub fn to_pem(&self) -> String {
        match self {
            Self::Secp256k1(key) => key.to_public_key_pem(LineEnding::LF),
            Self::Rsa(key) => key.to_public_key_pem(LineEnding::LF),
        }
        .expect("a public key that parsed has a PEM form")
    }

    /// SHA-256 of [`to_spki_der`](Self::to_spki_der).
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.to_spki_der()).into()
    }

    /// The kind of key, if it is one that is made here: of RSA keys only those with exponent 65537.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Secp256k1(_) => Some(Algorithm::Secp256k1),
            Self::Rsa(key) if *key.e() != BigUint::from(65_537_u32) => None,
            Self::Rsa(key) => match key.n().bits() {
                2048 => Some(Algorithm::Rsa2048),
                3072 => Some(Algorithm::Rsa3072),
                4096 => Some(Algorithm::Rsa4096),
                _ => None,
            },
        }
    }

    /// The wallet's address. An RSA key has none.
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::Secp256k1(key) => Some(Address::of(key)),
            Self::Rsa(_) => None,
        }
    }

    /// Whether a text is this key's address or fingerprint, in any spelling that people compare.
    pub fn is(&self, identity: &str) -> bool {
        let address = self.address().map(|it| it.to_string());
        address.is_some_and(|address| address.eq_ignore_ascii_case(identity))
            || hex::encode(self.fingerprint()).eq_ignore_ascii_case(identity)
    }

    /// The key as a JSON Web Key (RFC 7517); `kid` is its [`thumbprint`](Self::thumbprint).
    pub fn jwk(&self) -> Value {
        let mut jwk = self.required_members();
        jwk["kid"] = Value::String(self.thumbprint());
        if let Self::Rsa(_) = self {
            jwk["use"] = json!("sig");
            jwk["alg"] = json!("RS256");
        }
        jwk
    }

    /// SHA-256 over the JWK's required members (RFC 7638), in base64url.
    pub fn thumbprint(&self) -> String {
        // RFC 7638 §3.3 wants the members in the order of their names, which is how they are written below.
        let canonical = self.required_members().to_string();
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// Whether `signature` is this RSA key's over `message`: PKCS#1 v1.5 with SHA-256.
    pub fn verify_rs256(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secp256k1(_) => false,
            // By aws-lc, which takes a twentieth of the time that the `rsa` crate takes.
            Self::Rsa(key) => RsaPublicKeyComponents {
                n: key.n().to_bytes_be(),
                e: key.e().to_bytes_be(),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok(),
        }
    }

    fn required_members(&self) -> Value {
        let base64url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Secp256k1(key) => {
                let point = key.to_encoded_point(false);
                let (x, y) = point.as_bytes()[1..].split_at(32);
                json!({ "crv": "secp256k1", "kty": "EC", "x": base64url(x), "y": base64url(y) })
            }
            Self::Rsa(key) => {
                let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
                json!({ "e": base64url(&e), "kty": "RSA", "n": base64url(&n) })
            }
        }
    }
}

#[cfg(test)]
mod tests;
