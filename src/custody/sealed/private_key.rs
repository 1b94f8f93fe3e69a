//! A private key in this program's memory: made, read, and signed with.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use k256::elliptic_curve::rand_core::OsRng;
use k256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use zeroize::Zeroizing;

use crate::custody::{Algorithm, CustodyError, PublicKey, RawSignature};

/// A private key, open.
pub(super) enum PrivateKey {
    Secp256k1(k256::ecdsa::SigningKey),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    pub(super) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, CustodyError> {
        let nonsense = || CustodyError::Nonsense("the sealed key is no PKCS#8".into());
        match algorithm {
            Algorithm::Secp256k1 => k256::SecretKey::from_pkcs8_der(der)
                .map(|key| Self::Secp256k1(key.into()))
                .map_err(|_| nonsense()),
            _ => RsaKeyPair::from_pkcs8(der)
                .map(Self::Rsa)
                .map_err(|_| nonsense()),
        }
    }

    pub(super) fn public_key(&self) -> Result<PublicKey, CustodyError> {
        match self {
            Self::Secp256k1(signer) => Ok(PublicKey::Secp256k1(signer.verifying_key().into())),
            Self::Rsa(pair) => rsa_public_key(pair),
        }
    }

    pub(super) fn sign_digest(&self, digest: &[u8; 32]) -> Result<RawSignature, CustodyError> {
        let Self::Secp256k1(key) = self else {
            return Err(CustodyError::WrongPayload(Algorithm::Rsa2048));
        };
        let signature: Result<k256::ecdsa::Signature, _> = key.sign_prehash(digest);
        let signature = signature.map_err(|e| CustodyError::Nonsense(e.to_string()))?;
        Ok(RawSignature::Ecdsa(signature.to_bytes().into()))
    }

    pub(super) fn sign_message(&self, message: &[u8]) -> Result<RawSignature, CustodyError> {
        let Self::Rsa(key) = self else {
            return Err(CustodyError::WrongPayload(Algorithm::Secp256k1));
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )
        .map_err(|_| CustodyError::Nonsense("aws-lc does not sign".into()))?;
        Ok(RawSignature::Rsa(signature))
    }
}

/// Makes a key pair: PKCS#8 DER and the public half.
pub(in crate::custody) fn make(
    algorithm: Algorithm,
) -> Result<(Zeroizing<Vec<u8>>, PublicKey), CustodyError> {
    let failed = |what: &str| CustodyError::Unavailable(format!("{what} failed"));
    let size = match algorithm {
        Algorithm::Secp256k1 => {
            let secret = k256::SecretKey::random(&mut OsRng);
            let der = secret.to_pkcs8_der().map_err(|_| failed("encoding"))?;
            let public_key = PublicKey::Secp256k1(secret.public_key());
            return Ok((der.to_bytes(), public_key));
        }
        Algorithm::Rsa2048 => KeySize::Rsa2048,
        Algorithm::Rsa3072 => KeySize::Rsa3072,
        Algorithm::Rsa4096 => KeySize::Rsa4096,
    };
    let pair = RsaKeyPair::generate(size).map_err(|_| failed("making an RSA key"))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed("encoding"))?;
    let public_key = rsa_public_key(&pair)?;
    Ok((Zeroizing::new(der.as_ref().to_vec()), public_key))
}

fn rsa_public_key(pair: &RsaKeyPair) -> Result<PublicKey, CustodyError> {
    let nonsense = |_| CustodyError::Nonsense("an RSA key without a public half".into());
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(nonsense)?;
    PublicKey::from_spki_der(spki.as_ref())
        .map_err(|error| CustodyError::Nonsense(error.to_string()))
}
