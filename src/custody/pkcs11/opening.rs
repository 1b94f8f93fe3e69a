//! A token that is opened when it is there: an absent one does not keep other devices from serving,
//! and is tried again when somebody needs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use super::find::healthy;
use super::module::Module;
use super::pin::Pin;
use super::settings::Settings;
use super::token::Token;
use super::workers::Workers;
use crate::custody::CustodyError;
use crate::custody::aside::aside;

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
    Open(Arc<Workers>),
    /// With the last attempt in vain, if there was one.
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

    pub(super) async fn workers(&self) -> Result<Arc<Workers>, CustodyError> {
        if let State::Open(workers) = &*self.state.read().await {
            return Ok(workers.clone());
        }
        self.open(self.state.clone().write_owned().await).await
    }

    /// The same, without waiting for a token that is being opened.
    pub(super) async fn workers_at_once(&self) -> Result<Arc<Workers>, CustodyError> {
        let opening = || CustodyError::Unavailable("it is being opened".into());
        if let State::Open(workers) = &*self.state.try_read().map_err(|_| opening())? {
            return Ok(workers.clone());
        }
        let state = self.state.clone().try_write_owned();
        self.open(state.map_err(|_| opening())?).await
    }

    /// Opens the token, and says why it does not open in the words of the one who found out.
    pub(super) async fn open_now(&self) -> Result<(), CustodyError> {
        let (settings, pin) = (self.settings.clone(), self.pin.clone());
        let workers = start(&self.backend, settings, pin).await?;
        *self.state.write().await = State::Open(Arc::new(workers));
        Ok(())
    }

    /// How many sessions the configuration wants.
    pub(super) fn sessions(&self) -> usize {
        self.settings.sessions
    }

    async fn open(
        &self,
        mut state: OwnedRwLockWriteGuard<State>,
    ) -> Result<Arc<Workers>, CustodyError> {
        match &*state {
            State::Open(workers) => return Ok(workers.clone()),
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
        // On a thread of its own, which ends although the caller hangs up: a refused PIN that nobody
        // learnt of would be tried again.
        let opened = tokio::task::spawn_blocking(move || {
            let opened = runtime.block_on(start(&backend, settings, pin));
            let (answer, new) = match opened.map(Arc::new) {
                Ok(workers) => (Ok(workers.clone()), State::Open(workers)),
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

/// Loads the module, finds the token, logs in and starts the threads.
async fn start(backend: &str, settings: Settings, pin: Arc<Pin>) -> Result<Workers, CustodyError> {
    if settings.sessions == 0 || settings.queue == 0 || settings.call_timeout_ms == 0 {
        let why = "sessions, queue and call_timeout_ms must be at least 1";
        return Err(CustodyError::Refused(why.into()));
    }
    let name = settings.token()?;
    pin.read()?;
    let (path, isolated) = (settings.module.clone(), settings.isolated);
    let module = aside(move || Module::open(&path, isolated)).await?;
    let token = Token::new(name, settings.read_only, pin);
    let workers = Workers::start(backend, module, token, &settings)?;
    workers.run(|desk| healthy(desk)).await?;
    Ok(workers)
}

/// The answer of a device that does not open, and may later.
fn away(error: &CustodyError) -> CustodyError {
    match error {
        CustodyError::PinRefused | CustodyError::Unavailable(_) => error.clone(),
        other => CustodyError::Unavailable(other.to_string()),
    }
}
