//! Postgres: connections, transactions whose outcome is always found out, and the schema.
//!
//! A [`Tx`] owns its connection. Dropped without a commit it takes the connection with it, and the
//! server rolls back: no path leaves a half-open transaction behind.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgDatabaseError, PgPool, PgPoolOptions, PgSeverity,
};
use sqlx::{ConnectOptions, Connection, Row};

use crate::clock::Clock;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The advisory lock behind which signatures are released (shared) and rights are taken away
/// (exclusive), so that "from now on nothing more" is true when it is acknowledged.
const GATE: i64 = 0x6368_616e_6365_7279;

/// How long the signing path waits for a connection, or for an answer on one, before it takes it for
/// dead. Longer than the wait for a lock.
const PATIENCE: Duration = Duration::from_secs(3);

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
#[derive(Debug, Clone, thiserror::Error)]
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
    /// The same for another who waited for it.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::OutcomeUnknown => Self::OutcomeUnknown,
            other => Self::Unavailable(other.to_string()),
        }
    }

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
}

/// Something that is held: the connection that holds it.
pub(crate) struct Held(#[expect(dead_code, reason = "it holds by being open")] PgConnection);

/// A transaction's number, to ask for after a lost answer.
#[derive(Clone, Debug)]
pub(crate) struct Xid(String);

impl Xid {
    /// Waits until the transaction is over, one way or the other. Which way, its number cannot say: a
    /// server that crashed before the transaction reached its disk gives the number out again.
    pub(crate) async fn await_end(&self, session: &mut PgConnection) -> Result<(), LedgerError> {
        /// `invalid_parameter_value`: the server has given out no such number, so nothing runs under it.
        const IN_THE_FUTURE: &str = "22023";
        loop {
            let status = sqlx::query_scalar("select pg_xact_status($1::text::xid8)")
                .bind(&self.0)
                .fetch_one(&mut *session)
                .await;
            match status {
                Ok(Some::<String>(status)) if status == "in progress" => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) if code(&error).as_deref() != Some(IN_THE_FUTURE) => {
                    return Err(error.into());
                }
                _ => return Ok(()),
            }
        }
    }
}

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
    /// The answer was lost or did not come in time, or the wait for the standby was cut short.
    Unknown,
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
        let number = async {
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).fetch_all(&mut session);
            let rows = rows.await?;
            let last = rows
                .last()
                .ok_or_else(|| LedgerError::Unavailable("no transaction id".into()))?;
            Ok(Xid(last.try_get("xid")?))
        };
        let xid = in_time(number).await?;
        Ok(Self { session, xid })
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
        let commit = sqlx::raw_sql("commit").execute(&mut self.session);
        let commit = warnings::heard(tokio::time::timeout(PATIENCE, commit));
        match commit.await {
            (Ok(Ok(_)), false) => Ok(self.session),
            (Ok(Err(error)), _) if is_refusal(&error) => Err(NotCommitted::Aborted(error.into())),
            _ => Err(NotCommitted::Unknown),
        }
    }

    /// Closes the connection without a commit; the server rolls back.
    pub(crate) async fn abandon(self) {
        drop(self.session.close_hard().await);
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

fn code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.code().map(std::borrow::Cow::into_owned)
}

/// Class 57P: the server is going away, perhaps after it has committed.
fn terminated(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with("57P"))
}

/// Whether the server said no to a commit and lives on. One that goes down with its words may have
/// committed first.
fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    let severity = error
        .try_downcast_ref::<PgDatabaseError>()
        .map(PgDatabaseError::severity);
    severity == Some(PgSeverity::Error)
}

/// Hears the server's warnings during a commit: "canceling wait for synchronous replication" comes
/// as a warning beside a success, and means that a standby may not have what we are about to
/// answer. The driver has no other way to say it than its log.
mod warnings {
    use std::cell::Cell;
    use std::sync::LazyLock;

    use tracing::instrument::WithSubscriber;
    use tracing::level_filters::LevelFilter;
    use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

    /// One for all commits: each new one would make every place that logs ask again who listens.
    static EAR: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Ear));

    tokio::task_local! {
        static HEARD: Cell<bool>;
    }

    /// Awaits `work` and says whether the server warned meanwhile.
    pub(super) async fn heard<T>(work: impl Future<Output = T>) -> (T, bool) {
        let listening = async {
            let done = work.with_subscriber(EAR.clone()).await;
            (done, HEARD.with(Cell::get))
        };
        HEARD.scope(Cell::new(false), listening).await
    }

    struct Ear;

    impl Subscriber for Ear {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "sqlx::postgres::notice" && *metadata.level() <= Level::WARN
        }

        fn max_level_hint(&self) -> Option<LevelFilter> {
            Some(LevelFilter::WARN)
        }

        fn event(&self, _: &Event<'_>) {
            let _ = HEARD.try_with(|heard| heard.set(true));
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }
}
