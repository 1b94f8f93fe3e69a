//! Transactions.

use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::bounded::Bounded;
use super::error::is_refusal;
use super::gate::NotPassed;
use super::{Gate, LedgerError, PATIENCE, Run, gate, in_time, warnings};

/// A transaction. Functions that write take `tx: &mut Tx` last.
pub struct Tx {
    session: PgConnection,
    /// The end of its statements, for all of them together.
    until: Instant,
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
    /// Begins, and passes the gate. `None`: the connection that was kept has died since, or its turn is
    /// over; beginning anew on another harms nothing.
    pub(crate) async fn begin_on(
        kept: PgConnection,
        gate: Gate,
        run: Run,
    ) -> Result<Option<Self>, LedgerError> {
        match Self::pass(kept, gate, Some(run)).await {
            Err(NotPassed::Lost(_)) => Ok(None),
            passed => Ok(Some(passed?)),
        }
    }

    /// Begins on a connection that is new.
    pub(crate) async fn begin(
        session: PgConnection,
        gate: Gate,
        run: Option<Run>,
    ) -> Result<Self, LedgerError> {
        Ok(Self::pass(session, gate, run).await?)
    }

    /// Begins one that only looks, and passes no gate.
    pub(crate) async fn look(session: PgConnection) -> Result<Self, LedgerError> {
        Self::look_in("begin read only", session).await
    }

    /// The same, and all that it sees is of the moment of its first statement.
    pub(crate) async fn at_one_moment(session: PgConnection) -> Result<Self, LedgerError> {
        Self::look_in("begin isolation level repeatable read, read only", session).await
    }

    async fn look_in(begin: &'static str, mut session: PgConnection) -> Result<Self, LedgerError> {
        let begin = sqlx::raw_sql(begin).execute(&mut session);
        in_time(async { Ok(begin.await?) }).await?;
        let until = Instant::now() + PATIENCE;
        Ok(Self { session, until })
    }

    async fn pass(
        mut session: PgConnection,
        gate: Gate,
        run: Option<Run>,
    ) -> Result<Self, NotPassed> {
        gate::pass(&mut session, gate, run).await?;
        let until = Instant::now() + PATIENCE;
        Ok(Self { session, until })
    }

    /// Takes so long from now on, for what is done once and reads much.
    pub(crate) fn wait_for(&mut self, patience: std::time::Duration) {
        self.until = Instant::now() + patience;
    }

    /// Executes statements of a test.
    #[cfg(debug_assertions)]
    pub(crate) async fn run(&mut self, statements: String) -> Result<(), LedgerError> {
        let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements));
        statements.execute(self.connection()).await?;
        Ok(())
    }

    /// For the statements of a `records.rs`.
    pub(crate) fn connection(&mut self) -> Bounded<&mut PgConnection> {
        Bounded::new(&mut self.session, self.until)
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

    /// Rolls back and gives the connection back, as long as there is time for statements. `None`: the
    /// server has not said that the transaction is over, and the connection is closed. What it holds it
    /// may hold until the server notices; others wait for that as for anybody's locks.
    pub(crate) async fn abandon(mut self) -> Option<PgConnection> {
        let rolled_back = sqlx::raw_sql("rollback").execute(self.connection()).await;
        rolled_back.ok().map(|_| self.session)
    }
}
