//! Postgres: connections, transactions whose outcome is always found out, and the schema.
//!
//! A [`Tx`] owns its connection. Dropped without a commit it takes the connection with it, and the
//! server rolls back: no path leaves a half-open transaction behind.

mod error;
mod gate;
mod schema;
mod tx;
mod warnings;
mod xid;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row};

use crate::clock::Clock;
pub use error::LedgerError;
pub use gate::Gate;
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
    /// Connections for look-ups. The signing path has one of its own besides.
    #[serde(default = "default_connections")]
    pub connections: u32,
    /// How long a statement waits for a lock before its group is tried again row by row.
    #[serde(default = "default_lock_timeout_ms")]
    pub lock_timeout_ms: u64,
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
        Ok(Self { pool, options })
    }

    /// For look-ups that need no transaction.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection of its own, outside the pool.
    pub(crate) async fn session(&self) -> Result<PgConnection, LedgerError> {
        in_time(async { Ok(self.options.connect().await?) }).await
    }

    /// Holds something that one replica does at a time, however long it takes and without a
    /// transaction; `None`: somebody else holds it. It is free again when the handle is dropped or the
    /// process dies.
    pub(crate) async fn hold(&self, what: uuid::Uuid) -> Result<Option<Held>, LedgerError> {
        let (high, low) = what.as_u64_pair();
        let mut session = self.session().await?;
        let lock = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind((high ^ low).cast_signed())
            .fetch_one(&mut session);
        let held: bool = in_time(async { Ok(lock.await?) }).await?;
        Ok(held.then_some(Held(session)))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Settings of the database under which it may lose what it said was committed, each with its value.
    pub async fn careless_settings(&self) -> Result<Vec<String>, LedgerError> {
        let rows = sqlx::query(
            "select name || ' = ' || setting as it from pg_settings
             where (name in ('fsync', 'full_page_writes') and setting = 'off')
                or (name = 'synchronous_commit' and setting not in ('on', 'remote_apply'))
             order by name",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get("it"))
            .collect::<Result<_, _>>()?)
    }

    /// How far this computer's clock is ahead of the database's, in milliseconds.
    pub async fn clock_offset_ms(&self, clock: &Clock) -> Result<i64, LedgerError> {
        let row =
            sqlx::query("select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms")
                .fetch_one(&self.pool)
                .await?;
        Ok(clock.unix_ms() - row.try_get::<i64, _>("ms")?)
    }
}

/// Something that is held: the connection that holds it.
pub(crate) struct Held(#[expect(dead_code, reason = "it holds by being open")] PgConnection);

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
