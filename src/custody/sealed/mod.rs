//! The software keystore: private keys in Postgres, sealed under a master key from a file.
//!
//! It promises that a key at rest is worthless without the master key and cannot be moved to another
//! id or algorithm. It does **not** promise what a device does: an open key is in this process's
//! memory while it is used and for some minutes after, and whoever can read that memory, or both the
//! table and the file, has it. `serve` refuses this backend unless the configuration accepts that.
//!
//! # Why
//! ECDSA nonces are deterministic (RFC 6979), so a weak source of randomness cannot leak a key. RSA
//! private operations are aws-lc's, which are constant in time; the `rsa` crate's are not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use k256::elliptic_curve::rand_core::OsRng;
use k256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use moka::future::Cache;
use zeroize::Zeroizing;

use self::records::SealedKey;
use super::{
    Algorithm, Attributes, Custody, CustodyError, Destruction, Generated, Payload, Place,
    PublicKey, RawSignature, Sign, Wanted,
};
use crate::audit::Logged;
use crate::id::KeyId;
use crate::ledger::{Ledger, LedgerError};
use crate::policy::Permit;
use crate::sealing::SealingKey;

mod records;
#[cfg(test)]
mod tests;

/// How many open keys are kept in memory, for how long after their last use, and at most.
const OPEN_KEYS: u64 = 1024;
const OPEN_WHILE_USED: Duration = Duration::from_mins(5);
const OPEN_AT_MOST: Duration = Duration::from_hours(1);

/// Where the master key is.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file with the master key: 32 bytes or 64 hexadecimal digits, not readable by everybody.
    /// Without it every key in the store is lost.
    pub master_key_file: PathBuf,
    /// That keys lie in software: `serve` refuses the keystore without it.
    #[serde(default)]
    pub accept_keys_in_software: bool,
}

/// Private keys in Postgres, sealed.
pub struct Keystore {
    ledger: Ledger,
    master: SealingKey,
    open: Cache<(KeyId, Algorithm), Arc<PrivateKey>>,
}

/// A private key, open.
enum PrivateKey {
    Secp256k1(k256::ecdsa::SigningKey),
    Rsa(RsaKeyPair),
}

impl Keystore {
    /// A keystore on this ledger, under this master key.
    pub fn new(ledger: Ledger, master: SealingKey) -> Self {
        let open = Cache::builder()
            .max_capacity(OPEN_KEYS)
            .time_to_idle(OPEN_WHILE_USED)
            .time_to_live(OPEN_AT_MOST)
            .build();
        Self {
            ledger,
            master,
            open,
        }
    }

    async fn opened(
        &self,
        id: KeyId,
        algorithm: Algorithm,
    ) -> Result<Arc<PrivateKey>, CustodyError> {
        if let Some(key) = self.open.get(&(id, algorithm)).await {
            return Ok(key);
        }
        let SealedKey { sealed, .. } = self.found(id, algorithm).await?;
        let nonsense = |_| CustodyError::Nonsense("the sealed key does not open".into());
        let der = self.master.open(&aad(id, algorithm), &sealed);
        let key = Arc::new(PrivateKey::from_pkcs8(algorithm, &der.map_err(nonsense)?)?);
        self.open.insert((id, algorithm), Arc::clone(&key)).await;
        Ok(key)
    }

    async fn found(&self, id: KeyId, algorithm: Algorithm) -> Result<SealedKey, CustodyError> {
        let found = records::find(id, algorithm, &self.ledger).await;
        found
            .map_err(|e| unavailable(&e))?
            .ok_or(CustodyError::NotFound { id, found: 0 })
    }
}

#[async_trait]
impl Custody for Keystore {
    #[tracing::instrument(skip_all)]
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        let Sign { key, payload, .. } = permit.get().action();
        let Place { id, algorithm, .. } = key.place;
        payload.fits(algorithm)?;
        let opened = self.opened(id, algorithm).await?;
        match (&*opened, payload) {
            (PrivateKey::Secp256k1(signer), Payload::Digest(digest)) => {
                let signature: Result<k256::ecdsa::Signature, _> = signer.sign_prehash(digest);
                let signature = signature.map_err(|e| CustodyError::Nonsense(e.to_string()))?;
                Ok(RawSignature::Ecdsa(signature.to_bytes().into()))
            }
            (PrivateKey::Rsa(_), Payload::Message(message)) => {
                let message = message.clone();
                blocking(move || opened.sign_rsa(&message)).await
            }
            _ => Err(CustodyError::WrongPayload(algorithm)),
        }
    }

    #[tracing::instrument(skip_all, fields(key.id = %wanted.id))]
    async fn generate(&self, wanted: &Wanted) -> Result<Generated, CustodyError> {
        let (id, algorithm) = (wanted.id, wanted.algorithm);
        let (der, public_key) = blocking(move || make(algorithm)).await?;
        let key = SealedKey {
            sealed: self.master.seal(&aad(id, algorithm), &der),
            public_key: public_key.to_spki_der(),
        };
        let kept = records::insert(id, algorithm, &key, &self.ledger).await;
        if !kept.map_err(|e| unavailable(&e))? {
            let why = "the keystore already holds a key with this id";
            return Err(CustodyError::Refused(why.into()));
        }
        let attributes = attributes();
        Ok(Generated {
            public_key,
            attributes,
            device_ref: None,
        })
    }

    #[tracing::instrument(skip_all, fields(key.id = %key.id))]
    async fn inspect(&self, key: &Place) -> Result<Generated, CustodyError> {
        let found = self.found(key.id, key.algorithm).await?;
        let public_key = PublicKey::from_spki_der(&found.public_key)
            .map_err(|error| CustodyError::Nonsense(error.to_string()))?;
        let attributes = attributes();
        Ok(Generated {
            public_key,
            attributes,
            device_ref: None,
        })
    }

    #[tracing::instrument(skip_all, fields(key.id = %key.id))]
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        let (id, algorithm) = (key.id, key.algorithm);
        let destroyed = records::delete(id, algorithm, &self.ledger).await;
        self.open.invalidate(&(id, algorithm)).await;
        if destroyed.map_err(|e| unavailable(&e))? {
            Ok(Destruction::Done)
        } else {
            Err(CustodyError::NotFound { id, found: 0 })
        }
    }

    #[tracing::instrument(skip_all)]
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let sealed = self.master.seal(&secret_aad(aad), plaintext);
        Ok([&[SECRET_VERSION], sealed.as_slice()].concat())
    }

    #[tracing::instrument(skip_all)]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let Some((&SECRET_VERSION, sealed)) = sealed.split_first() else {
            return Err(CustodyError::DoesNotOpen);
        };
        let opened = self.master.open(&secret_aad(aad), sealed);
        opened.map_err(|_| CustodyError::DoesNotOpen)
    }

    async fn health(&self) -> Result<(), CustodyError> {
        records::reach(&self.ledger)
            .await
            .map_err(|e| unavailable(&e))
    }
}

impl PrivateKey {
    fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, CustodyError> {
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

    fn sign_rsa(&self, message: &[u8]) -> Result<RawSignature, CustodyError> {
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
fn make(algorithm: Algorithm) -> Result<(Zeroizing<Vec<u8>>, PublicKey), CustodyError> {
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
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| failed("encoding"))?;
    let public_key = PublicKey::from_spki_der(spki.as_ref())
        .map_err(|error| CustodyError::Nonsense(error.to_string()))?;
    Ok((Zeroizing::new(der.as_ref().to_vec()), public_key))
}

/// The honest ones: software made it, and software that reads the master key can take it away.
fn attributes() -> Attributes {
    [
        ("local", true),
        ("sensitive", false),
        ("always-sensitive", false),
        ("extractable", true),
        ("never-extractable", false),
        ("sign", true),
        ("decrypt", false),
        ("unwrap", false),
        ("derive", false),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Binds a sealed key to its row: the id's 16 bytes, then the algorithm's name.
fn aad(id: KeyId, algorithm: Algorithm) -> Vec<u8> {
    [id.uuid().as_bytes(), algorithm.name().as_bytes()].concat()
}

/// In front of a sealed secret: under which master key it is sealed, the first and only one today.
const SECRET_VERSION: u8 = 1;

/// Keeps sealed secrets apart from sealed keys, whose associated data starts with a UUID of version
/// 7: its seventh byte is never a space.
fn secret_aad(aad: &[u8]) -> Vec<u8> {
    [b"secret v1 in chancery: ", aad].concat()
}

/// Runs what keeps a processor busy, away from the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CustodyError> + Send + 'static,
) -> Result<T, CustodyError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(CustodyError::Unavailable(error.to_string())))
}

fn unavailable(error: &LedgerError) -> CustodyError {
    CustodyError::Unavailable(error.to_string())
}
