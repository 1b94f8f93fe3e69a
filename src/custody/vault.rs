//! The devices of this deployment, by name. One that is down leaves the others serving.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::hmac::{self, Opened};
use super::{
    Custody, CustodyError, Load, Payload, Place, RawSignature, SealedSecret, Sealer, Sign, Turn,
};
use crate::audit::Logged;
use crate::id::CallerId;
use crate::name::Name;
use crate::policy::Permit;

/// All devices. A key's record names the one that holds it.
pub struct Vault {
    backends: BTreeMap<Name, Arc<dyn Custody>>,
    opened: Opened,
}

impl Vault {
    /// A vault of these devices.
    pub fn new(backends: BTreeMap<Name, Arc<dyn Custody>>, secrets: &hmac::Settings) -> Self {
        let opened = Opened::new(secrets);
        Self { backends, opened }
    }

    /// The device with this name.
    pub fn backend(&self, name: &Name) -> Result<&dyn Custody, CustodyError> {
        let unknown = || CustodyError::Unavailable(format!("[custody.{name}] is not configured"));
        self.backends
            .get(name)
            .map(|backend| &**backend)
            .ok_or_else(unknown)
    }

    fn sealer(&self, name: &Name) -> Result<&dyn Sealer, CustodyError> {
        let why = || CustodyError::Unsupported("sealing: this kind of device seals nothing".into());
        self.backend(name)?.seals().ok_or_else(why)
    }

    /// Refuses at once, before an intent, where the device would not sign, and takes a place in its line.
    /// For an HMAC the device matters only while the secret is not open.
    pub async fn ready(
        &self,
        backend: &Name,
        key: &Place,
        secret: Option<&SealedSecret>,
        caller: CallerId,
    ) -> Result<Turn, CustodyError> {
        match secret {
            Some(secret) if self.opened.holds(secret) => Ok(Turn::default()),
            Some(secret) => {
                self.backend(&secret.backend)?.ready().await?;
                Ok(Turn::default())
            }
            None => {
                let device = self.backend(backend)?;
                match device.queues() {
                    Some(line) => line.turn(key, caller).await,
                    None => device.ready().await.map(|()| Turn::default()),
                }
            }
        }
    }

    /// Signs exactly what was permitted and logged, in the device with this name. An HMAC is made here, with
    /// a secret that the device opened in which it was sealed.
    pub async fn sign(
        &self,
        backend: &Name,
        permit: &Logged<Permit<Sign>>,
    ) -> Result<RawSignature, CustodyError> {
        match &permit.get().action().payload {
            Payload::Hmac { secret, message } => {
                let device = self.sealer(&secret.backend)?;
                self.opened.sign(device, secret, message).await
            }
            Payload::Digest(_) | Payload::Message(_) => self.backend(backend)?.sign(permit).await,
        }
    }

    /// Seals a secret in the device with this name.
    pub async fn seal(
        &self,
        backend: &Name,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CustodyError> {
        self.sealer(backend)?.seal(aad, plaintext).await
    }

    /// Opens what was sealed in the device with this name.
    pub async fn open(
        &self,
        backend: &Name,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        self.sealer(backend)?.open(aad, sealed).await
    }

    /// Wipes a credential's open secret, in this replica.
    pub fn forget(&self, credential: &Uuid) {
        self.opened.forget(credential);
    }

    /// Wipes every secret that is open, in this replica.
    pub fn forget_all(&self) {
        self.opened.forget_all();
    }

    /// The names of the devices.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.backends.keys()
    }

    /// How busy each device is.
    pub fn loads(&self) -> impl Iterator<Item = (&Name, Load)> {
        self.backends.iter().map(|(name, it)| (name, it.load()))
    }

    /// Whether each device answers and holds its keys.
    pub async fn health(&self) -> Vec<(Name, Result<(), CustodyError>)> {
        let mut health = Vec::with_capacity(self.backends.len());
        for (name, backend) in &self.backends {
            health.push((name.clone(), backend.health().await));
        }
        health
    }
}
