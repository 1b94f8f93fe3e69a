//! The servers of the ledger, and which of them is the primary.
//!
//! Every new connection is asked. A primary that becomes a standby closes its connections, so what one
//! has said of its server stays true. A primary that was left behind and comes back as one, because
//! nobody kept it down, is on an earlier timeline than the one that took its place, and is not taken.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Row as _};
use tokio::time::timeout;

use super::{LedgerError, PATIENCE};

/// The servers, each by the way to it.
pub(super) struct Servers {
    each: Vec<PgConnectOptions>,
    /// What a session begins with: its settings, and the question what the server is.
    greeting: String,
    /// Which of them was the primary last.
    last: AtomicUsize,
    /// The newest timeline that one of them was on; 0: none was seen.
    timeline: AtomicI64,
}

impl Servers {
    /// These, of which one is the primary; sessions begin with these statements. They are no options of
    /// the connection: a pooler drops those without a word.
    pub(super) fn new(each: Vec<PgConnectOptions>, settings: &str) -> Self {
        // Not every server that is alone has timelines to speak of.
        let timeline = if each.len() > 1 {
            "case when pg_is_in_recovery() then 0 else
                 ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint end"
        } else {
            "0::bigint"
        };
        let greeting = format!(
            "{settings}; select pg_is_in_recovery() as is_standby,
                 current_setting('transaction_read_only')::boolean as is_read_only,
                 {timeline} as timeline"
        );
        Self {
            each,
            greeting,
            last: AtomicUsize::new(0),
            timeline: AtomicI64::new(0),
        }
    }

    /// The same servers, another database.
    pub(super) fn in_database(&self, name: &str) -> Self {
        let each = self.each.iter().map(|it| it.clone().database(name));
        Self {
            each: each.collect(),
            greeting: self.greeting.clone(),
            last: AtomicUsize::new(self.last()),
            timeline: AtomicI64::new(0),
        }
    }

    /// Whether there is no other to look at.
    pub(super) fn is_one(&self) -> bool {
        self.each.len() == 1
    }

    /// Which was the primary last.
    pub(super) fn last(&self) -> usize {
        self.last.load(Ordering::Relaxed)
    }

    /// The way to one of them.
    pub(super) fn way(&self, at: usize) -> &PgConnectOptions {
        &self.each[at]
    }

    /// A connection to the primary, looked for from where it was last.
    pub(super) async fn connect(&self) -> Result<PgConnection, LedgerError> {
        let (count, last) = (self.each.len(), self.last());
        let mut why = Vec::new();
        for at in (0..count).map(|further| (last + further) % count) {
            let patience = PATIENCE / u32::try_from(count).unwrap_or(u32::MAX);
            let session = timeout(patience, self.connect_to(at)).await;
            match session.unwrap_or_else(|_| Err(not_taken("it does not answer"))) {
                Ok(session) => {
                    if self.last.swap(at, Ordering::Relaxed) != at {
                        let host = self.host(at);
                        tracing::warn!(host, "another server is the primary now");
                    }
                    return Ok(session);
                }
                Err(error) if count == 1 => return Err(error.into()),
                Err(error) => why.push(format!("{}: {error}", self.host(at))),
            }
        }
        Err(LedgerError::Unavailable(why.join("; ")))
    }

    async fn connect_to(&self, at: usize) -> Result<PgConnection, Error> {
        let mut session = self.each[at].connect().await?;
        let why = match self.greet(&mut session).await {
            Ok(true) => return Ok(session),
            Ok(false) => not_taken("it takes nothing that is written to it"),
            Err(error) => error,
        };
        drop(session.close().await);
        Err(why)
    }

    /// Begins a session; an error where its server is not the primary. Says whether it takes what is written.
    pub(super) async fn greet(&self, session: &mut PgConnection) -> Result<bool, Error> {
        let greeting = sqlx::raw_sql(AssertSqlSafe(self.greeting.clone()));
        let rows = greeting.fetch_all(session).await?;
        let row = rows.last().ok_or(Error::RowNotFound)?;
        if row.try_get("is_standby")? {
            return Err(not_taken("it is a standby"));
        }
        let timeline = row.try_get("timeline")?;
        if self.timeline.fetch_max(timeline, Ordering::Relaxed) > timeline {
            return Err(not_taken(
                "it was the primary once, and another took its place since",
            ));
        }
        Ok(!row.try_get::<bool, _>("is_read_only")?)
    }

    /// Where one of them is.
    pub(super) fn host(&self, at: usize) -> String {
        let way = &self.each[at];
        match way.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", way.get_host(), way.get_port()),
        }
    }
}

impl fmt::Debug for Servers {
    /// Where they are. The ways to them have the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = (0..self.each.len()).map(|at| self.host(at));
        f.debug_list().entries(hosts).finish()
    }
}

fn not_taken(why: &'static str) -> Error {
    Error::Io(io::Error::other(why))
}
