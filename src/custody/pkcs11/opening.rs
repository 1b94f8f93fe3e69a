//! A token that is opened when it is there: an absent one does not keep other devices from serving,
//! and is tried again when somebody needs it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard};

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
    /// Once it is open, it stays open: what comes later is the workers' to recover from.
    open: Arc<OnceLock<Arc<Workers>>>,
    /// Held by the one who opens. The last attempt in vain, if there was one.
    absent: Arc<Mutex<Option<(Instant, CustodyError)>>>,
}

impl Opening {
    /// A token that has not been tried.
    pub(super) fn new(backend: &str, settings: Settings) -> Result<Self, CustodyError> {
        settings.token()?;
        Ok(Self {
            backend: backend.to_owned(),
            pin: Arc::new(Pin::new(&settings.pin_file)),
            settings,
            open: Arc::default(),
            absent: Arc::default(),
        })
    }

    pub(super) async fn workers(&self) -> Result<Arc<Workers>, CustodyError> {
        if let Some(workers) = self.open.get() {
            return Ok(workers.clone());
        }
        self.open(self.absent.clone().lock_owned().await).await
    }

    /// The same, without waiting for a token that is being opened.
    pub(super) async fn workers_at_once(&self) -> Result<Arc<Workers>, CustodyError> {
        let opening = || CustodyError::Unavailable("it is being opened".into());
        if let Some(workers) = self.open.get() {
            return Ok(workers.clone());
        }
        let absent = self.absent.clone().try_lock_owned();
        self.open(absent.map_err(|_| opening())?).await
    }

    /// Opens the token, and says why it does not open in the words of the one who found out.
    pub(super) async fn open_now(&self) -> Result<(), CustodyError> {
        let (settings, pin) = (self.settings.clone(), self.pin.clone());
        let workers = start(&self.backend, settings, pin).await?;
        self.open.get_or_init(|| Arc::new(workers));
        Ok(())
    }

    /// The threads, if the token was opened.
    pub(super) fn opened(&self) -> Option<&Workers> {
        self.open.get().map(|it| &**it)
    }

    /// How many sessions the configuration wants.
    pub(super) fn sessions(&self) -> usize {
        self.settings.sessions
    }

    async fn open(
        &self,
        mut absent: OwnedMutexGuard<Option<(Instant, CustodyError)>>,
    ) -> Result<Arc<Workers>, CustodyError> {
        if let Some(workers) = self.open.get() {
            return Ok(workers.clone()); // another opened it meanwhile
        }
        match &*absent {
            // A refused PIN is not tried again: a token that counts would lock.
            Some((_, CustodyError::PinRefused)) => {
                if self.pin.is_refused() {
                    return Err(CustodyError::PinRefused);
                }
            }
            Some((tried, error)) if tried.elapsed() < PAUSE => {
                return Err(away(error));
            }
            Some(_) | None => {}
        }
        let (backend, settings) = (self.backend.clone(), self.settings.clone());
        let (pin, open) = (self.pin.clone(), self.open.clone());
        let runtime = tokio::runtime::Handle::current();
        // On a thread of its own, which ends although the caller hangs up: a refused PIN that nobody
        // learnt of would be tried again.
        let opened = tokio::task::spawn_blocking(move || {
            let opened = runtime.block_on(start(&backend, settings, pin));
            match opened.map(Arc::new) {
                Ok(workers) => Ok(open.get_or_init(|| workers).clone()),
                Err(error) => {
                    tracing::error!(custody.backend = backend, %error, "the device does not open");
                    let answer = away(&error);
                    *absent = Some((Instant::now(), error));
                    Err(answer)
                }
            }
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
