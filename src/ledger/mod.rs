//! Postgres: connections, transactions whose outcome is always found out, and the schema.
//!
//! A [`Tx`] owns its connection. Dropped without a commit it takes the connection with it, and the
//! server rolls back: no path leaves a half-open transaction behind.

mod error;
mod gate;
mod hold;
mod schema;
mod server;
mod tx;
mod warnings;
mod xid;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::sync::Semaphore;

pub use error::LedgerError;
pub use gate::Gate;
pub(crate) use hold::Held;
pub(crate) use tx::NotCommitted;
pub use tx::Tx;
pub(crate) use xid::Xid;

/// How long the signing path waits for a connection, or for an answer on one, before it takes it for
/// dead. Longer than the wait for a lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the server waits for the next word of a transaction before it ends it, in milliseconds.
/// Longer than the signing path waits for the server: then both have given it up.
const SILENCE_MS: &str = "5000";

/// `[ledger]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `postgres://…`, without a password.
    pub url: String,
    /// The file that holds the password, where the server asks for one.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Connections for look-ups. A replica has [eight more](Settings::all_connections).
    #[serde(default = "default_connections")]
    pub connections: u32,
    /// How long a statement waits for a lock before its group is tried again row by row.
    #[serde(default = "default_lock_timeout_ms")]
    pub lock_timeout_ms: u64,
}

impl Settings {
    /// The most connections that a replica opens: those for look-ups, one to write with, one to vouch
    /// with, and six for what it holds while a device makes, shows or destroys a key.
    pub fn all_connections(&self) -> u32 {
        self.connections.saturating_add(2 + hold::AT_MOST)
    }
}

fn default_connections() -> u32 {
    8
}

fn default_lock_timeout_ms() -> u64 {
    2_000
}

/// The way to Postgres. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pool: PgPool,
    options: PgConnectOptions,
    /// For what is held.
    places: Arc<Semaphore>,
}

impl Ledger {
    /// Opens the pool. Does not wait for the database to be there.
    pub fn open(settings: &Settings, password: Option<&SecretString>) -> Result<Self, LedgerError> {
        let mut options: PgConnectOptions = settings
            .url
            .parse()
            .map_err(|e: sqlx::Error| LedgerError::Unavailable(format!("[ledger] url: {e}")))?;
        if let Some(password) = password {
            options = options.password(password.expose_secret());
        }
        if u128::from(settings.lock_timeout_ms) >= PATIENCE.as_millis() {
            let why = "[ledger] lock_timeout_ms is below 3000: after that a connection is given up";
            return Err(LedgerError::Unavailable(why.into()));
        }
        let lock_timeout = settings.lock_timeout_ms.to_string();
        let options = options
            .application_name("chancery")
            .options([
                ("synchronous_commit", "on"),
                ("lock_timeout", &lock_timeout),
                ("idle_in_transaction_session_timeout", SILENCE_MS),
            ])
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1));
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(Duration::from_secs(3))
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options,
            places: Arc::new(Semaphore::new(hold::AT_MOST as usize)),
        })
    }

    /// For look-ups that need no transaction.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection of its own, outside the pool.
    pub(crate) async fn session(&self) -> Result<PgConnection, LedgerError> {
        in_time(async { Ok(self.options.connect().await?) }).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }
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
