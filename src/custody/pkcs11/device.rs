//! A token as the rest of the house has it.

use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::fault::Fault;
use super::opening::Opening;
use super::settings::Settings;
use super::workers::Workers;
use crate::custody::{CustodyError, Load};

/// How long a token may take to make a key pair: RSA needs primes, and small devices look long.
pub(super) const GENERATION: Duration = Duration::from_mins(2);

/// A token, reached over PKCS#11.
pub struct Pkcs11 {
    pub(super) backend: String,
    opening: Opening,
}

impl Pkcs11 {
    /// A token that is opened when it is first needed. `backend` is its name in the configuration.
    pub fn new(backend: &str, settings: Settings) -> Result<Self, CustodyError> {
        Ok(Self {
            backend: backend.to_owned(),
            opening: Opening::new(backend, settings)?,
        })
    }

    /// Loads the module, finds the token and logs in. It fails at once where the library, the token or
    /// the PIN is wrong.
    pub async fn open(backend: &str, settings: Settings) -> Result<Self, CustodyError> {
        let token = Self::new(backend, settings)?;
        token.opening.open_now().await?;
        Ok(token)
    }

    /// The threads that talk to the token, which is opened unless it is open.
    pub(super) async fn workers(&self) -> Result<Arc<Workers>, CustodyError> {
        self.opening.workers().await
    }

    /// The same threads, without waiting for a token that is being opened.
    pub(super) async fn workers_at_once(&self) -> Result<Arc<Workers>, CustodyError> {
        self.opening.workers_at_once().await
    }

    /// How many sessions the configuration wants.
    pub(super) fn sessions(&self) -> usize {
        self.opening.sessions()
    }

    /// How busy it is.
    pub(super) fn load(&self) -> Load {
        let workers = self.opening.opened();
        Load {
            sessions_wanted: Some(self.sessions()),
            sessions: workers.map(Workers::working),
            waiting: workers.map(Workers::waiting),
            throttled: None,
        }
    }

    /// Does `work` at some desk, within the usual time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.workers().await?.run(work).await
    }

    /// Does `work` at some desk, within the time that a key pair may take.
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.workers().await?.run_within(GENERATION, work).await
    }

    /// Does `work` that makes keys, while nobody else in this process makes any.
    pub(super) async fn run_alone<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        let workers = self.workers().await?;
        let alone = tokio::time::timeout(GENERATION, workers.generating().lock_owned()).await;
        let alone = Arc::new(alone.map_err(|_| CustodyError::Busy)?);
        let alone_work = move |desk: &mut Desk<'_>| {
            let _alone = &alone; // released when the device is done, not when we stop waiting
            work(desk)
        };
        workers.run_within(GENERATION, alone_work).await
    }
}
