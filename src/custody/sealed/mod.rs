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
use super::material::Material;
use super::wrapping::{Scheme, WrappingPair};
use super::{
    Algorithm, Attributes, Custody, CustodyError, Destruction, DeviceSealingKey, Evidence,
    Generated, KeyRef, KeysAtRest, Offer, Payload, Place, PublicKey, RawSignature, Sign, Wanted,
};
use crate::audit::Logged;
use crate::id::KeyId;
use crate::ledger::{Ledger, LedgerError};
use crate::policy::Permit;
use crate::sealing::{Keyring, Unopened, named_in};

mod at_rest;
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
    /// Files with former master keys, which still open what rests under them.
    #[serde(default)]
    pub former_master_key_files: Vec<PathBuf>,
    /// That keys lie in software: `serve` refuses the keystore without it.
    #[serde(default)]
    pub accept_keys_in_software: bool,
}

/// Private keys in Postgres, sealed.
pub struct Keystore {
    backend: String,
    ledger: Ledger,
    masters: Keyring,
    open: Cache<(KeyId, Algorithm), Arc<PrivateKey>>,
}

/// A private key, open.
enum PrivateKey {
    Secp256k1(k256::ecdsa::SigningKey),
    Rsa(RsaKeyPair),
}

impl Keystore {
    /// A keystore on this ledger, under these master keys. `backend` is its name in the configuration.
    pub fn new(backend: &str, ledger: Ledger, masters: impl Into<Keyring>) -> Self {
        let open = Cache::builder()
            .max_capacity(OPEN_KEYS)
            .time_to_idle(OPEN_WHILE_USED)
            .time_to_live(OPEN_AT_MOST)
            .build();
        Self {
            backend: backend.to_owned(),
            ledger,
            masters: masters.into(),
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
        let der = self.masters.open(&aad(id, algorithm), &sealed);
        let der = der.map_err(unopened_key)?;
        let key = Arc::new(PrivateKey::from_pkcs8(algorithm, &der)?);
        self.open.insert((id, algorithm), Arc::clone(&key)).await;
        Ok(key)
    }

    /// Whether the master keys are those of this store, as far as its newest key tells. New keys under a
    /// wrong one would be lost with it.
    async fn fits(&self) -> Result<(), CustodyError> {
        let newest = records::newest(&self.backend, &self.ledger).await;
        let Some((id, algorithm, sealed)) = newest.map_err(|e| unavailable(&e))? else {
            return Ok(());
        };
        let opened = self.masters.open(&aad(id, algorithm), &sealed);
        opened.map(|_| ()).map_err(unopened_key)
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
        self.fits().await?;
        let (der, public_key) = blocking(move || make(algorithm)).await?;
        let key = SealedKey {
            sealed: self.masters.seal(&aad(id, algorithm), &der),
            public_key: public_key.to_spki_der(),
            imported: false,
        };
        let kept = records::insert(id, algorithm, &key, &self.ledger).await;
        if !kept.map_err(|e| unavailable(&e))? {
            let why = "the keystore already holds a key with this id";
            return Err(CustodyError::Refused(why.into()));
        }
        let attributes = attributes(true);
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
        let attributes = attributes(!found.imported);
        Ok(Generated {
            public_key,
            attributes,
            device_ref: None,
        })
    }

    /// The wrapping pair is this offer's own, and its private half is the ticket: sealed under the master
    /// key, so that whichever replica is given the ticket opens it.
    #[tracing::instrument(skip_all, fields(key.id = %wanted.id))]
    async fn prepare_import(
        &self,
        wanted: &Wanted,
        _: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        self.fits().await?;
        let pair = blocking(WrappingPair::generate).await?;
        let aad = ticket_aad(wanted.id, wanted.algorithm);
        Ok(Offer {
            scheme: Scheme::Sha256,
            wrapping_key: pair.public()?,
            ticket: self.masters.seal(&aad, &pair.to_pkcs8()?),
            device_ref: None,
        })
    }

    #[tracing::instrument(skip_all, fields(key.id = %announced.place.id))]
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<Generated, CustodyError> {
        let Place { id, algorithm, .. } = announced.place;
        let pair = self.masters.open(&ticket_aad(id, algorithm), ticket);
        let pair = WrappingPair::from_pkcs8(&pair.map_err(|_| CustodyError::DoesNotUnwrap)?)?;
        let wrapped = wrapped.to_vec();
        let brought = blocking(move || {
            let pkcs8 = pair.unwrap(Scheme::Sha256, &wrapped)?;
            let refused = |error: super::BadMaterial| CustodyError::NotTheKey(error.to_string());
            Material::from_pkcs8(&pkcs8).map_err(refused)
        });
        let brought = brought.await?;
        if *brought.public_key() != announced.public_key {
            let why = "its public half is another";
            return Err(CustodyError::NotTheKey(why.into()));
        }
        let key = SealedKey {
            sealed: self.masters.seal(&aad(id, algorithm), brought.pkcs8()),
            public_key: announced.public_key.to_spki_der(),
            imported: true,
        };
        drop(brought);
        let left = records::delete(id, algorithm, &self.ledger).await;
        left.map_err(|e| unavailable(&e))?;
        let kept = records::insert(id, algorithm, &key, &self.ledger).await;
        if !kept.map_err(|e| unavailable(&e))? {
            let why = "the keystore already holds a key with this id";
            return Err(CustodyError::Refused(why.into()));
        }
        self.inspect(&announced.place).await
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
        self.fits().await?;
        Ok(self.masters.seal(&secret_aad(aad), plaintext))
    }

    #[tracing::instrument(skip_all)]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let opened = match sealed.split_first() {
            Some((&UNNAMED_SECRET, sealed)) => self.masters.open_unnamed(&secret_aad(aad), sealed),
            _ => self.masters.open(&secret_aad(aad), sealed),
        };
        opened.map_err(|error| match error {
            Unopened::KeyMissing(_) => CustodyError::SealingKeyMissing(error.to_string()),
            Unopened::DoesNotOpen => CustodyError::DoesNotOpen,
        })
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        let current = self.masters.current();
        let mut keys: Vec<DeviceSealingKey> = Vec::new();
        for id in self.masters.ids() {
            let (id, seals) = (id.to_string(), id == current);
            if keys.iter().all(|key| key.id != id) {
                let made_at = None; // its file knows
                keys.push(DeviceSealingKey { id, seals, made_at });
            }
        }
        Ok(keys)
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        named_in(sealed).map(|id| id.to_string())
    }

    fn keys_at_rest(&self) -> Option<&dyn KeysAtRest> {
        Some(self)
    }

    fn evidence(&self) -> Evidence {
        Evidence::Software
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.fits().await
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

    fn public_key(&self) -> Result<PublicKey, CustodyError> {
        match self {
            Self::Secp256k1(signer) => Ok(PublicKey::Secp256k1(signer.verifying_key().into())),
            Self::Rsa(pair) => rsa_public_key(pair),
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
pub(super) fn make(algorithm: Algorithm) -> Result<(Zeroizing<Vec<u8>>, PublicKey), CustodyError> {
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

/// The honest ones: software made it, and software that reads the master key can take it away.
fn attributes(made_here: bool) -> Attributes {
    [
        ("local", made_here),
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

/// Binds a ticket to the key that is to be brought. It differs from [`aad`] in its first bytes, as
/// [`secret_aad`] does.
fn ticket_aad(id: KeyId, algorithm: Algorithm) -> Vec<u8> {
    [b"import v1 in chancery: ".as_slice(), &aad(id, algorithm)].concat()
}

/// In front of a secret that was sealed before master keys had ids.
const UNNAMED_SECRET: u8 = 1;

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

fn unopened_key(error: Unopened) -> CustodyError {
    CustodyError::SealingKeyMissing(match error {
        Unopened::KeyMissing(_) => error.to_string(),
        Unopened::DoesNotOpen => {
            "a key in the keystore does not open: it is another master key's, or its row was altered"
                .to_owned()
        }
    })
}

fn unavailable(error: &LedgerError) -> CustodyError {
    CustodyError::Unavailable(error.to_string())
}
