//! The writer of the log: transactions that leave evidence, one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use super::records::{self, Row};
use super::voucher::Voucher;
use super::{Author, Committed, Event, Leaf, leaf};
use crate::approvals::{Approval, ApprovalNeeded};
use crate::clock::{self, Clock};
use crate::id::{BootId, CallerId};
use crate::ledger::{Gate, Ledger, LedgerError, NotCommitted, Tx, Xid, in_time};
use crate::standing::{Look, Standing};

/// How long a lost commit is inquired after before its callers are told that it is unknown. Together
/// with the wait for its answer less than callers wait.
const SETTLE: Duration = Duration::from_secs(3);

/// For how long it is taken that what could be written can still be written.
const FRESH: Duration = Duration::from_secs(1);

/// The log as this process writes it. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    writer: String,
    boot: BootId,
    clock: Clock,
    state: Arc<Mutex<State>>,
    voucher: Voucher,
    /// When it was last tried whether anything can be written, and what came of it.
    written: Mutex<Option<(Instant, Result<(), LedgerError>)>>,
}

/// Held by whoever writes: the connection, and how far the log has come.
struct State {
    session: Option<PgConnection>,
    /// The last batch that is known to be durable.
    batch: i64,
    /// A batch of which that is not known. Nothing is written until it is.
    unsettled: Option<Lost>,
}

/// A batch whose commit was sent.
struct Lost {
    xid: Xid,
    batch: i64,
    /// The last transaction that was to confirm it. It may still wait for a standby, and a second one
    /// beside it would only wait too.
    confirm: Option<Xid>,
}

impl Log {
    /// Opens the log and puts this run on record.
    pub async fn open(ledger: Ledger, writer: &str, clock: Clock) -> Result<Self, LedgerError> {
        let boot = BootId::new();
        records::insert_boot(boot, writer, &ledger).await?;
        Ok(Self(Arc::new(Inner {
            voucher: Voucher::start(ledger.clone(), writer.to_owned(), boot),
            written: Mutex::default(),
            ledger,
            writer: writer.to_owned(),
            boot,
            clock,
            state: Arc::new(Mutex::new(State {
                session: None,
                batch: 0,
                unsettled: None,
            })),
        })))
    }

    /// Begins a change, once the one before it has ended, if its author is still who may make it: that
    /// is looked at behind the gate.
    pub async fn begin(&self, gate: Gate, author: &Author) -> Result<Change, LedgerError> {
        let mut state = self.0.state.clone().lock_owned().await;
        if let Some(lost) = &mut state.unsettled {
            let durable = self.settle(lost).await;
            let durable = durable.ok_or(LedgerError::OutcomeUnknown)?;
            state.batch += i64::from(durable);
            state.unsettled = None;
        }
        let tx = Tx::begin_again(state.session.take(), gate, &self.0.ledger).await?;
        let mut change = Change {
            now: self.0.clock.now(),
            author: author.clone(),
            log: self.clone(),
            state,
            tx,
            rows: Vec::new(),
        };
        let Some(credential) = author.credential() else {
            return Ok(change);
        };
        match Box::pin(change.has_live(credential)).await {
            Ok(()) => Ok(change),
            Err(error) => {
                change.abandon().await;
                Err(error)
            }
        }
    }

    /// Makes sure that what was read a moment ago is where it has to be, and says how things stand.
    pub(crate) async fn vouch(&self, look: Look) -> Result<Arc<Standing>, LedgerError> {
        self.0.voucher.vouch(look).await
    }

    /// Whether something was written within the last second, or can be now. One attempt does for all
    /// who ask.
    pub async fn is_writable(&self) -> Result<(), LedgerError> {
        let mut last = self.0.written.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < FRESH
        {
            return outcome.clone();
        }
        let outcome = in_time(self.vouch(Look::default())).await.map(drop);
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// The ledger that the log writes to.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Whether a batch whose commit was sent is durable. `None`: not found out in time.
    async fn settle(&self, lost: &mut Lost) -> Option<bool> {
        let inquiry = async {
            loop {
                match self.inquire(lost).await {
                    Ok(durable) => return durable,
                    Err(error) => tracing::debug!(%error, "a lost commit is not settled yet"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(SETTLE, inquiry).await.ok()
    }

    /// Once the transaction is over, its leaves are there or not. The look at them commits something
    /// itself: that it can, and is replicated, proves that what it saw is where it has to be.
    async fn inquire(&self, lost: &mut Lost) -> Result<bool, LedgerError> {
        let inner = &self.0;
        let mut session = inner.ledger.session().await?;
        for xid in lost.confirm.iter().chain([&lost.xid]) {
            xid.await_end(&mut session).await?;
        }
        let mut tx = Tx::begin(session, Gate::Shared).await?;
        let durable = records::confirm(&inner.writer, inner.boot, lost.batch, &mut tx).await?;
        lost.confirm = Some(tx.xid().clone());
        match tx.commit().await {
            Ok(_) => Ok(durable),
            Err(NotCommitted::Aborted(error)) => Err(error),
            Err(NotCommitted::Unknown) => Err(LedgerError::OutcomeUnknown),
        }
    }
}

/// A transaction, who answers for it, and the leaves that will be durable with it. Dropped without a
/// commit, nothing of it has happened.
pub struct Change {
    author: Author,
    now: OffsetDateTime,
    log: Log,
    state: OwnedMutexGuard<State>,
    tx: Tx,
    rows: Vec<Row>,
}

impl Change {
    async fn has_live(&mut self, credential: Uuid) -> Result<(), LedgerError> {
        let look = Look::at(Some(credential), None);
        let standing = Standing::behind_gate(&look, &mut self.tx).await?;
        if standing.is_live(credential) {
            Ok(())
        } else {
            Err(LedgerError::CallerRevoked)
        }
    }

    /// The transaction, for the statements of a `records.rs`.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Who makes the change.
    pub fn author(&self) -> CallerId {
        self.author.id()
    }

    /// When it passed the gate.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// The same in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        clock::unix_ms(self.now)
    }

    /// Who has agreed to something that loosens (P6).
    pub fn loosen(&self) -> Result<Approval, ApprovalNeeded> {
        self.author.loosen()
    }

    /// Adds the leaf of something that needs nobody's agreement: its author's right covers it.
    /// `details` never hold a secret.
    pub fn note(&mut self, action: &str, subject: impl Into<Uuid>, details: &serde_json::Value) {
        let ground = self.author.ground();
        self.note_as(ground, action, subject, details);
    }

    /// The same for what stands on an approval of its own. What is automatic the service does,
    /// whoever the change belongs to.
    pub fn note_as(
        &mut self,
        approval: Approval,
        action: &str,
        subject: impl Into<Uuid>,
        details: &serde_json::Value,
    ) {
        let author = if approval == Approval::automatic() {
            CallerId::SERVICE
        } else {
            self.author.id()
        };
        let event = Event::Admin(leaf::Admin {
            actor: author.uuid(),
            action: action.to_owned(),
            subject: subject.into(),
            approval: approval.to_string(),
            details: details.to_string(),
        });
        self.add(event);
    }

    /// Adds a leaf at the next position.
    pub fn add(&mut self, event: Event) {
        let leaf = Leaf::new(self.now_ms(), event);
        let bytes = leaf.to_bytes();
        self.rows.push(Row {
            kind: leaf.kind(),
            subject: leaf.subject(),
            hash: leaf::leaf_hash(&bytes),
            bytes,
        });
    }

    /// Writes the leaves, commits, and finds out what happened where the answer is lost. A batch
    /// without leaves is not a batch: nothing was changed, and it takes no number.
    pub async fn commit(mut self) -> Result<Committed, LedgerError> {
        if self.rows.is_empty() {
            return match self.tx.commit().await {
                Ok(session) => {
                    self.state.session = Some(session);
                    Ok(Committed(()))
                }
                Err(NotCommitted::Aborted(error)) => Err(error),
                Err(NotCommitted::Unknown) => Err(LedgerError::Unavailable(
                    "the end of a transaction that changed nothing was lost".into(),
                )),
            };
        }
        let inner = &self.log.0;
        let batch = self.state.batch + 1;
        records::insert_leaves(&inner.writer, inner.boot, batch, self.rows, &mut self.tx).await?;
        // From here on it may be durable, whatever becomes of this future: a caller who hangs up drops
        // it. Whoever begins next finds out first.
        let lost = self.state.unsettled.insert(Lost {
            xid: self.tx.xid().clone(),
            batch,
            confirm: None,
        });
        let settled = match self.tx.commit().await {
            Ok(session) => {
                self.state.session = Some(session);
                Ok(())
            }
            Err(NotCommitted::Aborted(error)) => Err(error),
            Err(NotCommitted::Unknown) => match self.log.settle(lost).await {
                Some(true) => Ok(()),
                Some(false) => Err(LedgerError::Unavailable(
                    "the transaction was rolled back".into(),
                )),
                None => return Err(LedgerError::OutcomeUnknown),
            },
        };
        self.state.unsettled = None;
        settled?;
        self.state.batch = batch;
        Ok(Committed(()))
    }

    /// Ends the transaction without a trace.
    pub async fn abandon(mut self) {
        self.state.session = self.tx.abandon().await;
    }
}
