//! The gate: groups that sign and release pass it together, whoever takes a right away alone.
//!
//! A replica can be stopped with a transaction open, and would keep everybody waiting for as long as
//! its connection lives. So whoever has waited a moment has the server end those who stand in the gate
//! and do nothing there. What they had not committed has not happened, and they find that out.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::error::code;
use super::{LedgerError, Xid, in_time};

/// The advisory lock behind which signatures are released (shared) and rights are taken away
/// (exclusive), so that "from now on nothing more" is true when it is acknowledged.
const GATE: i64 = 0x6368_616e_6365_7279;

/// How long one waits before those who stand still are ended, and how often one waits: rights are
/// taken away within 5 s.
const WAIT: Duration = Duration::from_secs(1);
const TRIES: u32 = 4;

/// For how long a session in the gate has left the server without a word, in milliseconds, if it is
/// taken for one that stands still.
const SILENCE_MS: u32 = 500;

/// Who else may be at the gate during a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Any number of groups that sign and release.
    Shared,
    /// Nobody: this transaction takes a right away.
    Exclusive,
}

/// Why somebody is not behind the gate.
pub(super) enum NotPassed {
    /// Others are in it, and they work there.
    Occupied,
    /// The connection is of no use, or the server's answer is not.
    Lost(LedgerError),
}

impl From<NotPassed> for LedgerError {
    fn from(why: NotPassed) -> Self {
        match why {
            // Nothing about the rows of a group: they are not tried one by one.
            NotPassed::Occupied => Self::Unavailable("the gate was not free in time".into()),
            NotPassed::Lost(error) => error,
        }
    }
}

/// Begins a transaction behind the gate, and says its number.
pub(super) async fn pass(session: &mut PgConnection, gate: Gate) -> Result<Xid, NotPassed> {
    /// `lock_not_available`
    const WAITED: &str = "55P03";
    for _ in 0..TRIES {
        let passed = in_time(async { Ok(begin(session, gate).await) }).await;
        match passed.map_err(NotPassed::Lost)? {
            Err(error) if code(&error).as_deref() == Some(WAITED) => {
                let ended = in_time(async { Ok(end_those_who_stand_still(session).await?) }).await;
                let ended = ended.map_err(NotPassed::Lost)?;
                tracing::warn!(
                    ended,
                    "the gate is waited for; sessions that stood still in it were ended"
                );
            }
            passed => return passed.map_err(|error| NotPassed::Lost(unavailable(&error))),
        }
    }
    Err(NotPassed::Occupied)
}

/// No row has been looked at yet, so whatever the server says is about itself.
fn unavailable(error: &sqlx::Error) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}

async fn begin(session: &mut PgConnection, gate: Gate) -> Result<Xid, sqlx::Error> {
    let lock = match gate {
        Gate::Shared => "pg_advisory_xact_lock_shared",
        Gate::Exclusive => "pg_advisory_xact_lock",
    };
    let last = last_row(
        session,
        format!(
            "begin; set local lock_timeout = {}; select {lock}({GATE});
             set local lock_timeout to default; select pg_current_xact_id()::text as xid",
            WAIT.as_millis()
        ),
    );
    Ok(Xid(last.await?.try_get("xid")?))
}

/// Ends them, and says how many. A session that waits for a standby, or computes, is none of them.
async fn end_those_who_stand_still(session: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let (high, low) = (GATE >> 32, GATE & 0xffff_ffff);
    let last = last_row(
        session,
        format!(
            "rollback; select count(*) filter (where pg_terminate_backend(pid)) as ended
             from pg_locks join pg_stat_activity using (pid)
             where locktype = 'advisory' and (classid, objid, objsubid) = ({high}, {low}, 1)
               and database = datid and datname = current_database() and granted
               and usename = current_user and wait_event_type = 'Client'
               and state_change < clock_timestamp() - interval '{SILENCE_MS} ms'"
        ),
    );
    last.await?.try_get("ended")
}

/// The last row that several statements return, in one round trip.
async fn last_row(session: &mut PgConnection, statements: String) -> Result<PgRow, sqlx::Error> {
    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements));
    let rows = statements.fetch_all(session).await?;
    rows.into_iter().next_back().ok_or(sqlx::Error::RowNotFound)
}
