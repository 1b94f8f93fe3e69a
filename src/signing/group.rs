//! Group commit: intents and releases of concurrent requests share a transaction.
//!
//! While one group commits, the next one fills; whoever is waiting goes with it, and nobody waits
//! for a timer. Inside a group nothing raises: the rows that statements return are the verdicts. If
//! a group aborts all the same, its rows go again caller by caller, and only those of a caller whose rows
//! abort again go one by one: one caller's trouble costs the others a second call, and never more.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::intent::Intent;
use super::queue::{Reminder, Sender, Who, queue};
use super::records;
use super::writer::Writer;
use super::{
    Answer, Asked, BadSignature, Checked, Draft, Equipment, Right, Settings, SigningError,
};
use crate::audit::{Event, Log};
use crate::callers::Caller;
use crate::custody::{Payload, Turn};
use crate::fail_point;
use crate::id::IntentId;
use crate::idempotency::{self, Key as IdempotencyKey, RequestDigest};
use crate::policy::Permit;

/// How often intents are looked for whose lease has run out.
const SWEEP: Duration = Duration::from_millis(500);

/// After how many of these looks expired idempotency keys are forgotten.
const SWEEPS_TO_FORGET: u64 = 120;

/// Whose line takes what no caller's is.
const NOBODY: Who = None;

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Group(Sender<Entry>);

/// What comes to the writer at once.
pub(super) enum Entry {
    One(Job),
    /// Shares one group.
    Together(Vec<Intend>),
}

impl Entry {
    /// Adds its jobs to a group.
    pub(super) fn join(self, jobs: &mut Vec<Job>) {
        match self {
            Self::One(job) => jobs.push(job),
            Self::Together(intends) => {
                jobs.extend(intends.into_iter().map(|it| Job::Intend(Box::new(it))));
            }
        }
    }
}

/// What a permit met in its group.
pub(super) enum Claim {
    /// Nobody has asked this before, or nothing came of it.
    Fresh(Box<Intent>),
    /// The idempotency key is taken.
    Taken(IdempotencyKey),
}

/// How an intent is to end.
pub(super) enum How {
    Released(Box<Release>),
    /// The device gave a signature that must not leave: the key is suspended in the same transaction.
    Alarmed(BadSignature),
    Abandoned(&'static str),
}

/// What is recorded of a signature that leaves.
pub(super) struct Release {
    /// `r`, and the digest that it was used for.
    pub(super) point: Option<([u8; 32], [u8; 32])>,
    pub(super) signature_hash: [u8; 32],
    pub(super) answer_hash: [u8; 32],
    pub(super) stored: Vec<u8>,
    pub(super) sealed: bool,
    pub(super) order_hash: Option<[u8; 32]>,
    pub(super) expires_at: Option<time::OffsetDateTime>,
    pub(super) before_ms: Option<i64>,
}

impl How {
    /// A release, with the answer as it is stored.
    pub(super) fn released(
        intent: &Intent,
        checked: &Checked,
        answer: &Answer,
        stored: Vec<u8>,
    ) -> Self {
        let digest = match &intent.permit.get().action().payload {
            Payload::Digest(digest) => Some(*digest),
            Payload::Message(_) | Payload::Hmac { .. } => None,
        };
        Self::Released(Box::new(Release {
            point: checked.r().zip(digest),
            signature_hash: checked.hash(),
            answer_hash: Sha256::digest(&answer.body).into(),
            stored,
            sealed: answer.is_secret,
            order_hash: intent.prepared.order_hash,
            expires_at: intent.prepared.expires_at,
            before_ms: intent.prepared.release_before_ms,
        }))
    }
}

/// How an intent did end.
pub(super) enum Ended {
    /// As asked.
    AsAsked,
    /// Abandoned instead of released: too little of its life was left.
    Late,
    /// By somebody else, after the lease.
    Lost,
    /// Refused instead of released: a right was taken away meanwhile.
    Refused(SigningError),
}

pub(super) type Told<T> = oneshot::Sender<Result<T, SigningError>>;

pub(super) enum Job {
    Intend(Box<Intend>),
    End(Box<End>),
    HandOut(Box<HandOut>),
    Sweep,
}

impl Job {
    /// On whose behalf, if on anybody's.
    pub(super) fn credential(&self) -> Option<Uuid> {
        match self {
            Self::Intend(intend) => Some(intend.right.credential()),
            Self::End(end) => Some(end.right.credential()),
            Self::HandOut(out) => Some(out.right.credential()),
            Self::Sweep => None,
        }
    }
}

/// Something that was signed for earlier, on its way to a caller.
pub(super) struct HandOut {
    pub(super) right: Right,
    pub(super) event: Event,
    pub(super) told: Told<()>,
}

pub(super) struct Intend {
    pub(super) id: IntentId,
    pub(super) caller: Caller,
    pub(super) right: Right,
    pub(super) permit: Permit<Box<dyn Draft>>,
    pub(super) request: RequestDigest,
    pub(super) idempotency: Option<IdempotencyKey>,
    /// The batch that it is part of.
    pub(super) batch: Option<Arc<BatchKey>>,
    /// What the device promised.
    pub(super) turn: Turn,
    pub(super) told: Told<Claim>,
}

/// The key and the request of a whole batch.
pub(super) struct BatchKey {
    pub(super) key: IdempotencyKey,
    pub(super) request: RequestDigest,
}

/// A permit on its way into a group.
pub(super) struct Joining(oneshot::Receiver<Result<Claim, SigningError>>);

impl Joining {
    /// What it met there.
    pub(super) async fn claim(self) -> Result<Claim, SigningError> {
        self.0.await.map_err(|_| SigningError::Busy)?
    }
}

impl Intend {
    /// A permit that is to be put on record, and where its claim comes out.
    pub(super) fn new(
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &Asked,
        batch: Option<Arc<BatchKey>>,
        turn: Turn,
    ) -> (Self, Joining) {
        let (told, answer) = oneshot::channel();
        let intend = Self {
            id: IntentId::new(),
            caller: caller.clone(),
            right: Right::to(&**permit.action(), caller.credential),
            permit,
            request: asked.digest,
            idempotency: asked.idempotency.clone(),
            batch,
            turn,
            told,
        };
        (intend, Joining(answer))
    }
}

pub(super) struct End {
    pub(super) intent: IntentId,
    pub(super) right: Right,
    pub(super) how: How,
    /// How often the device was asked, where that was more than once.
    pub(super) tries: Option<u32>,
    pub(super) told: Told<Ended>,
}

impl Group {
    /// Starts the writer, which runs until the last handle is gone.
    pub(super) fn start(
        settings: &Settings,
        keep: &idempotency::Settings,
        equipment: &Equipment,
    ) -> Self {
        let room = usize::try_from(settings.queue.get()).unwrap_or(usize::MAX);
        let (send, receive) = queue(room);
        let writer = Writer::new(settings, keep, equipment);
        equipment.tasks.spawn(writer.run(receive));
        let sweep = sweep(send.downgrade(), equipment.log.clone());
        equipment.tasks.spawn(sweep);
        Self(send)
    }

    /// Sends an intent to be put on record, or to find what its idempotency key stands for.
    pub(super) fn intend(
        &self,
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &Asked,
        turn: Turn,
    ) -> Result<Joining, SigningError> {
        let (intend, joining) = Intend::new(caller, permit, asked, None, turn);
        self.0
            .try_send(
                Some(caller.id),
                Entry::One(Job::Intend(Box::new(intend))),
                1,
            )
            .map_err(|_| SigningError::Busy)?;
        fail_point!("intent-joined");
        Ok(joining)
    }

    /// Sends intents to be put on record in one group.
    pub(super) fn intend_all(
        &self,
        caller: &Caller,
        intends: Vec<Intend>,
    ) -> Result<(), SigningError> {
        let orders = u64::try_from(intends.len()).unwrap_or(u64::MAX);
        self.0
            .try_send(Some(caller.id), Entry::Together(intends), orders)
            .map_err(|_| SigningError::Busy)?;
        fail_point!("intent-joined");
        Ok(())
    }

    /// Ends an intent, for which there is always room: an intent that got in must get out.
    pub(super) async fn end(&self, intent: &Intent, how: How) -> Result<Ended, SigningError> {
        let (told, answer) = oneshot::channel();
        let job = End {
            intent: intent.id,
            right: intent.right,
            how,
            tries: intent.permit.get().action().tries.repeated(),
            told,
        };
        let caller = intent.permit.get().action().caller;
        self.0
            .send(Some(caller), Entry::One(Job::End(Box::new(job))))
            .map_err(|_| SigningError::Busy)?;
        fail_point!("release-joined");
        answer.await.map_err(|_| SigningError::Busy)?
    }

    /// Whether the writer still runs.
    pub(super) fn is_alive(&self) -> bool {
        self.0.is_open()
    }

    /// Adds the leaf of something that is handed out, if the right to it still holds.
    pub(super) async fn hand_out(
        &self,
        caller: &Caller,
        right: Right,
        event: Event,
    ) -> Result<(), SigningError> {
        let (told, answer) = oneshot::channel();
        let job = HandOut { right, event, told };
        self.0
            .try_send(Some(caller.id), Entry::One(Job::HandOut(Box::new(job))), 1)
            .map_err(|_| SigningError::Busy)?;
        answer.await.map_err(|_| SigningError::Busy)?
    }
}

/// Asks for a sweep when there is something to sweep, until the group is gone.
async fn sweep(group: Reminder<Entry>, log: Log) {
    for round in 1_u64.. {
        tokio::time::sleep(SWEEP).await;
        let Some(group) = group.upgrade() else { return };
        if records::any_overdue(log.ledger()).await.unwrap_or(false) {
            drop(group.try_send(NOBODY, Entry::One(Job::Sweep), 1));
        }
        if round % SWEEPS_TO_FORGET == 0
            && let Err(error) = idempotency::records::forget_expired(10_000, log.ledger()).await
        {
            tracing::debug!(%error, "expired idempotency keys stay a while longer");
        }
    }
}
