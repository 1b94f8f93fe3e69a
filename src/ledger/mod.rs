//! Postgres: connections, transactions whose outcome is always found out, and the schema.
//!
//! A [`Tx`] owns its connection. Dropped without a commit it takes the connection with it, and the
//! server rolls back: no path leaves a half-open transaction behind.

mod bounded;
mod engine;
mod error;
mod gate;
mod hold;
mod pool;
mod provision;
mod run;
mod schema;
mod server;
mod servers;
mod settings;
mod trial;
mod tx;
mod warnings;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(crate) use bounded::Bounded;
pub use error::LedgerError;
pub use gate::Gate;
pub(crate) use gate::{Function, call, take_turn};
pub(crate) use hold::Held;
pub(crate) use pool::Pool;
pub use provision::SERVICE_ROLE;
pub(crate) use run::Run;
use servers::Servers;
pub use settings::Settings;
pub(crate) use tx::NotCommitted;
pub use tx::Tx;

/// How long the signing path waits for a connection, for the statements of a transaction, or for the
/// answer to its commit, before it takes the connection for dead. Longer than the wait for a lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to Postgres. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pool: Arc<Pool>,
    servers: Arc<Servers>,
    /// For what is held.
    places: Arc<Semaphore>,
}

impl Ledger {
    /// Opens the pool. Does not wait for the database to be there.
    pub fn open(settings: &Settings, password: Option<&SecretString>) -> Result<Self, LedgerError> {
        let servers = settings.servers(password)?;
        let connections = u32::try_from(settings.connections.get()).unwrap_or(u32::MAX);
        Ok(Self::of(servers, connections))
    }

    fn of(servers: Servers, connections: u32) -> Self {
        let servers = Arc::new(servers);
        Self {
            pool: Arc::new(Pool::new(servers.clone(), connections)),
            servers,
            places: Arc::new(Semaphore::new(hold::AT_MOST as usize)),
        }
    }

    /// For look-ups that need no transaction. Each has its answer in time, the wait for a connection
    /// included, or fails.
    pub(crate) fn pool(&self) -> Bounded<&Pool> {
        Bounded::new(&self.pool, Instant::now() + 2 * PATIENCE)
    }

    /// A connection of its own to the primary, outside the pool.
    pub(crate) async fn session(&self) -> Result<PgConnection, LedgerError> {
        self.servers.connect().await
    }

    /// How many connections for look-ups are open, and how many of these have nothing to do.
    pub fn connections(&self) -> (u32, usize) {
        self.pool.connections()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        sqlx::query("select 1").execute(self.pool()).await?;
        Ok(())
    }
}

/// Whether a connection is still there.
pub(crate) async fn is_there(session: &mut PgConnection) -> bool {
    in_time(async { Ok(session.ping().await?) }).await.is_ok()
}

/// Waits for the server to do something that takes it a moment, but not for ever: a connection may
/// be dead without a sign of it.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(LedgerError::Unavailable("it does not answer".into())),
    }
}
