//! Many drafts at once: one durable step for all, then each its own way.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::group::{BatchKey, Intend, Joining};
use super::{Asked, Draft, Signed, Signer, SigningError};
use crate::callers::Caller;
use crate::custody::{CustodyError, Turn};
use crate::fail_point;
use crate::idempotency::{Key, NotAKey, RequestDigest};
use crate::policy::{Denied, Permit};

/// The most drafts of one batch.
pub const LARGEST_BATCH: usize = 100;

/// How a batch came in.
#[derive(Clone, Debug)]
pub struct AskedTogether {
    /// Of the whole request.
    pub digest: RequestDigest,
    /// The caller's key for the whole.
    pub idempotency: Key,
    /// How long the caller still waits.
    pub deadline: Option<Duration>,
}

impl AskedTogether {
    /// How the request with this number came in.
    pub fn item(&self, number: usize) -> Result<Asked, NotAKey> {
        Ok(Asked {
            digest: self.digest.of_item(number),
            idempotency: Some(self.idempotency.of_item(number)?),
            deadline: self.deadline,
        })
    }
}

/// A draft that may be signed, and how it came in.
type Ready = (Permit<Box<dyn Draft>>, Turn, Asked);

/// Why a draft does not go into the group.
enum Not {
    Permitted(Denied),
    Ready(CustodyError, Asked),
}

impl Signer {
    /// Signs drafts for a caller, each under its number in the batch, or says for each why not. Their
    /// intents share one commit, and they are signed at the same time. One that is refused takes none
    /// with it; but where the key stands for another batch, it is [`SigningError::KeyReused`] for all.
    pub async fn sign_all(
        &self,
        caller: &Caller,
        drafts: Vec<(Box<dyn Draft>, Asked)>,
        asked: &AskedTogether,
    ) -> Vec<Result<Signed, SigningError>> {
        let until = Instant::now() + self.deadline(asked.deadline);
        let count = drafts.len();
        let mut ready = Vec::with_capacity(count);
        for (draft, asked) in drafts {
            ready.push(self.ready_for(caller, draft, asked, until).await);
        }
        // From here to the tasks nothing waits: who hangs up stops all of it or none.
        fail_point!("accepted");
        let tasks = &self.0.parts.tasks;
        let work: Vec<_> = self
            .join(caller, ready, asked)
            .into_iter()
            .map(|joining| {
                let (signer, caller) = (self.clone(), caller.clone());
                tasks.spawn(async move {
                    let (joining, asked) = match joining {
                        Ok(joining) => joining,
                        Err(Not::Ready(away, asked)) => {
                            return signer.standing_or(&caller, &asked, away).await;
                        }
                        Err(Not::Permitted(denied)) => return Err(denied.into()),
                    };
                    signer.follow(&caller, joining, &asked, until).await
                })
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
        self.vouch_for(&mut results, until).await;
        results
    }

    /// Asks the policy and the device for one.
    async fn ready_for(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
        asked: Asked,
        until: Instant,
    ) -> Result<Ready, Not> {
        let permit = self.permit(caller, draft).map_err(Not::Permitted)?;
        match self.ready(caller, &permit, until).await {
            Ok(turn) => Ok((permit, turn, asked)),
            Err(away) => Err(Not::Ready(away, asked)),
        }
    }

    /// Sends what is permitted and ready into one group.
    fn join(
        &self,
        caller: &Caller,
        ready: Vec<Result<Ready, Not>>,
        asked: &AskedTogether,
    ) -> Vec<Result<(Joining, Asked), Not>> {
        let batch = Arc::new(BatchKey {
            key: asked.idempotency.clone(),
            request: asked.digest,
        });
        let mut intends = Vec::with_capacity(ready.len());
        let joinings: Vec<_> = ready
            .into_iter()
            .map(|ready| {
                let (permit, turn, asked) = ready?;
                let batch = Some(batch.clone());
                let (intend, joining) = Intend::new(caller, permit, &asked, batch, turn);
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

    /// Vouches once for all that was released earlier.
    async fn vouch_for(&self, results: &mut [Result<Signed, SigningError>], until: Instant) {
        let replayed = |it: &Result<Signed, _>| it.as_ref().is_ok_and(|done| done.replayed);
        if !results.iter().any(replayed) {
            return;
        }
        let vouched = timeout_at(until, self.0.parts.log.vouch()).await;
        let why = || match &vouched {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(SigningError::Ledger(error.again())),
            Err(_) => Some(SigningError::DeadlineExceeded),
        };
        for result in results.iter_mut().filter(|it| replayed(it)) {
            if let Some(why) = why() {
                *result = Err(why);
            }
        }
    }
}
