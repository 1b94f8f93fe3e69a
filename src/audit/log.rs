//! The writer of the log: transactions that leave evidence, one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use super::agreed::Agreed;
use super::batch::{Batch, Numbered, Place, Written};
use super::records::{self, Row};
use super::voucher::Voucher;
use super::{Author, Committed, Event, Leaf, leaf};
use crate::approvals::Approval;
use crate::authority::Seal;
use crate::clock::{self, Clock};
use crate::id::{BootId, CallerId};
use crate::ledger::{
    Gate, Ledger, LedgerError, NotCommitted, Run, Tx, call, in_time, is_there, take_turn,
};
use crate::notices::{self, Notice};
use crate::sealing::Keyring;
use crate::standing::{Look, Standing};

/// How long a lost commit is inquired after before its callers are told that it is unknown. Together
/// with the wait for its answer less than callers wait.
const SETTLE: Duration = Duration::from_secs(3);

/// After so long without a word the connection is asked whether it is still there: what is sent on a dead
/// one has to be inquired after, and its callers wait for that.
const IDLE: Duration = Duration::from_millis(20);

/// For how long it is taken that what could be written can still be written.
const FRESH: Duration = Duration::from_secs(1);

/// The log as this process writes it. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    /// The number of this run.
    run: i32,
    clock: Clock,
    seal: Seal,
    state: Arc<Mutex<State>>,
    voucher: Voucher,
    /// When it was last tried whether anything can be written, and what came of it.
    written: Mutex<Option<(Instant, Result<(), LedgerError>)>>,
}

/// Held by whoever writes: the connection, and how far the log has come.
#[derive(Default)]
struct State {
    /// Kept from one batch to the next, as long as nothing has gone wrong on it.
    session: Option<PgConnection>,
    /// When it was used last.
    used: Option<Instant>,
    /// The turn in which it was taken.
    turn: i32,
    /// The last batch that is known to be durable.
    batch: i64,
    /// Whether the one after it was sent, and what became of it is not known. Nothing is written until
    /// it is.
    is_unsettled: bool,
}

impl Log {
    /// Opens the log and puts this run on record.
    pub async fn open(
        ledger: Ledger,
        writer: &str,
        clock: Clock,
        sealing: Arc<Keyring>,
    ) -> Result<Self, LedgerError> {
        let run = records::insert_run(BootId::new(), writer, &ledger).await?;
        Ok(Self(Arc::new(Inner {
            voucher: Voucher::start(ledger.clone(), run),
            written: Mutex::default(),
            ledger,
            run,
            clock,
            seal: Seal::new(sealing),
            state: Arc::default(),
        })))
    }

    /// Writes a batch with one call of a function that commits by itself, once what was before it has
    /// ended. It is called a second time where it is certain that the first has written nothing and
    /// never will.
    pub(crate) async fn write<B: Batch>(
        &self,
        batch: &mut B,
    ) -> Result<(Written<B::Answer>, Committed), LedgerError> {
        let mut state = self.0.state.lock().await;
        for _ in 0..2 {
            let mut session = self.0.session(&mut state).await?;
            let (run, number) = (self.0.run(&state), state.batch + 1);
            // From here on it may be durable, whatever becomes of this future: whoever writes next finds
            // out first.
            state.is_unsettled = true;
            let mut function = Numbered { batch, run, number };
            match call(&mut session, &mut function).await {
                Ok((done, leaves)) => {
                    state.batch += i64::from(leaves > 0);
                    state.keep(session);
                    return Ok((Written::Answered(done), Committed(())));
                }
                Err(NotCommitted::Aborted(error)) => {
                    state.keep(session);
                    return Err(error);
                }
                Err(NotCommitted::Unknown) => {}
            }
            drop(session);
            if self.0.settle(&mut state).await? {
                let hashes = records::leaf_hashes(run, number, &self.0.ledger).await?;
                return Ok((Written::Found(hashes), Committed(())));
            }
        }
        Err(LedgerError::Unavailable(
            "the connection broke twice".into(),
        ))
    }

    /// Begins a change, once the one before it has ended, if its author is still who may make it: that
    /// is looked at behind the gate.
    pub async fn begin(&self, gate: Gate, author: &Author) -> Result<Change, LedgerError> {
        let mut state = self.0.state.clone().lock_owned().await;
        let session = self.0.session(&mut state).await?;
        let begun = Tx::begin_on(session, gate, self.0.run(&state)).await?;
        let tx = if let Some(tx) = begun {
            tx
        } else {
            let session = self.0.session(&mut state).await?;
            Tx::begin(session, gate, Some(self.0.run(&state))).await?
        };
        let mut change = Change {
            gate,
            now: self.0.clock.now(),
            author: author.clone(),
            log: self.clone(),
            state,
            tx,
            rows: Vec::new(),
            notices: Vec::new(),
            decides: false,
            written: 0,
            agreed: Agreed::default(),
        };
        match Box::pin(change.is_still_right()).await {
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
}

impl State {
    /// Keeps a connection on which everything is known.
    fn keep(&mut self, session: PgConnection) {
        self.session = Some(session);
        self.used = Some(Instant::now());
        self.is_unsettled = false;
    }

    /// Takes the connection that was kept, if it is still there.
    async fn kept(&mut self) -> Option<PgConnection> {
        let mut session = self.session.take()?;
        let is_warm = self.used.is_some_and(|used| used.elapsed() < IDLE);
        (is_warm || is_there(&mut session).await).then_some(session)
    }
}

impl Inner {
    fn run(&self, state: &State) -> Run {
        Run {
            number: self.run,
            turn: state.turn,
        }
    }

    /// The connection to write on: the one that was kept, or a new one, once it is known what became of
    /// all that was sent on the one before.
    async fn session(&self, state: &mut State) -> Result<PgConnection, LedgerError> {
        if let Some(session) = state.kept().await {
            return Ok(session);
        }
        // What became of the batch before is not this one's to wait for.
        match self.try_to_settle(state).await {
            Ok(_) => {}
            Err(_) if state.is_unsettled => return Err(LedgerError::OutcomeUnknown),
            Err(error) => return Err(error),
        }
        let none = || LedgerError::Unavailable("there is no connection".into());
        state.session.take().ok_or_else(none)
    }

    /// Takes a new connection and a turn, and says whether the batch that was under way is durable. That is
    /// tried for a while.
    async fn settle(&self, state: &mut State) -> Result<bool, LedgerError> {
        let trying = async {
            loop {
                match self.try_to_settle(state).await {
                    Ok(is_there) => return is_there,
                    Err(error) => tracing::debug!(%error, "a lost commit is not settled yet"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let settled = tokio::time::timeout(SETTLE, trying).await;
        settled.map_err(|_| LedgerError::OutcomeUnknown)
    }

    async fn try_to_settle(&self, state: &mut State) -> Result<bool, LedgerError> {
        let (session, turn, is_there) = self.take_turn(state.batch + 1).await?;
        state.turn = turn;
        state.batch += i64::from(is_there);
        state.keep(session);
        Ok(is_there)
    }

    async fn take_turn(&self, batch: i64) -> Result<(PgConnection, i32, bool), LedgerError> {
        let mut session = self.ledger.session().await?;
        let mut function = records::TakeTurn {
            run: self.run,
            batch,
        };
        let (turn, is_there) = take_turn(self.run, &mut session, &mut function).await?;
        Ok((session, turn, is_there))
    }
}

/// A transaction, who answers for it, and the leaves that will be durable with it. Dropped without a
/// commit, nothing of it has happened.
pub struct Change {
    gate: Gate,
    author: Author,
    now: OffsetDateTime,
    log: Log,
    state: OwnedMutexGuard<State>,
    tx: Tx,
    rows: Vec<Row>,
    /// What somebody is told of it.
    notices: Vec<Notice>,
    /// Whether it states anything that decides.
    decides: bool,
    /// How many leaves of the batch are written already.
    written: usize,
    /// On whose agreement.
    agreed: Agreed,
}

impl Change {
    /// Behind the gate: that its author may still make it, and that what they make it under holds.
    async fn is_still_right(&mut self) -> Result<(), LedgerError> {
        if let Some(credential) = self.author.credential() {
            let look = Look::at(Some(credential), None);
            let standing = Standing::behind_gate(&look, &mut self.tx).await?;
            let decided = self.author.decided().unwrap_or_default();
            if !standing.is_live(credential) {
                return Err(LedgerError::CallerRevoked);
            }
            if !standing.upholds(decided) {
                return Err(LedgerError::AuthorityChanged);
            }
        }
        self.agreed.look(&self.author, &mut self.tx).await
    }

    /// The transaction, for the statements of a `records.rs`.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Who else may be at the gate meanwhile.
    pub(super) fn gate(&self) -> Gate {
        self.gate
    }

    /// With what the versions that it states are sealed.
    pub(super) fn seal(&self) -> Seal {
        self.log.0.seal.clone()
    }

    /// Whether anything that decides is stated in it.
    pub fn decides(&self) -> bool {
        self.decides
    }

    pub(super) fn has_decided(&mut self) {
        self.decides = true;
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

    /// Who has agreed to something that loosens (P6). Where nobody has, it goes on and is not committed: what
    /// it would have put on record is proposed to others.
    pub fn loosen(&self) -> Approval {
        self.agreed.loosen(&self.author)
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
            approval: self.agreed.note(approval, action, details),
            details: details.to_string(),
        });
        self.add(event);
    }

    /// Has somebody told of it, once it is durable.
    pub fn tell(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Adds a leaf at the next position.
    pub fn add(&mut self, event: Event) {
        self.rows.push(Row::new(&Leaf::new(self.now_ms(), event)));
    }

    /// Where a function writes leaves that come before those that were added here.
    pub(crate) fn place(&mut self) -> Place<'_> {
        Place {
            session: self.tx.connection(),
            run: self.log.0.run(&self.state),
            batch: self.state.batch + 1,
            position: i32::try_from(self.written).unwrap_or(i32::MAX),
        }
    }

    /// So many leaves more were written there.
    pub(crate) fn has_written(&mut self, leaves: usize) {
        self.written += leaves;
    }

    /// Writes the leaves, commits, and finds out what happened where the answer is lost. A batch
    /// without leaves is not a batch: nothing was changed, and it takes no number.
    pub async fn commit(mut self) -> Result<Committed, LedgerError> {
        match Box::pin(self.agreed.settle(&self.author, &mut self.tx)).await {
            Ok(leaf) => leaf.into_iter().for_each(|leaf| self.add(leaf)),
            Err(error) => {
                self.abandon().await;
                return Err(error);
            }
        }
        for notice in std::mem::take(&mut self.notices) {
            notices::records::insert(&notice, self.tx.connection()).await?;
        }
        if self.rows.is_empty() && self.written == 0 {
            return match self.tx.commit().await {
                Ok(session) => {
                    self.state.keep(session);
                    Ok(Committed(()))
                }
                Err(NotCommitted::Aborted(error)) => Err(error),
                Err(NotCommitted::Unknown) => Err(LedgerError::Unavailable(
                    "the end of a transaction that changed nothing was lost".into(),
                )),
            };
        }
        let rows = std::mem::take(&mut self.rows);
        records::insert_leaves(rows, self.place()).await?;
        // From here on it may be durable, whatever becomes of this future: a caller who hangs up drops
        // it. Whoever writes next finds out first.
        self.state.is_unsettled = true;
        match self.tx.commit().await {
            Ok(session) => {
                self.state.batch += 1;
                self.state.keep(session);
            }
            Err(NotCommitted::Aborted(error)) => {
                self.state.is_unsettled = false;
                return Err(error);
            }
            Err(NotCommitted::Unknown) => {
                if !self.log.0.settle(&mut self.state).await? {
                    return Err(LedgerError::Unavailable(
                        "the transaction was rolled back".into(),
                    ));
                }
            }
        }
        Ok(Committed(()))
    }

    /// Ends the transaction without a trace.
    pub async fn abandon(mut self) {
        if let Some(session) = self.tx.abandon().await {
            self.state.keep(session);
        }
    }
}
