//! The door: everything that signs goes through [`Signer::sign`], and nothing else can.
//!
//! A [`Draft`] says what is to be signed and for whom. The policy permits it, a group writes the
//! INTENT, the device signs what was permitted and logged, the signature is checked under the key
//! that was meant, a group writes the RELEASED leaf together with the answer, and only then somebody
//! sees it. An intent ends exactly once: released, refused, or abandoned. A signature that does not
//! verify, or repeats the `r` of another digest, ends it as refused and suspends the key (P8).
//!
//! It **trusts** the policy for who may, the ledger for what is durable, and the device for nothing
//! but secrecy.
//!
//! # Why the work outlives the wait
//! A caller who hangs up or loses patience has already caused an intent. Dropping the work there
//! would leave an intent without an end and a signature without a record, so it runs on as a task of
//! its own, and the caller finds the answer under the same idempotency key.

mod asks;
mod batch;
mod careful;
mod check;
mod columns;
mod device;
mod draft;
mod dry_run;
mod equipment;
mod finish;
mod group;
mod intent;
mod job;
mod looking_up;
mod measures;
mod packed;
mod permitted;
mod queue;
mod records;
mod refusal;
mod replay;
mod request;
mod right;
mod settings;
pub mod signatures;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use crate::callers::Caller;
use crate::custody::Turn;
use crate::fail_point;
use crate::idempotency;
use crate::limits::Reservation;
use crate::policy::Permit;
use crate::traces;
pub use check::{BadSignature, Checked};
pub use draft::{Answer, Claimant, Draft, Identifier, NonceClaim, Prepared, RESCUE};
pub use dry_run::DryRun;
pub use equipment::Equipment;
use group::{Group, Joining};
use job::{BatchKey, Claim};
use measures::Measures;
pub(crate) use packed::unpack;
pub use refusal::{SameRequest, SigningError};
pub use request::{BatchRequest, Held, LARGEST_BATCH, Signed, SigningRequest};
pub use right::{Business, Right};
pub use settings::Settings;

/// How often it is decided again for one request, because what decides was tightened meanwhile.
const AGAIN: u32 = 8;

/// Signs. Cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    equipment: Equipment,
    group: Group,
    measures: Measures,
    deadline: Duration,
    lease: Duration,
}

impl Signer {
    /// A signer whose group writes through the log among its equipment.
    pub fn new(settings: &Settings, keep: &idempotency::Settings, equipment: Equipment) -> Self {
        let group = Group::start(settings, keep, &equipment);
        let measures = Measures::of(equipment.vault.names());
        Self(Arc::new(Inner {
            equipment,
            measures,
            group,
            deadline: Duration::from_millis(settings.deadline_ms.get()),
            lease: Duration::from_millis(settings.lease_ms.get()),
        }))
    }

    /// Signs a draft for a caller, or says why not. The answer is durable before it is returned.
    pub async fn sign(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
        asked: SigningRequest,
    ) -> Result<Signed, SigningError> {
        let deadline = self.deadline(asked.deadline);
        let until = Instant::now() + deadline;
        let (signer, caller) = (self.clone(), caller.clone());
        let work = async move { signer.work(&caller, draft, &asked, until).await };
        let work = self.0.equipment.tasks.spawn(work.in_current_span());
        match tokio::time::timeout(deadline, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(SigningError::LeaseLost), // the task died; the lease ends its intent
            Err(_) => Err(SigningError::DeadlineExceeded),
        }
    }

    async fn work(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
        asked: &SigningRequest,
        until: Instant,
    ) -> Result<Signed, SigningError> {
        fail_point!("accepted");
        let permit = self.permitted(caller, draft)?;
        match self.may_begin(caller, &permit, until).await {
            Ok(with) => {
                let joining = self.intend(caller, permit, asked, None, with)?;
                self.follow(caller, joining, asked, until).await
            }
            Err(not) => self.released_or(caller, &permit, asked, not).await,
        }
    }

    /// Sends what is permitted to be put on record.
    fn intend(
        &self,
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &SigningRequest,
        batch: Option<Arc<BatchKey>>,
        with: (Turn, Reservation),
    ) -> Result<Joining, SigningError> {
        let (intend, joining) = self.intent_of(caller, permit, asked, batch, with);
        self.0.group.intend(intend)?;
        Ok(joining)
    }

    /// Follows an intent to its end.
    async fn follow(
        &self,
        caller: &Caller,
        mut joining: Joining,
        asked: &SigningRequest,
        until: Instant,
    ) -> Result<Signed, SigningError> {
        let (mut last, mut overtaken) = (false, 0);
        loop {
            let intent = match joining.answer().await? {
                Claim::Fresh(intent) => intent, // durable, or we do not get past this line
                Claim::Taken(key, permit) => {
                    let done = self.released(caller, &key, asked.digest).await?;
                    // Nothing is answered before its release is durable.
                    let since = self.vouch(caller, &permit).await?;
                    return Ok(Signed { since, ..done });
                }
                Claim::Refused(why, draft) => {
                    let rights = &self.0.equipment.rights;
                    rights.refuse(caller, draft.action(), &draft.resource());
                    return Err(why);
                }
                Claim::Overtaken(_) if overtaken == AGAIN => {
                    return Err(SigningError::AuthorityChanged);
                }
                Claim::Overtaken(it) => {
                    overtaken += 1;
                    self.0.equipment.rights.authority().catch_up().await?;
                    let permit = self.permit(caller, it.draft)?;
                    let with = (it.turn, self.limited(caller, &**permit.action())?);
                    joining = self.intend(caller, permit, asked, it.batch, with)?;
                    continue;
                }
            };
            fail_point!("intent-told");
            traces::mark("intent-on-record");
            match self.finish(caller, *intent, until).await? {
                Ok(done) => return Ok(done),
                Err(_) if last => return Err(SigningError::Late),
                Err(late) => {
                    let permit = self.permit(caller, late)?;
                    let turn = Turn::default().until(until);
                    let with = (turn, self.limited(caller, &**permit.action())?);
                    joining = self.intend(caller, permit, asked, None, with)?;
                    last = true;
                }
            }
        }
    }

    /// How long a caller waits who asks for this.
    pub fn deadline(&self, own: Option<Duration>) -> Duration {
        own.map_or(self.0.deadline, |own| own.min(self.0.deadline))
    }
}
