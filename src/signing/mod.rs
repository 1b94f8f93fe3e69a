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
mod finish;
mod group;
mod intent;
mod job;
mod measures;
mod packed;
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
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::audit::Log;
use crate::callers::Caller;
use crate::clock::Clock;
use crate::custody::{Turn, Vault};
use crate::evidence::Evidence;
use crate::fail_point;
use crate::idempotency;
use crate::keys::Keys;
use crate::limits::{Limiter, Reservation};
use crate::metrics::Family;
use crate::policy::{Permit, Rights};
use crate::sealing::Keyring;
use crate::traces;
pub use check::{BadSignature, Checked};
pub use draft::{Answer, Draft, Jti, Prepared, RESCUE};
pub use dry_run::DryRun;
use group::{Group, Joining};
use job::{BatchKey, Claim, Intend};
use measures::Measures;
pub(crate) use packed::unpack;
pub use refusal::{SameRequest, SigningError};
pub use request::{Asked, AskedTogether, Held, LARGEST_BATCH, Signed};
pub use right::{Business, Right};
pub use settings::Settings;

/// How often it is decided again for one request, each time because what decides was tightened meanwhile.
const AGAIN: u32 = 8;

/// Signs. Cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

/// What a signer works with.
pub struct Equipment {
    /// Who may do what.
    pub rights: Rights,
    /// How much of it.
    pub limits: Limiter,
    /// The devices.
    pub vault: Arc<Vault>,
    /// The keys: one whose device signs something else is suspended.
    pub keys: Keys,
    /// Where evidence goes.
    pub log: Log,
    /// Whether it is published in time.
    pub evidence: Evidence,
    /// Seals answers that are credentials.
    pub sealing: Arc<Keyring>,
    /// The time.
    pub clock: Clock,
    /// Where work runs that outlives its request.
    pub tasks: TaskTracker,
}

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
        asked: Asked,
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
        asked: &Asked,
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

    /// The policy's permit, where anything is signed now and it is known what the time is.
    fn permitted(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
    ) -> Result<Permit<Box<dyn Draft>>, SigningError> {
        self.0.equipment.evidence.is_current()?;
        let permit = self.permit(caller, draft)?;
        match self.0.equipment.clock.off_by_ms() {
            Some(ahead_ms) if permit.action().tells_the_time() => {
                Err(SigningError::ClockOff(ahead_ms))
            }
            _ => Ok(permit),
        }
    }

    /// Asks for a draft whose key is as it was read.
    fn permit(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
    ) -> Result<Permit<Box<dyn Draft>>, SigningError> {
        let permit = self.0.equipment.rights.permit(caller, draft)?;
        if permit.is_outdated() {
            return Err(SigningError::KeyEpochChanged); // whoever asks reads it anew
        }
        Ok(permit)
    }

    /// What it takes besides a permit: a turn at the device, and room within the limits.
    async fn may_begin(
        &self,
        caller: &Caller,
        permit: &Permit<Box<dyn Draft>>,
        until: Instant,
    ) -> Result<(Turn, Reservation), SigningError> {
        let turn = self.ready(caller, permit, until).await?;
        Ok((turn, self.limited(caller, &**permit.action())?))
    }

    /// Sends what is permitted to be put on record.
    fn intend(
        &self,
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &Asked,
        batch: Option<Arc<BatchKey>>,
        with: (Turn, Reservation),
    ) -> Result<Joining, SigningError> {
        let (intend, joining) = self.intent_of(caller, permit, asked, batch, with);
        self.0.group.intend(intend)?;
        Ok(joining)
    }

    fn intent_of(
        &self,
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &Asked,
        batch: Option<Arc<BatchKey>>,
        with: (Turn, Reservation),
    ) -> (Intend, Joining) {
        let now_ms = self.0.equipment.clock.unix_ms();
        let policy = self.policy_digest();
        Intend::new(caller, permit, asked, batch, with, policy, now_ms)
    }

    /// What a draft asks of counters, unless a limit stands in the way. It is looked at after the permit, so
    /// that limits which are tightened in between are decided by again.
    fn limited(&self, caller: &Caller, draft: &dyn Draft) -> Result<Reservation, SigningError> {
        let Equipment {
            limits,
            clock,
            rights,
            ..
        } = &self.0.equipment;
        let book = limits.book()?;
        let decided = book.decide(caller.id, draft.key().id, &draft.limited(), clock.unix_ms());
        decided.map_err(|exceeded| {
            rights.refuse(caller, draft.action(), &draft.resource());
            exceeded.into()
        })
    }

    /// Follows an intent to its end.
    async fn follow(
        &self,
        caller: &Caller,
        mut joining: Joining,
        asked: &Asked,
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

    /// SHA-256 of the policy that decides, as leaves have it.
    pub fn policy_digest(&self) -> [u8; 32] {
        self.0.equipment.rights.policy_digest()
    }

    /// What was measured, and what waits.
    pub fn measured(&self) -> Vec<Family> {
        let mut measured = self.0.measures.families();
        measured.push(Family::level(
            "chancery_group_waiting",
            "What waits to be written in a group",
            [],
            u32::try_from(self.0.group.waiting()).unwrap_or(u32::MAX),
        ));
        measured
    }

    /// How many signatures this process released; and of all that it was to sign, how many took at most so many
    /// seconds and longer than the bound before.
    pub fn totals(&self) -> (u64, Vec<(f64, u64)>) {
        self.0.measures.totals()
    }

    /// Whether groups are still written: without that nothing is signed until a restart.
    pub fn is_alive(&self) -> bool {
        self.0.group.is_alive()
    }
}
