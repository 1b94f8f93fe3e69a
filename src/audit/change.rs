//! A change: one transaction, and what it leaves behind.

use time::OffsetDateTime;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::agreed::Agreed;
use super::batch::Place;
use super::log::{Log, State};
use super::records::{self, Row};
use super::{Author, Committed, Event, Leaf, leaf};
use crate::approvals::Approval;
use crate::authority::records::New;
use crate::authority::{self, Authority, Said, Seal};
use crate::clock;
use crate::id::CallerId;
use crate::ledger::{Gate, LedgerError, NotCommitted, Tx};
use crate::notices::{self, Notice};
use crate::standing::{Look, Standing};

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
    /// What is done once it is durable.
    afterwards: Vec<Box<dyn FnOnce() + Send + Sync>>,
    /// Whether it states anything that decides.
    decides: bool,
    /// What its rows say, and whether that tightens. It is stated before the commit.
    stated: Vec<(Said, bool)>,
    /// How many leaves of the batch are written already.
    written: usize,
    /// On whose agreement.
    agreed: Agreed,
}

impl Log {
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
        let mut change = Change::new(self.clone(), author, gate, (state, tx));
        match Box::pin(change.is_still_right()).await {
            Ok(()) => Ok(change),
            Err(error) => {
                change.abandon().await;
                Err(error)
            }
        }
    }
}

impl Change {
    /// One that has passed the gate.
    fn new(
        log: Log,
        author: &Author,
        gate: Gate,
        (state, tx): (OwnedMutexGuard<State>, Tx),
    ) -> Self {
        Self {
            gate,
            now: log.0.clock.now(),
            author: author.clone(),
            log,
            state,
            tx,
            rows: Vec::new(),
            notices: Vec::new(),
            afterwards: Vec::new(),
            decides: false,
            stated: Vec::new(),
            written: 0,
            agreed: Agreed::default(),
        }
    }

    /// Behind the gate: that what decides is what was decided, that its author may still make it, and that
    /// what they make it under holds.
    async fn is_still_right(&mut self) -> Result<(), LedgerError> {
        let look = Look::at(self.author.credential(), None);
        let standing = Standing::behind_gate(&look, &mut self.tx).await?;
        let authority = self.log.authority();
        authority.confirm(standing.head()).await?;
        if let Some(credential) = self.author.credential() {
            let decided = self.author.decided().unwrap_or_default();
            if !standing.is_live(credential) {
                return Err(LedgerError::CallerRevoked);
            }
            if !standing.upholds(decided) {
                return Err(LedgerError::AuthorityChanged);
            }
        }
        self.agreed
            .look(&self.author, authority, &mut self.tx)
            .await
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
        self.log.authority().seal().clone()
    }

    pub(super) fn has_decided(&mut self) {
        self.decides = true;
    }

    pub(super) fn stated(&mut self, said: Said, tightens: bool) {
        self.stated.push((said, tightens));
        self.decides = true;
    }

    /// What decides.
    pub(crate) fn authority(&self) -> &Authority {
        self.log.authority()
    }

    /// What it states itself.
    pub(super) fn own(&self) -> Vec<Said> {
        self.stated.iter().map(|(said, _)| said.clone()).collect()
    }

    /// Adds what its rows say to what decides.
    async fn state_all(&mut self) -> Result<(), LedgerError> {
        if self.stated.is_empty() {
            return Ok(());
        }
        let new: Vec<_> = self
            .stated
            .iter()
            .map(|(said, tightens)| New::of(said, *tightens))
            .collect();
        let (who, seal) = ((self.author.id(), self.now), self.seal());
        authority::records::add(&new, who, &seal, &mut self.tx).await?;
        Ok(())
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

    /// Does something once it is durable, such as saying so in the log. What is only proposed never is.
    pub fn once_durable(&mut self, then: impl FnOnce() + Send + Sync + 'static) {
        self.afterwards.push(Box::new(then));
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
            Ok(None) => {}
            Ok(Some((said, leaf))) => {
                self.stated(said, false);
                self.add(leaf);
            }
            Err(error) => {
                self.abandon().await;
                return Err(error);
            }
        }
        if let Err(error) = Box::pin(self.state_all()).await {
            self.abandon().await;
            return Err(error);
        }
        for notice in std::mem::take(&mut self.notices) {
            notices::records::insert(&notice, self.tx.connection()).await?;
        }
        let decides = self.decides.then(|| self.authority().clone());
        let afterwards = std::mem::take(&mut self.afterwards);
        let done = self.end().await?;
        for then in afterwards {
            then();
        }
        // Elsewhere it is known within a second, and the gate knows it at once.
        if let Some(authority) = decides
            && let Err(error) = authority.catch_up().await
        {
            tracing::debug!(%error, "what was decided is not loaded yet");
        }
        Ok(done)
    }

    async fn end(mut self) -> Result<Committed, LedgerError> {
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
