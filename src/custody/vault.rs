//! The devices of this deployment, by name. One that is down leaves the others serving.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Custody, CustodyError, RawSignature, Sign};
use crate::audit::Logged;
use crate::name::Name;
use crate::policy::Permit;

/// All devices. A key's record names the one that holds it.
#[derive(Default)]
pub struct Vault(BTreeMap<Name, Arc<dyn Custody>>);

impl Vault {
    /// A vault of these devices.
    pub fn new(backends: BTreeMap<Name, Arc<dyn Custody>>) -> Self {
        Self(backends)
    }

    /// The device with this name.
    pub fn backend(&self, name: &Name) -> Result<&dyn Custody, CustodyError> {
        let unknown = || CustodyError::Unavailable(format!("[custody.{name}] is not configured"));
        self.0
            .get(name)
            .map(|backend| &**backend)
            .ok_or_else(unknown)
    }

    /// Signs exactly what was permitted and logged, in the device with this name.
    pub async fn sign(
        &self,
        backend: &Name,
        permit: &Logged<Permit<Sign>>,
    ) -> Result<RawSignature, CustodyError> {
        self.backend(backend)?.sign(permit).await
    }

    /// Seals a secret in the device with this name.
    pub async fn seal(
        &self,
        backend: &Name,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CustodyError> {
        self.backend(backend)?.seal(aad, plaintext).await
    }

    /// Opens what was sealed in the device with this name.
    pub async fn open(
        &self,
        backend: &Name,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        self.backend(backend)?.open(aad, sealed).await
    }

    /// The names of the devices.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// How each device does.
    pub async fn health(&self) -> Vec<(Name, Result<(), CustodyError>)> {
        let mut health = Vec::with_capacity(self.0.len());
        for (name, backend) in &self.0 {
            health.push((name.clone(), backend.health().await));
        }
        health
    }
}
