//! The voucher: one for all who read something that others released or wrote.
//!
//! A row can be seen here while its standby does not have it yet; a commit of our own that is waited
//! for comes after it. One commit does for everybody who has come by the time it begins, so however
//! many wait, it takes one connection.

use std::sync::Arc;

use sqlx::postgres::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::records;
use crate::ledger::{Ledger, LedgerError, NotCommitted, call};
use crate::standing::{Look, Standing};

/// How many may wait to be told; more wait to wait.
const WAITING: usize = 1_024;

/// Who waits, and for what they have to know: it is looked up behind the gate, before the commit.
struct Waiting {
    look: Look,
    told: oneshot::Sender<Result<Arc<Standing>, LedgerError>>,
}

/// The way to the voucher.
pub(super) struct Voucher(mpsc::Sender<Waiting>);

impl Voucher {
    /// One for this run of this writer, until the handle is gone.
    pub(super) fn start(ledger: Ledger, run: i32) -> Self {
        let (send, receive) = mpsc::channel(WAITING);
        let work = Work {
            ledger,
            run,
            session: None,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with its handle, and a shutdown has nobody left who waits for it"
        )]
        tokio::spawn(work.run(receive));
        Self(send)
    }

    /// Waits for a commit that begins from now on, and says how things stand in it.
    pub(super) async fn vouch(&self, look: Look) -> Result<Arc<Standing>, LedgerError> {
        let gone = || LedgerError::Unavailable("nobody vouches any more".into());
        let (told, answer) = oneshot::channel();
        self.0
            .send(Waiting { look, told })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Work {
    ledger: Ledger,
    run: i32,
    session: Option<PgConnection>,
}

impl Work {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let mut waiting = Vec::new();
        while queue.recv_many(&mut waiting, WAITING).await > 0 {
            waiting.retain(|it: &Waiting| !it.told.is_closed()); // they have lost patience
            if waiting.is_empty() {
                continue;
            }
            let mut look = Look::default();
            for it in &mut waiting {
                look.join(std::mem::take(&mut it.look));
            }
            let done = self.commit(&look).await.map(Arc::new);
            for it in waiting.drain(..) {
                drop(it.told.send(done.clone()));
            }
        }
    }

    /// Commits something, which is that this run was seen. On a connection that has died since, that is
    /// tried once more on another.
    async fn commit(&mut self, look: &Look) -> Result<Standing, LedgerError> {
        let is_kept = self.session.is_some();
        match self.try_to_commit(look).await {
            Err(NotCommitted::Unknown) if is_kept => self.try_to_commit(look).await,
            done => done,
        }
        .map_err(|why| match why {
            NotCommitted::Aborted(error) => error,
            NotCommitted::Unknown => LedgerError::OutcomeUnknown,
        })
    }

    async fn try_to_commit(&mut self, look: &Look) -> Result<Standing, NotCommitted> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => (self.ledger.session().await).map_err(NotCommitted::Aborted)?,
        };
        let mut vouch = records::Vouch {
            run: self.run,
            look,
        };
        let standing = call(&mut session, &mut vouch).await?;
        self.session = Some(session);
        Ok(standing)
    }
}
