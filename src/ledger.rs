//! Postgres: connections, transactions whose outcome is always found out, and the schema.
//!
//! A [`Tx`] owns its connection. Dropped without a commit it takes the connection with it, and the
//! server rolls back: no path leaves a half-open transaction behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Row};
use tracing::instrument::WithSubscriber;

use crate::clock::Clock;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The advisory lock behind which signatures are released (shared) and rights are taken away
/// (exclusive), so that "from now on nothing more" is true when it is acknowledged.
const GATE: i64 = 0x6368_616e_6365_7279;

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

/// What went wrong with Postgres, as far as callers can act on it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not reachable, not answering, or answering with an error of its own. Nothing was committed.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The server cut a statement short: a lock that did not come, a deadlock. Nothing was committed.
    #[error("the database gave up: {0}")]
    Aborted(String),
    /// A named constraint said no. Nothing was committed.
    #[error("the database refused: {0}")]
    Violation(String),
    /// The commit was sent and its answer was lost, and could not be found out in time.
    #[error("whether the transaction was committed is not known yet")]
    OutcomeUnknown,
    /// The schema is not the one this program knows.
    #[error("{0}")]
    Schema(String),
    /// A row does not hold what the code that wrote it puts there.
    #[error("a row of {0} cannot be read: {1}")]
    Corrupt(&'static str, String),
}

impl LedgerError {
    /// The named constraint that was violated, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Violation(name) => Some(name),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(from_server) if !terminated(&error) => {
                match from_server.constraint() {
                    Some(constraint) => Self::Violation(constraint.to_owned()),
                    None => Self::Aborted(error.to_string()),
                }
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// The way to Postgres. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pool: PgPool,
    options: PgConnectOptions,
}

/// Who else may be at the gate during a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Any number of groups that sign and release.
    Shared,
    /// Nobody: this transaction takes a right away.
    Exclusive,
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
        let lock_timeout = settings.lock_timeout_ms.to_string();
        let options = options
            .application_name("chancery")
            .options([
                ("synchronous_commit", "on"),
                ("lock_timeout", &lock_timeout),
                ("idle_in_transaction_session_timeout", "30000"),
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
        let connect = self.options.connect();
        match tokio::time::timeout(Duration::from_secs(3), connect).await {
            Ok(session) => Ok(session?),
            Err(_) => Err(LedgerError::Unavailable("no connection within 3 s".into())),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// How far this computer's clock is ahead of the database's, in milliseconds.
    pub async fn clock_offset_ms(&self, clock: &Clock) -> Result<i64, LedgerError> {
        let row =
            sqlx::query("select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms")
                .fetch_one(&self.pool)
                .await?;
        Ok(clock.unix_ms() - row.try_get::<i64, _>("ms")?)
    }

    /// Brings the schema up to date; says which migrations it applied.
    pub async fn migrate(&self) -> Result<Vec<String>, LedgerError> {
        let before = self.applied().await?;
        MIGRATIONS
            .run(&self.pool)
            .await
            .map_err(|e| LedgerError::Schema(e.to_string()))?;
        let fresh = MIGRATIONS.iter().filter(|m| !before.contains(&m.version));
        Ok(fresh
            .map(|m| format!("{} {}", m.version, m.description))
            .collect())
    }

    /// Refuses a schema that is not the one this program was built with.
    pub async fn check_schema(&self) -> Result<(), LedgerError> {
        let applied = self.applied().await?;
        let known: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).collect();
        if known.iter().any(|version| !applied.contains(version)) {
            return Err(LedgerError::Schema(
                "the database's schema is older than this program: run `chancery migrate`".into(),
            ));
        }
        if applied.iter().any(|version| !known.contains(version)) {
            return Err(LedgerError::Schema(
                "the database's schema is newer than this program: run the newer program".into(),
            ));
        }
        Ok(())
    }

    async fn applied(&self) -> Result<Vec<i64>, LedgerError> {
        let exists = sqlx::query("select to_regclass('_sqlx_migrations') is not null as is")
            .fetch_one(&self.pool)
            .await?;
        if !exists.try_get::<bool, _>("is")? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query("select version from _sqlx_migrations where success order by 1")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?)
    }

    /// Finds out what became of a commit whose answer was lost. `confirm` is one more small write:
    /// its own synchronous commit proves that the log up to and including the lost one is where it
    /// has to be.
    pub(crate) async fn settle(&self, xid: &Xid, confirm: &'static str) -> Option<Settled> {
        let mut session = self.session().await.ok()?;
        loop {
            let status: Option<String> = sqlx::query("select pg_xact_status($1::text::xid8)")
                .bind(&xid.0)
                .fetch_one(&mut session)
                .await
                .ok()?
                .try_get(0)
                .ok()?;
            match status.as_deref() {
                Some("in progress") => tokio::time::sleep(Duration::from_millis(20)).await,
                Some("aborted") => return Some(Settled::Aborted),
                Some("committed") => break,
                _ => return None,
            }
        }
        let mut tx = Tx::begin(session, Gate::Shared).await.ok()?;
        sqlx::query(confirm).execute(tx.connection()).await.ok()?;
        tx.commit().await.ok().map(|_| Settled::Committed)
    }
}

/// What became of a commit whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Committed,
    Aborted,
}

/// A transaction's number, to ask for after a lost answer.
#[derive(Clone, Debug)]
pub(crate) struct Xid(String);

/// A transaction. Functions that write take `tx: &mut Tx` last.
pub struct Tx {
    session: PgConnection,
    xid: Xid,
}

/// Why a commit did not come back as done.
#[derive(Debug)]
pub(crate) enum NotCommitted {
    /// The server said no.
    Aborted(LedgerError),
    /// The answer was lost, or the wait for the standby was cut short.
    Unknown(Xid),
}

impl Tx {
    /// Begins, passes the gate and learns its number, in one round trip.
    pub(crate) async fn begin(mut session: PgConnection, gate: Gate) -> Result<Self, LedgerError> {
        let lock = match gate {
            Gate::Shared => "pg_advisory_xact_lock_shared",
            Gate::Exclusive => "pg_advisory_xact_lock",
        };
        let begin =
            format!("begin; select {lock}({GATE}); select pg_current_xact_id()::text as xid");
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(begin))
            .fetch_all(&mut session)
            .await?;
        let xid = rows
            .last()
            .ok_or_else(|| LedgerError::Unavailable("no transaction id".into()))?
            .try_get::<String, _>("xid")?;
        Ok(Self {
            session,
            xid: Xid(xid),
        })
    }

    /// Its number, to ask for after a lost answer.
    pub(crate) fn xid(&self) -> &Xid {
        &self.xid
    }

    /// For the statements of a `records.rs`.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session
    }

    /// Commits and gives the connection back.
    pub(crate) async fn commit(mut self) -> Result<PgConnection, NotCommitted> {
        let cut_short = Arc::new(AtomicBool::new(false));
        let commit = sqlx::raw_sql("commit")
            .execute(&mut self.session)
            .with_subscriber(Warnings(cut_short.clone()));
        match commit.await {
            Ok(_) if cut_short.load(Ordering::Relaxed) => Err(NotCommitted::Unknown(self.xid)),
            Ok(_) => Ok(self.session),
            Err(error @ sqlx::Error::Database(_)) if !terminated(&error) => {
                Err(NotCommitted::Aborted(error.into()))
            }
            Err(_) => Err(NotCommitted::Unknown(self.xid)),
        }
    }

    /// Closes the connection without a commit; the server rolls back.
    pub(crate) async fn abandon(self) {
        drop(self.session.close_hard().await);
    }
}

/// Class 57P: the server is going away, perhaps after it has committed.
fn terminated(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("57P"))
}

/// Hears the server's warnings during a commit: "canceling wait for synchronous replication" comes
/// as a warning beside a success, and means that a standby may not have what we are about to
/// answer.
struct Warnings(Arc<AtomicBool>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sqlx::postgres::notice" && *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, _event: &tracing::Event<'_>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
