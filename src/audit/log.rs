//! The writer of the log: transactions that leave evidence, one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::Committed;
use super::batch::{Batch, Numbered, Written};
use super::records;
use super::voucher::Voucher;
use crate::authority::Authority;
use crate::clock::Clock;
use crate::id::BootId;
use crate::ledger::{Ledger, LedgerError, NotCommitted, Run, call, in_time, is_there, take_turn};
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
pub struct Log(pub(super) Arc<Inner>);

pub(super) struct Inner {
    ledger: Ledger,
    /// The number of this run.
    run: i32,
    pub(super) clock: Clock,
    authority: Authority,
    pub(super) state: Arc<Mutex<State>>,
    voucher: Voucher,
    /// When it was last tried whether anything can be written, and what came of it.
    written: Mutex<Option<(Instant, Result<(), LedgerError>)>>,
}

/// Held by whoever writes: the connection, and how far the log has come.
#[derive(Default)]
pub(super) struct State {
    /// Kept from one batch to the next, as long as nothing has gone wrong on it.
    session: Option<PgConnection>,
    /// When it was used last.
    used: Option<Instant>,
    /// The turn in which it was taken.
    turn: i32,
    /// The last batch that is known to be durable.
    pub(super) batch: i64,
    /// Whether the one after it was sent, and what became of it is not known. Nothing is written until
    /// it is.
    pub(super) is_unsettled: bool,
}

impl Log {
    /// Opens the log and puts this run on record.
    pub async fn open(
        authority: Authority,
        writer: &str,
        clock: Clock,
    ) -> Result<Self, LedgerError> {
        let ledger = authority.ledger().clone();
        let run = records::insert_run(BootId::new(), writer, &ledger).await?;
        Ok(Self(Arc::new(Inner {
            voucher: Voucher::start(ledger.clone(), run),
            written: Mutex::default(),
            ledger,
            run,
            clock,
            authority,
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

    /// What decides, which changes are made under and state.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// Whether a leaf was ever noted of something by its id.
    pub(crate) async fn has_noted(&self, subject: Uuid) -> Result<bool, LedgerError> {
        records::has_noted(subject, &self.0.ledger).await
    }
}

impl State {
    /// Keeps a connection on which everything is known.
    pub(super) fn keep(&mut self, session: PgConnection) {
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
    pub(super) fn run(&self, state: &State) -> Run {
        Run {
            number: self.run,
            turn: state.turn,
        }
    }

    /// The connection to write on: the one that was kept, or a new one, once it is known what became of
    /// all that was sent on the one before.
    pub(super) async fn session(&self, state: &mut State) -> Result<PgConnection, LedgerError> {
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
    pub(super) async fn settle(&self, state: &mut State) -> Result<bool, LedgerError> {
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
