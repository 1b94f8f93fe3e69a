//! A device that is opened when it is there: one that is absent at the start does not keep the
//! others from serving, and is tried again when somebody asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::RwLock;
use zeroize::Zeroizing;

use super::pkcs11::{Pkcs11, Settings};
use super::{
    Custody, CustodyError, Destruction, DeviceRef, Evidence, Generated, Place, RawSignature, Sign,
    Wanted,
};
use crate::audit::Logged;
use crate::policy::Permit;

/// How long an absent device is left alone after it was tried.
const PAUSE: Duration = Duration::from_secs(5);

/// A PKCS#11 token, opened or not yet.
pub(super) struct Opening {
    backend: String,
    settings: Settings,
    state: RwLock<State>,
}

enum State {
    Open(Arc<Pkcs11>),
    /// Tried then, in vain.
    Absent(Option<(Instant, CustodyError)>),
}

impl Opening {
    /// A token that has not been tried.
    pub(super) fn new(backend: &str, settings: Settings) -> Result<Self, CustodyError> {
        settings.token()?;
        Ok(Self {
            backend: backend.to_owned(),
            settings,
            state: RwLock::new(State::Absent(None)),
        })
    }

    async fn device(&self) -> Result<Arc<Pkcs11>, CustodyError> {
        if let State::Open(device) = &*self.state.read().await {
            return Ok(device.clone());
        }
        let mut state = self.state.write().await;
        match &*state {
            State::Open(device) => return Ok(device.clone()),
            // A refused PIN is not tried again: a token that counts would lock.
            State::Absent(Some((_, CustodyError::PinRefused))) => {
                return Err(CustodyError::PinRefused);
            }
            State::Absent(Some((tried, error))) if tried.elapsed() < PAUSE => {
                return Err(CustodyError::Unavailable(error.to_string()));
            }
            State::Absent(_) => {}
        }
        match Pkcs11::open(&self.backend, self.settings.clone()).await {
            Ok(device) => {
                let device = Arc::new(device);
                *state = State::Open(device.clone());
                Ok(device)
            }
            Err(error) => {
                tracing::error!(custody.backend = self.backend, %error, "the device does not open");
                let answer = match &error {
                    CustodyError::PinRefused => CustodyError::PinRefused,
                    other => CustodyError::Unavailable(other.to_string()),
                };
                *state = State::Absent(Some((Instant::now(), error)));
                Err(answer)
            }
        }
    }
}

#[async_trait]
impl Custody for Opening {
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        self.device().await?.sign(permit).await
    }

    async fn generate(&self, wanted: &Wanted) -> Result<Generated, CustodyError> {
        self.device().await?.generate(wanted).await
    }

    async fn inspect(&self, key: &Place) -> Result<Generated, CustodyError> {
        self.device().await?.inspect(key).await
    }

    async fn recover(&self, key: &Place) -> Result<Generated, CustodyError> {
        self.device().await?.recover(key).await
    }

    async fn look_up(&self, device_ref: &DeviceRef) -> Result<Generated, CustodyError> {
        self.device().await?.look_up(device_ref).await
    }

    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        self.device().await?.destroy(key).await
    }

    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        self.device().await?.seal(aad, plaintext).await
    }

    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        self.device().await?.open(aad, sealed).await
    }

    fn evidence(&self) -> Evidence {
        Evidence::Claimed
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.device().await?.health().await
    }
}
