//! A device that is opened when it is there: one that is absent at the start does not keep the
//! others from serving, and is tried again when somebody asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use zeroize::Zeroizing;

use super::pkcs11::{Pin, Pkcs11, Settings};
use super::{
    Custody, CustodyError, Description, Destruction, DeviceRef, DeviceSealingKey, Evidence,
    Generated, KeyRef, Offer, Place, RawSignature, Sign, Wanted, pkcs11,
};
use crate::audit::Logged;
use crate::policy::Permit;

/// How long an absent device is left alone after it was tried.
const PAUSE: Duration = Duration::from_secs(5);

/// A PKCS#11 token, opened or not yet.
pub(super) struct Opening {
    backend: String,
    settings: Settings,
    pin: Arc<Pin>,
    state: Arc<RwLock<State>>,
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
            pin: Arc::new(Pin::new(&settings.pin_file)),
            settings,
            state: Arc::new(RwLock::new(State::Absent(None))),
        })
    }

    async fn device(&self) -> Result<Arc<Pkcs11>, CustodyError> {
        if let State::Open(device) = &*self.state.read().await {
            return Ok(device.clone());
        }
        self.open(self.state.clone().write_owned().await).await
    }

    /// The same, but nobody waits while another is opening it.
    async fn device_now(&self) -> Result<Arc<Pkcs11>, CustodyError> {
        let opening = || CustodyError::Unavailable("it is being opened".into());
        if let State::Open(device) = &*self.state.try_read().map_err(|_| opening())? {
            return Ok(device.clone());
        }
        let state = self.state.clone().try_write_owned();
        self.open(state.map_err(|_| opening())?).await
    }

    async fn open(
        &self,
        mut state: OwnedRwLockWriteGuard<State>,
    ) -> Result<Arc<Pkcs11>, CustodyError> {
        match &*state {
            State::Open(device) => return Ok(device.clone()),
            // A refused PIN is not tried again: a token that counts would lock.
            State::Absent(Some((_, CustodyError::PinRefused))) => {
                if self.pin.is_refused() {
                    return Err(CustodyError::PinRefused);
                }
            }
            State::Absent(Some((tried, error))) if tried.elapsed() < PAUSE => {
                return Err(away(error));
            }
            State::Absent(_) => {}
        }
        let (backend, settings) = (self.backend.clone(), self.settings.clone());
        let pin = self.pin.clone();
        let runtime = tokio::runtime::Handle::current();
        // On a thread, so that it ends although whoever wanted it hangs up: a refused PIN that nobody
        // learnt of would be tried again.
        let opened = tokio::task::spawn_blocking(move || {
            let opened = runtime.block_on(Pkcs11::open_with(&backend, settings, pin));
            let (answer, new) = match opened.map(Arc::new) {
                Ok(device) => (Ok(device.clone()), State::Open(device)),
                Err(error) => {
                    tracing::error!(custody.backend = backend, %error, "the device does not open");
                    (
                        Err(away(&error)),
                        State::Absent(Some((Instant::now(), error))),
                    )
                }
            };
            *state = new;
            answer
        });
        let lost = |error: tokio::task::JoinError| CustodyError::Unavailable(error.to_string());
        opened.await.unwrap_or_else(|error| Err(lost(error)))
    }
}

/// What is said of a device that does not open: it may later.
fn away(error: &CustodyError) -> CustodyError {
    match error {
        CustodyError::PinRefused | CustodyError::Unavailable(_) => error.clone(),
        other => CustodyError::Unavailable(other.to_string()),
    }
}

#[async_trait]
impl Custody for Opening {
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        self.device().await?.sign(permit).await
    }

    async fn ready(&self) -> Result<(), CustodyError> {
        self.device_now().await?.ready().await
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

    async fn prepare_import(
        &self,
        wanted: &Wanted,
        earlier: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        self.device().await?.prepare_import(wanted, earlier).await
    }

    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<Generated, CustodyError> {
        let device = self.device().await?;
        device.import(announced, ticket, wrapped).await
    }

    async fn forget_import(&self, key: &Place) -> Result<(), CustodyError> {
        self.device().await?.forget_import(key).await
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

    async fn describe(&self) -> Result<Description, CustodyError> {
        self.device().await?.describe().await
    }

    fn evidence(&self) -> Evidence {
        Evidence::Claimed
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        self.device().await?.sealing_keys().await
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        pkcs11::sealed_under(sealed)
    }

    async fn make_sealing_key(&self) -> Result<String, CustodyError> {
        self.device().await?.make_sealing_key().await
    }

    async fn destroy_sealing_key(&self, id: &str) -> Result<(), CustodyError> {
        self.device().await?.destroy_sealing_key(id).await
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.device().await?.health().await
    }
}
