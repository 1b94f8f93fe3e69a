//! Transactions.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::error::is_refusal;
use super::{Gate, Ledger, LedgerError, PATIENCE, Xid, gate, warnings};

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
    /// Begins, and passes the gate.
    pub(crate) async fn begin(mut session: PgConnection, gate: Gate) -> Result<Self, LedgerError> {
        let xid = gate::pass(&mut session, gate).await?;
        Ok(Self { session, xid })
    }

    /// The same on a connection that is kept from one transaction to the next. It may have died since;
    /// beginning anew on another harms nothing.
    pub(crate) async fn begin_again(
        kept: Option<PgConnection>,
        gate: Gate,
        ledger: &Ledger,
    ) -> Result<Self, LedgerError> {
        if let Some(session) = kept {
            match Self::begin(session, gate).await {
                Err(LedgerError::Unavailable(_)) => {}
                begun => return begun,
            }
        }
        Self::begin(ledger.session().await?, gate).await
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
