//! A private key as an operator brings it: 64 hexadecimal digits, PEM, DER, a JWK, or a keystore.
//!
//! It promises that a taken text is one whole key of a kind that is used here, whose numbers belong
//! together, and that the key's bytes are wiped when it is dropped. It cannot know who has copies.

use std::fmt;

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use k256::pkcs8::EncodePrivateKey as _;
use rsa::pkcs1;
use rsa::pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use rsa::pkcs8::der::{self, Decode, Encode as _, Reader as _, TagMode, TagNumber};
use rsa::pkcs8::{ObjectIdentifier, PrivateKeyInfo, SecretDocument};
use zeroize::Zeroizing;

use super::{Algorithm, PublicKey};

mod foreign;
mod jwk;
mod keystore;

pub use foreign::Foreign;

/// id-ecPublicKey (RFC 5480 §2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
/// The PEM block that OpenSSL writes before an EC key, whose content the key repeats.
const PARAMETERS: (&str, &str) = (
    "-----BEGIN EC PARAMETERS-----",
    "-----END EC PARAMETERS-----",
);

/// How OpenSSL begins what it writes before a PEM block that comes from PKCS#12.
const ATTRIBUTES: [&str; 3] = ["Bag Attributes", "Key Attributes", "localKeyID"];

/// A private key, open. Nothing but [`pkcs8`](Self::pkcs8) gives it away.
pub struct Material {
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
    algorithm: Algorithm,
}

/// Why a text is not taken for a private key. No reason repeats any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMaterial {
    /// The text is something else.
    #[error(
        "this is neither 64 hexadecimal digits nor a private key in PEM or DER (PKCS#8, SEC1, PKCS#1), as a JWK or in a keystore of version 3"
    )]
    NotAKey,
    /// It is a form that has to be converted.
    #[error("{0}")]
    Foreign(Foreign),
    /// It is a public key.
    #[error("this is a public key: bring the private one")]
    Public,
    /// A keystore that waits for its password.
    #[error("the keystore has a password")]
    Locked,
    /// It is another one, or the keystore was altered.
    #[error("the password does not open the keystore, or the keystore was altered")]
    Password,
    /// A keystore of another kind.
    #[error("this is no keystore of version 3 with aes-128-ctr and scrypt or pbkdf2")]
    Keystore,
    /// A keystore that asks for too much.
    #[error("the keystore asks for more work than any wallet writes")]
    KeystoreWork,
    /// An RSA key as a JWK that has only n, e and d.
    #[error(
        "the JWK has not all of n, e, d, p, q, dp, dq and qi: export it with its prime factors"
    )]
    JwkFactors,
    /// The key is encrypted under a password.
    #[error(
        "the PEM file is encrypted; decrypt it first: openssl pkey -in FILE | chancery keys import …"
    )]
    Encrypted,
    /// The text holds more than a key.
    #[error("something stands after the key; bring one key and nothing else")]
    Trailing,
    /// The number is none of the curve's.
    #[error("the number is 0, or not below the order of secp256k1")]
    OutOfRange,
    /// The key is on another curve.
    #[error("the key is not on secp256k1, or does not say on which curve it is")]
    Curve,
    /// The RSA key has another length or exponent.
    #[error("an RSA key has 2048, 3072 or 4096 bits and the exponent 65537")]
    Rsa,
    /// The numbers are of several keys.
    #[error("the numbers of the key do not belong together")]
    Inconsistent,
}

impl Material {
    /// Reads the content of a file or a pipe. A keystore is opened with [`open_keystore`](Self::open_keystore).
    pub fn read(content: &[u8]) -> Result<Self, BadMaterial> {
        if let Some(foreign) = Foreign::recognise(content) {
            return Err(BadMaterial::Foreign(foreign));
        }
        if content.starts_with(&[0x30]) && !content.is_ascii() {
            return Self::from_der(content);
        }
        let text = std::str::from_utf8(content).map_err(|_| BadMaterial::NotAKey)?;
        let text = text.trim_ascii();
        if text.starts_with('{') {
            return Self::from_json(text);
        }
        let attributes = ATTRIBUTES.iter().any(|it| text.starts_with(it));
        match text.find("-----BEGIN ") {
            Some(0) => Self::from_pem(text),
            Some(at) if attributes => Self::from_pem(&text[at..]),
            _ => Self::from_digits(text),
        }
    }

    fn from_json(text: &str) -> Result<Self, BadMaterial> {
        if let Ok(jwk) = serde_json::from_str::<jwk::Jwk<'_>>(text) {
            return jwk.read();
        }
        let is_keystore = text.contains("\"crypto\"") || text.contains("\"Crypto\"");
        Err(if is_keystore {
            BadMaterial::Locked
        } else {
            BadMaterial::NotAKey
        })
    }

    /// Reads one of the forms that PEM holds, as bytes.
    fn from_der(der: &[u8]) -> Result<Self, BadMaterial> {
        let forms = [
            Self::from_pkcs8,
            |der: &[u8]| Self::from_sec1(der, None),
            Self::from_pkcs1,
        ];
        for form in forms {
            match form(der) {
                Err(BadMaterial::NotAKey) => {}
                read => return read,
            }
        }
        Err(match PublicKey::from_spki_der(der) {
            Ok(_) => BadMaterial::Public,
            Err(_) => BadMaterial::NotAKey,
        })
    }

    fn from_pem(text: &str) -> Result<Self, BadMaterial> {
        let pem = match text.strip_prefix(PARAMETERS.0) {
            Some(rest) => {
                let end = rest.split_once(PARAMETERS.1);
                end.ok_or(BadMaterial::NotAKey)?.1.trim_ascii_start()
            }
            None => text,
        };
        if pem.starts_with("-----BEGIN ENCRYPTED") || pem.contains("ENCRYPTED\n") {
            return Err(BadMaterial::Encrypted);
        }
        if pem.contains("Proc-Type:") {
            return Err(BadMaterial::Encrypted);
        }
        // One block; its last line ends the text.
        let dashes = pem.matches("-----").count();
        if dashes > 4 || (dashes == 4 && !pem.ends_with("-----")) {
            return Err(BadMaterial::Trailing);
        }
        let (label, der) = SecretDocument::from_pem(pem).map_err(|_| BadMaterial::NotAKey)?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(der.as_bytes()),
            "EC PRIVATE KEY" => Self::from_sec1(der.as_bytes(), None),
            "RSA PRIVATE KEY" => Self::from_pkcs1(der.as_bytes()),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(BadMaterial::Public),
            _ => Err(BadMaterial::NotAKey),
        }
    }

    fn from_digits(text: &str) -> Result<Self, BadMaterial> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let digits = digits.unwrap_or(text);
        let mut scalar = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, scalar.as_mut()).map_err(|_| BadMaterial::NotAKey)?;
        Self::from_scalar(scalar.as_ref())
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` in DER.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, BadMaterial> {
        let info = PrivateKeyInfo::from_der(der).map_err(|_| BadMaterial::NotAKey)?;
        if info.algorithm.oid == EC {
            let curve = info.algorithm.parameters_oid().ok();
            Self::from_sec1(info.private_key, curve)
        } else if info.algorithm.oid == pkcs1::ALGORITHM_OID {
            Self::from_pkcs1(info.private_key)
        } else {
            Err(BadMaterial::NotAKey)
        }
    }

    /// Reads an `ECPrivateKey` (RFC 5915), whose curve may stand in the text around it.
    fn from_sec1(der: &[u8], around: Option<ObjectIdentifier>) -> Result<Self, BadMaterial> {
        let (scalar, within, point) = sec1(der).map_err(|_| BadMaterial::NotAKey)?;
        let said = [around, within].into_iter().flatten();
        let (mut said, mut others) = (said.clone(), said);
        if said.next().is_none() || others.any(|curve| curve != SECP256K1) {
            return Err(BadMaterial::Curve);
        }
        let material = Self::from_scalar(scalar)?;
        let point = point.map(PublicKey::from_ec_point);
        match point {
            Some(point) if point.as_ref() != Ok(&material.public_key) => {
                Err(BadMaterial::Inconsistent)
            }
            _ => Ok(material),
        }
    }

    fn from_scalar(scalar: &[u8]) -> Result<Self, BadMaterial> {
        if scalar.len() != 32 {
            return Err(BadMaterial::NotAKey);
        }
        let secret = k256::SecretKey::from_slice(scalar).map_err(|_| BadMaterial::OutOfRange)?;
        let der = secret.to_pkcs8_der().map_err(|_| BadMaterial::NotAKey)?;
        Ok(Self {
            pkcs8: der.to_bytes(),
            public_key: PublicKey::Secp256k1(secret.public_key()),
            algorithm: Algorithm::Secp256k1,
        })
    }

    /// Reads an `RSAPrivateKey` (RFC 8017 §A.1.2).
    fn from_pkcs1(der: &[u8]) -> Result<Self, BadMaterial> {
        let key = pkcs1::RsaPrivateKey::from_der(der).map_err(|_| BadMaterial::NotAKey)?;
        let (n, e) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
        let public_key = PublicKey::from_rsa_parts(n, e).map_err(|_| BadMaterial::Rsa)?;
        let algorithm = public_key.algorithm().ok_or(BadMaterial::Rsa)?;
        let info = PrivateKeyInfo::new(pkcs1::ALGORITHM_ID, der);
        let pkcs8 = info.to_der().map_err(|_| BadMaterial::NotAKey)?;
        let pkcs8 = Zeroizing::new(pkcs8);
        RsaKeyPair::from_pkcs8(&pkcs8).map_err(|_| BadMaterial::Inconsistent)?;
        Ok(Self {
            pkcs8,
            public_key,
            algorithm,
        })
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The private key: PKCS#8 in DER.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The number of a secp256k1 key.
    pub(super) fn scalar(&self) -> Option<Zeroizing<[u8; 32]>> {
        let info = PrivateKeyInfo::from_der(&self.pkcs8).ok()?;
        let (scalar, ..) = sec1(info.private_key).ok()?;
        scalar.try_into().ok().map(Zeroizing::new)
    }

    /// The numbers of an RSA key, borrowed from the DER.
    pub(super) fn rsa_numbers(&self) -> Option<pkcs1::RsaPrivateKey<'_>> {
        let info = PrivateKeyInfo::from_der(&self.pkcs8).ok()?;
        pkcs1::RsaPrivateKey::from_der(info.private_key).ok()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material([redacted])")
    }
}

type Sec1<'a> = (&'a [u8], Option<ObjectIdentifier>, Option<&'a [u8]>);

/// Number, curve and point of an `ECPrivateKey`.
fn sec1(der: &[u8]) -> der::Result<Sec1<'_>> {
    AnyRef::from_der(der)?.sequence(|reader| {
        if u8::decode(reader)? != 1 {
            return Err(der::Tag::Integer.value_error());
        }
        let scalar = OctetStringRef::decode(reader)?.as_bytes();
        let curve = reader.context_specific(TagNumber::new(0), TagMode::Explicit)?;
        let point: Option<BitStringRef<'_>> =
            reader.context_specific(TagNumber::new(1), TagMode::Explicit)?;
        Ok((scalar, curve, point.map(|it| it.raw_bytes())))
    })
}

#[cfg(test)]
mod tests;
