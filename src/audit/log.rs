//! The writer of the log: transactions that leave evidence, one at a time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::records::{self, Row};
use super::{Committed, Leaf, leaf};
use crate::id::BootId;
use crate::ledger::{Gate, Ledger, LedgerError, NotCommitted, Settled, Tx, Xid};

/// How long a lost commit is inquired after before its callers are told that it is unknown.
const SETTLE: Duration = Duration::from_secs(5);

/// The log as this process writes it. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    writer: String,
    boot: BootId,
    state: Arc<Mutex<State>>,
}

/// Held by whoever writes: the connection, and how far the log has come.
struct State {
    session: Option<PgConnection>,
    /// The last batch that is known to be durable.
    batch: i64,
    /// A batch of which that is not known. Nothing is written until it is.
    unsettled: Option<Xid>,
}

impl Log {
    /// Opens the log and puts this run on record.
    pub async fn open(ledger: Ledger, writer: &str) -> Result<Self, LedgerError> {
        let boot = BootId::new();
        records::insert_boot(boot, writer, &ledger).await?;
        Ok(Self(Arc::new(Inner {
            ledger,
            writer: writer.to_owned(),
            boot,
            state: Arc::new(Mutex::new(State {
                session: None,
                batch: 0,
                unsettled: None,
            })),
        })))
    }

    /// Begins a transaction that leaves evidence, once the one before it has ended.
    pub async fn begin(&self, gate: Gate) -> Result<Batch, LedgerError> {
        let mut state = self.0.state.clone().lock_owned().await;
        if let Some(xid) = state.unsettled.clone() {
            match self.settle(&xid).await {
                Some(Settled::Committed) => state.batch += 1,
                Some(Settled::Aborted) => {}
                None => return Err(LedgerError::OutcomeUnknown),
            }
            state.unsettled = None;
        }
        let tx = match state.session.take() {
            // An idle connection may have died since; beginning anew harms nothing.
            Some(session) => match Tx::begin(session, gate).await {
                Ok(tx) => tx,
                Err(_) => Tx::begin(self.0.ledger.session().await?, gate).await?,
            },
            None => Tx::begin(self.0.ledger.session().await?, gate).await?,
        };
        Ok(Batch {
            log: self.clone(),
            state,
            tx,
            rows: Vec::new(),
        })
    }

    /// The ledger that the log writes to.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    async fn settle(&self, xid: &Xid) -> Option<Settled> {
        let inquiry = async {
            loop {
                let settled = self.0.ledger.settle(xid, records::MOVE_BOOTS).await;
                if settled.is_some() {
                    return settled;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(SETTLE, inquiry).await.ok().flatten()
    }
}

/// A transaction, and the leaves that will be durable with it. Dropped without a commit, nothing of
/// it has happened.
pub struct Batch {
    log: Log,
    state: OwnedMutexGuard<State>,
    tx: Tx,
    rows: Vec<Row>,
}

impl Batch {
    /// The transaction, for the statements of a `records.rs`.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Adds a leaf at the next position.
    pub fn add(&mut self, leaf: &Leaf) {
        let bytes = leaf.to_bytes();
        self.rows.push(Row {
            kind: leaf.kind(),
            subject: leaf.subject(),
            hash: leaf::leaf_hash(&bytes),
            bytes,
        });
    }

    /// Writes the leaves, commits, and finds out what happened where the answer is lost. A batch
    /// without leaves is not a batch: it takes no number.
    pub async fn commit(mut self) -> Result<Committed, LedgerError> {
        let step = i64::from(!self.rows.is_empty());
        if step == 1 {
            let inner = &self.log.0;
            let batch = self.state.batch + 1;
            records::insert_leaves(&inner.writer, inner.boot, batch, self.rows, &mut self.tx)
                .await?;
        }
        // From here on it may be durable, whatever becomes of this future: a caller who hangs up drops
        // it. Whoever begins next finds out first.
        self.state.unsettled = (step == 1).then(|| self.tx.xid().clone());
        let settled = match self.tx.commit().await {
            Ok(session) => {
                self.state.session = Some(session);
                Ok(())
            }
            Err(NotCommitted::Aborted(error)) => Err(error),
            Err(NotCommitted::Unknown(xid)) => match self.log.settle(&xid).await {
                Some(Settled::Committed) => Ok(()),
                Some(Settled::Aborted) => Err(LedgerError::Unavailable(
                    "the transaction was rolled back".into(),
                )),
                None => return Err(LedgerError::OutcomeUnknown),
            },
        };
        self.state.unsettled = None;
        settled?;
        self.state.batch += step;
        Ok(Committed(()))
    }

    /// Ends the transaction without a trace, and waits until the server knows.
    pub async fn abandon(self) {
        self.tx.abandon().await;
    }
}
