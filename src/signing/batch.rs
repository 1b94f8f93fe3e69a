//! Many drafts at once: one durable step for all, then each its own way.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::group::Joining;
use super::job::BatchKey;
use super::{BatchRequest, Draft, Signed, Signer, SigningError, SigningRequest};
use crate::callers::Caller;
use crate::custody::Turn;
use crate::fail_point;
use crate::limits::Reservation;
use crate::policy::Permit;

/// A draft that may be signed, and how it came in.
type Ready = (Permit<Box<dyn Draft>>, (Turn, Reservation), SigningRequest);

/// A draft that is permitted, and does not begin.
type Stuck = (SigningError, Permit<Box<dyn Draft>>, SigningRequest);

/// Why a draft does not go into the group.
enum Not {
    Permitted(Box<SigningError>),
    Begin(Box<Stuck>),
}

impl Signer {
    /// Signs drafts for a caller, each under its number in the batch, or says for each why not. Their
    /// intents share one commit, and they are signed at the same time. One that is refused takes none
    /// with it; but where the key stands for another batch, it is [`SigningError::KeyReused`] for all.
    pub async fn sign_all(
        &self,
        caller: &Caller,
        drafts: Vec<(Box<dyn Draft>, SigningRequest)>,
        asked: &BatchRequest,
    ) -> Vec<Result<Signed, SigningError>> {
        let until = Instant::now() + self.deadline(asked.deadline);
        let count = drafts.len();
        let mut ready = Vec::with_capacity(count);
        for (draft, asked) in drafts {
            ready.push(self.ready_for(caller, draft, asked, until).await);
        }
        // From here to the tasks nothing waits: who hangs up stops all of it or none.
        fail_point!("accepted");
        let tasks = &self.0.equipment.tasks;
        let work: Vec<_> = self
            .join(caller, ready, asked)
            .into_iter()
            .map(|joining| {
                let (signer, caller) = (self.clone(), caller.clone());
                let work = async move {
                    let (joining, asked) = match joining {
                        Ok(joining) => joining,
                        Err(Not::Begin(not)) => {
                            let (why, permit, asked) = *not;
                            return signer.released_or(&caller, &permit, &asked, why).await;
                        }
                        Err(Not::Permitted(why)) => return Err(*why),
                    };
                    signer.follow(&caller, joining, &asked, until).await
                };
                tasks.spawn(work.in_current_span())
            })
            .collect();
        let mut results = Vec::with_capacity(count);
        for task in work {
            results.push(match timeout_at(until, task).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(SigningError::LeaseLost), // the task died; the lease ends its intent
                Err(_) => Err(SigningError::DeadlineExceeded),
            });
        }
        results
    }

    /// Asks the policy and the device for one.
    async fn ready_for(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
        asked: SigningRequest,
        until: Instant,
    ) -> Result<Ready, Not> {
        let permit = self.permitted(caller, draft);
        let permit = permit.map_err(|why| Not::Permitted(Box::new(why)))?;
        match self.may_begin(caller, &permit, until).await {
            Ok(with) => Ok((permit, with, asked)),
            Err(why) => Err(Not::Begin(Box::new((why, permit, asked)))),
        }
    }

    /// Sends what is permitted and ready into one group.
    fn join(
        &self,
        caller: &Caller,
        ready: Vec<Result<Ready, Not>>,
        asked: &BatchRequest,
    ) -> Vec<Result<(Joining, SigningRequest), Not>> {
        let batch = Arc::new(BatchKey {
            key: asked.idempotency.clone(),
            request: asked.digest,
        });
        let mut intends = Vec::with_capacity(ready.len());
        let joinings: Vec<_> = ready
            .into_iter()
            .map(|ready| {
                let (permit, with, asked) = ready?;
                let batch = Some(batch.clone());
                let (intend, joining) = self.intent_of(caller, permit, &asked, batch, with);
                intends.push(intend);
                Ok((joining, asked))
            })
            .collect();
        if !intends.is_empty() {
            // Where the queue is full, every joining learns that it is busy.
            drop(self.0.group.intend_all(caller, intends));
        }
        joinings
    }
}
