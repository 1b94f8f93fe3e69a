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
use moka::future::Cache;

use self::private_key::PrivateKey;
use self::records::SealedKey;
use super::aside::{aside, aside_in_turn};
use super::{
    Algorithm, Attributes, Custody, CustodyError, Destruction, DeviceKey, Evidence, Importer,
    KeyTemplate, KeysAtRest, Payload, Place, PublicKey, RawSignature, Sealer, Sign,
};
use crate::audit::Logged;
use crate::id::KeyId;
use crate::ledger::{Ledger, LedgerError};
use crate::policy::Permit;
use crate::sealing::{Keyring, Unopened};

mod at_rest;
mod import;
mod private_key;
mod records;
mod secret;
#[cfg(test)]
mod tests;

pub(super) use private_key::make;

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

    /// Checks that the master keys are this store's, as far as its newest key tells. New keys under a wrong
    /// master key would be lost with it.
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
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        let Sign { key, payload, .. } = permit.get().action();
        let Place { id, algorithm, .. } = key.place;
        payload.fits(algorithm)?;
        let opened = self.opened(id, algorithm).await?;
        match payload {
            Payload::Digest(digest) => opened.sign_digest(digest),
            Payload::Message(message) => {
                let message = message.clone();
                aside_in_turn(move || opened.sign_message(&message)).await
            }
            Payload::Hmac { .. } => Err(CustodyError::WrongPayload(algorithm)),
        }
    }

    #[tracing::instrument(skip_all, fields(key.id = %template.id))]
    async fn generate(&self, template: &KeyTemplate) -> Result<DeviceKey, CustodyError> {
        let (id, algorithm) = (template.id, template.algorithm);
        self.fits().await?;
        let (der, public_key) = aside(move || make(algorithm)).await?;
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
        Ok(DeviceKey {
            public_key,
            attributes,
            device_ref: None,
        })
    }

    #[tracing::instrument(skip_all, fields(key.id = %key.id))]
    async fn inspect(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        let found = self.found(key.id, key.algorithm).await?;
        let public_key = PublicKey::from_spki_der(&found.public_key)
            .map_err(|error| CustodyError::Nonsense(error.to_string()))?;
        let attributes = attributes(!found.imported);
        Ok(DeviceKey {
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

    fn evidence(&self) -> Evidence {
        Evidence::Software
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.fits().await
    }

    fn imports(&self) -> Option<&dyn Importer> {
        Some(self)
    }

    fn seals(&self) -> Option<&dyn Sealer> {
        Some(self)
    }

    fn keys_at_rest(&self) -> Option<&dyn KeysAtRest> {
        Some(self)
    }
}

/// The honest attributes of a key in software: whoever reads the master key can take the key away.
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
