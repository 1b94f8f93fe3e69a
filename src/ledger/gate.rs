//! The gate: groups that sign and release pass it together, whoever takes a right away alone.
//!
//! A replica can be stopped with a transaction open, and would keep everybody waiting for as long as
//! its connection lives. So whoever has waited a moment has the server end those who stand in the gate
//! and do nothing there. What they had not committed has not happened, and they find that out.

use std::time::Duration;

use futures_core::future::BoxFuture;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use tokio::time::Instant;

use super::bounded::Bounded;
use super::error::{code, is_refusal, is_wrong_server};
use super::run::{self, Lock, WRITES};
use super::{LedgerError, NotCommitted, PATIENCE, Run, in_time, warnings};

/// The advisory lock behind which signatures are released (shared) and rights are taken away
/// (exclusive), so that "from now on nothing more" is true when it is acknowledged.
const NUMBER: i64 = 0x6368_616e_6365_7279;

/// How long one waits before those who stand still are ended, and how often one waits: rights are
/// taken away within 5 s. Functions that pass the gate by themselves wait as long.
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

const GATE: Lock = Lock {
    class: NUMBER >> 32,
    object: NUMBER & 0xffff_ffff,
    kind: 1,
};

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
            NotPassed::Occupied => occupied(),
            NotPassed::Lost(error) => error,
        }
    }
}

/// Nothing about the rows of a group: they are not tried one by one.
fn occupied() -> LedgerError {
    LedgerError::Unavailable("the gate was not free in time".into())
}

/// Begins a transaction behind the gate; one that writes for a run has it for itself.
pub(super) async fn pass(
    session: &mut PgConnection,
    gate: Gate,
    run: Option<Run>,
) -> Result<(), NotPassed> {
    for _ in 0..TRIES {
        let passed = in_time(async { Ok(begin(session, gate, run).await) }).await;
        match passed.map_err(NotPassed::Lost)? {
            Err(error) if has_waited(&error) => {
                let ended = free(&GATE, "rollback; ", session).await;
                ended.map_err(NotPassed::Lost)?;
            }
            passed => return passed.map_err(|error| NotPassed::Lost(unavailable(&error)))?,
        }
    }
    Err(NotPassed::Occupied)
}

/// Whether a lock did not come in time.
fn has_waited(error: &sqlx::Error) -> bool {
    /// `lock_not_available`
    const WAITED: &str = "55P03";
    code(error).as_deref() == Some(WAITED)
}

/// Whether another connection writes for the run by now: this one is of no use.
fn has_lost_its_turn(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("CH001")
}

/// No row has been looked at yet, so whatever the server says is about itself.
fn unavailable(error: &sqlx::Error) -> LedgerError {
    LedgerError::Unavailable(error.to_string())
}

async fn begin(
    session: &mut PgConnection,
    gate: Gate,
    run: Option<Run>,
) -> Result<Result<(), NotPassed>, sqlx::Error> {
    let lock = match gate {
        Gate::Shared => "pg_advisory_xact_lock_shared",
        Gate::Exclusive => "pg_advisory_xact_lock",
    };
    let (lock_run, fits) = run.map(Run::statements).unwrap_or_default();
    let last = last_row(
        session,
        format!(
            "begin; set local lock_timeout = {}; select {lock}({NUMBER}), {WRITES} as fits; {lock_run}
             set local lock_timeout to default{fits}",
            WAIT.as_millis()
        ),
    );
    if last.await?.try_get("fits")? {
        Ok(Ok(()))
    } else {
        let over = "this turn of the run is over, or the server is no primary";
        let over = LedgerError::Unavailable(over.into());
        Ok(Err(NotPassed::Lost(over)))
    }
}

/// A function of the database that commits by itself, and its arguments.
pub(crate) trait Function: Send {
    /// What it answers.
    type Answer: Send;

    /// Calls it.
    fn call<'a>(
        &'a mut self,
        session: Bounded<&'a mut PgConnection>,
    ) -> BoxFuture<'a, Result<Self::Answer, sqlx::Error>>;
}

/// Calls a function that passes the gate. It is called again where a lock did not come: then it has
/// written nothing.
pub(crate) async fn call<F: Function>(
    session: &mut PgConnection,
    function: &mut F,
) -> Result<F::Answer, NotCommitted> {
    for _ in 0..TRIES {
        let until = Instant::now() + PATIENCE;
        let work = function.call(Bounded::new(session, until));
        match warnings::heard(work).await {
            (Ok(done), false) => return Ok(done),
            (Err(error), _) if has_waited(&error) => {
                let ended = free(&GATE, "", session).await;
                ended.map_err(NotCommitted::Aborted)?;
            }
            (Err(error), _)
                if is_refusal(&error) && !has_lost_its_turn(&error) && !is_wrong_server(&error) =>
            {
                return Err(NotCommitted::Aborted(error.into()));
            }
            _ => return Err(NotCommitted::Unknown),
        }
    }
    Err(NotCommitted::Aborted(occupied()))
}

/// Calls the function that takes a turn of a run. What is left of the run's own earlier connections and
/// stands still is ended.
pub(crate) async fn take_turn<F: Function>(
    number: i32,
    session: &mut PgConnection,
    function: &mut F,
) -> Result<F::Answer, LedgerError> {
    for _ in 0..TRIES {
        let until = Instant::now() + PATIENCE;
        let work = function.call(Bounded::new(session, until));
        match warnings::heard(work).await {
            (Ok(done), false) => return Ok(done),
            (Ok(_), true) => return Err(LedgerError::OutcomeUnknown),
            // It has read nothing yet; whoever stood still is ended, and the next try is the first in line.
            (Err(error), _) if has_waited(&error) => {
                free(&run::lock(number), "", session).await?;
            }
            (Err(error), _) => return Err(unavailable(&error)),
        }
    }
    Err(occupied())
}

/// Ends those who hold a lock and stand still. A session that waits for a standby, or computes, is none
/// of them.
async fn free(lock: &Lock, first: &str, session: &mut PgConnection) -> Result<(), LedgerError> {
    let Lock {
        class,
        object,
        kind,
    } = lock;
    let last = last_row(
        session,
        format!(
            "{first}select count(*) filter (where pg_terminate_backend(pid)) as ended
             from pg_locks join pg_stat_activity using (pid)
             where locktype = 'advisory' and (classid, objid, objsubid) = ({class}, {object}, {kind})
               and database = datid and datname = current_database() and granted
               and usename = current_user and wait_event_type = 'Client'
               and state_change < clock_timestamp() - interval '{SILENCE_MS} ms'"
        ),
    );
    let ended: i64 = in_time(async { Ok(last.await?.try_get("ended")?) }).await?;
    tracing::warn!(
        ended,
        "the gate is waited for; sessions that stood still in it were ended"
    );
    Ok(())
}

/// The last row that several statements return, in one round trip.
async fn last_row(session: &mut PgConnection, statements: String) -> Result<PgRow, sqlx::Error> {
    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements));
    let rows = statements.fetch_all(session).await?;
    rows.into_iter().next_back().ok_or(sqlx::Error::RowNotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_in_the_database_take_the_same_locks() {
        let functions = include_str!("../../migrations/20261129170100_reserve_in_groups.sql");
        let vouch = include_str!("../../migrations/20261129160000_count_what_decides.sql");
        let vouch = vouch.split_once("create function vouch(").unwrap().1;
        let turn = include_str!("../../migrations/20261129120100_sign_in_one_call.sql");
        let turn = turn.split_once("create function take_turn(").unwrap().1;
        let turn = turn.split_once("\n$$;").unwrap().0;
        let functions = [functions, vouch, turn].concat();
        let gate = format!("pg_advisory_xact_lock_shared({NUMBER})");
        assert_eq!(functions.matches(&gate).count(), 2);
        assert_eq!(functions.matches("_lock_shared(").count(), 2);
        let run = format!("pg_advisory_xact_lock({}, p_run)", run::CLASS);
        assert_eq!(functions.matches(&run).count(), 2);
        assert_eq!(functions.matches("_xact_lock(").count(), 2);
    }
}
