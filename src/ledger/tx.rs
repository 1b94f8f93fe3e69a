//! Transactions, and the gate that they pass.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use super::error::is_refusal;
use super::{LedgerError, PATIENCE, Xid, in_time, warnings};

/// The advisory lock behind which signatures are released (shared) and rights are taken away
/// (exclusive), so that "from now on nothing more" is true when it is acknowledged.
const GATE: i64 = 0x6368_616e_6365_7279;

/// Who else may be at the gate during a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Any number of groups that sign and release.
    Shared,
    /// Nobody: this transaction takes a right away.
    Exclusive,
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
