//! What comes to a group: intents, ends, and what is handed out again.

use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::intent::Intent;
use super::{Answer, BadSignature, Checked, Draft, Prepared, Right, SigningError, SigningRequest};
use crate::audit::{Event, Leaf, Row, leaf};
use crate::callers::Caller;
use crate::custody::Turn;
use crate::id::{CallerId, IntentId};
use crate::idempotency::{Key as IdempotencyKey, RequestDigest};
use crate::limits::Reservation;
use crate::policy::Permit;

/// Whoever writes an intent holds it as attempt 1; whoever takes over raises the number.
const FIRST: i32 = 1;

pub(super) type Told<T> = oneshot::Sender<Result<T, SigningError>>;

/// Where something comes out of a group.
pub(super) struct Waiting<T>(oneshot::Receiver<Result<T, SigningError>>);

impl<T> Waiting<T> {
    fn new() -> (Told<T>, Self) {
        let (told, answer) = oneshot::channel();
        (told, Self(answer))
    }

    /// What came of it, once that is durable.
    pub(super) async fn answer(self) -> Result<T, SigningError> {
        self.0.await.map_err(|_| SigningError::Busy)?
    }
}

/// Something for a group to write.
pub(super) enum Job {
    Intend(Box<Intend>),
    End(Box<End>),
    HandOut(Box<HandOut>),
}

impl Job {
    /// On whose behalf, if on anybody's.
    pub(super) fn credential(&self) -> Option<Uuid> {
        match self {
            Self::Intend(intend) => Some(intend.right.credential()),
            Self::End(end) => end.right.map(|right| right.credential()),
            Self::HandOut(out) => Some(out.right.credential()),
        }
    }

    /// What it adds to the log.
    pub(super) fn leaf(&self) -> &Row {
        match self {
            Self::Intend(intend) => &intend.leaf,
            Self::End(end) => &end.leaf,
            Self::HandOut(out) => &out.leaf,
        }
    }

    /// Tells whoever waits that nothing came of it.
    pub(super) fn fail(self, why: SigningError) {
        match self {
            Self::Intend(intend) => drop(intend.told.send(Err(why))),
            Self::End(end) => drop(end.told.send(Err(why))),
            Self::HandOut(out) => drop(out.told.send(Err(why))),
        }
    }
}

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
    Taken(IdempotencyKey, Box<Permit<Box<dyn Draft>>>),
    /// What decides was tightened since it was permitted: to be asked for anew.
    Overtaken(Box<Overtaken>),
    /// A limit stands in the way of it.
    Refused(SigningError, Box<dyn Draft>),
}

/// What has to be permitted anew before it goes on record.
pub(super) struct Overtaken {
    pub(super) draft: Box<dyn Draft>,
    pub(super) batch: Option<Arc<BatchKey>>,
    pub(super) turn: Turn,
}

/// A permit that is to be put on record.
pub(super) struct Intend {
    pub(super) id: IntentId,
    pub(super) caller: CallerId,
    pub(super) right: Right,
    pub(super) permit: Permit<Box<dyn Draft>>,
    pub(super) prepared: Prepared,
    pub(super) request: RequestDigest,
    pub(super) idempotency: Option<IdempotencyKey>,
    /// The batch that it is part of.
    pub(super) batch: Option<Arc<BatchKey>>,
    /// What the device promised.
    pub(super) turn: Turn,
    /// What it asks of counters.
    pub(super) reservation: Reservation,
    pub(super) leaf: Row,
    pub(super) told: Told<Claim>,
}

/// The key and the request of a whole batch.
pub(super) struct BatchKey {
    pub(super) key: IdempotencyKey,
    pub(super) request: RequestDigest,
}

impl Intend {
    /// A permit on its way to the record, and where its claim comes out. What is signed is worked out
    /// here and now.
    pub(super) fn new(
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &SigningRequest,
        batch: Option<Arc<BatchKey>>,
        (turn, reservation): (Turn, Reservation),
        policy: [u8; 32],
        now_ms: i64,
    ) -> (Self, Waiting<Claim>) {
        let (told, waiting) = Waiting::new();
        let id = IntentId::new();
        let draft = permit.action();
        let prepared = draft.prepare(now_ms);
        let leaf = leaf::Intent {
            intent: id.uuid(),
            operation: draft.operation().to_owned(),
            caller: caller.id.uuid(),
            credential: caller.credential,
            subject: draft.subject(),
            key: draft.key().id.uuid(),
            key_epoch: draft.key().epoch,
            policy,
            request_digest: asked.digest.0,
            idempotency_key: asked.idempotency.as_ref().map(ToString::to_string),
            digest: prepared.digest,
            record: prepared.record.to_string(),
            credential_kind: caller.kind.in_leaf(),
        };
        let intend = Self {
            id,
            caller: caller.id,
            right: Right::to(&permit, caller),
            leaf: Row::new(&Leaf::new(now_ms, Event::Intent(Box::new(leaf)))),
            prepared,
            permit,
            request: asked.digest,
            idempotency: asked.idempotency.clone(),
            batch,
            turn,
            reservation,
            told,
        };
        (intend, waiting)
    }
}

/// How an intent is to end.
pub(super) enum How {
    Released(Box<Release>),
    /// The device gave a signature that must not leave: the key is suspended in the same transaction.
    Alarmed(BadSignature),
    /// A right was taken away meanwhile.
    Refused(SigningError),
    /// Too little of its life was left.
    Late,
    Abandoned(&'static str),
}

/// What is recorded of a signature that leaves.
pub(super) struct Release {
    /// `r`, where there is one.
    pub(super) r: Option<[u8; 32]>,
    pub(super) signature_hash: [u8; 32],
    pub(super) answer_hash: [u8; 32],
    pub(super) stored: Vec<u8>,
    pub(super) sealed: bool,
    pub(super) digest: [u8; 32],
    pub(super) alias: Option<[u8; 32]>,
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
        Self::Released(Box::new(Release {
            r: checked.r(),
            signature_hash: checked.hash(),
            answer_hash: Sha256::digest(&answer.body).into(),
            stored,
            sealed: answer.is_secret,
            digest: intent.prepared.digest,
            alias: intent.prepared.alias,
            expires_at: intent.prepared.expires_at,
            before_ms: intent.prepared.release_before_ms,
        }))
    }

    /// Why there is no signature.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Released(_) => None,
            Self::Alarmed(BadSignature::RepeatedR) => Some("repeated-r"),
            Self::Alarmed(_) => Some("bad-signature"),
            Self::Refused(why) => Some(why.reason()),
            Self::Late => Some("late"),
            Self::Abandoned(reason) => Some(reason),
        }
    }
}

/// How an intent did end.
pub(super) enum Ended {
    /// As asked; it was not durable before this.
    AsAsked(Instant),
    /// Abandoned instead of released: too little of its life was left.
    Late,
    /// By somebody else, after the lease.
    Lost,
    /// Refused instead of released: a right was taken away meanwhile.
    Refused(SigningError),
    /// Not yet: what decides was tightened since it was permitted. As it was to end.
    Overtaken(How),
}

/// What is recorded of how the device was asked.
#[derive(Clone, Default)]
struct OfDevice {
    /// How often, where that was more than once.
    tries: Option<u32>,
    /// What it calls the request that it answered.
    request: Option<String>,
}

/// The end of an intent.
pub(super) struct End {
    pub(super) intent: IntentId,
    /// Who holds the intent.
    pub(super) attempt: i32,
    /// The right under which it is released; nobody's where it was taken over.
    pub(super) right: Option<Right>,
    pub(super) how: How,
    asked: OfDevice,
    pub(super) leaf: Row,
    pub(super) told: Told<Ended>,
}

impl End {
    /// The end of an intent that its first holder has brought about, and where it comes out.
    pub(super) fn new(intent: &Intent, how: How, now_ms: i64) -> (Self, Waiting<Ended>) {
        let tries = &intent.permit.get().action().tries;
        let asked = OfDevice {
            tries: tries.repeated(),
            request: tries.request(),
        };
        Self::by(intent.id, FIRST, Some(intent.right), asked, how, now_ms)
    }

    /// The end of an intent that was taken over.
    pub(super) fn after_lease(intent: IntentId, attempt: i32, now_ms: i64) -> Self {
        let how = How::Abandoned("lease-ran-out");
        let asked = OfDevice::default(); // whoever counted is gone
        Self::by(intent, attempt, None, asked, how, now_ms).0
    }

    fn by(
        intent: IntentId,
        attempt: i32,
        right: Option<Right>,
        asked: OfDevice,
        how: How,
        now_ms: i64,
    ) -> (Self, Waiting<Ended>) {
        let (told, waiting) = Waiting::new();
        let leaf = leaf(intent, attempt, &asked, &how, now_ms);
        let end = Self {
            intent,
            attempt,
            right,
            how,
            asked,
            leaf,
            told,
        };
        (end, waiting)
    }

    /// The same intent is to end in another way.
    #[must_use]
    pub(super) fn otherwise(self, how: How, now_ms: i64) -> Self {
        let leaf = leaf(self.intent, self.attempt, &self.asked, &how, now_ms);
        Self { how, leaf, ..self }
    }

    /// Tells whoever waits how it ended, as it was asked.
    pub(super) fn tell(self, since: Instant) {
        let ended = match self.how {
            How::Released(_) | How::Abandoned(_) => Ended::AsAsked(since),
            How::Late => Ended::Late,
            How::Alarmed(bad) => Ended::Refused(bad.into()),
            How::Refused(why) => Ended::Refused(why),
        };
        drop(self.told.send(Ok(ended)));
    }
}

fn leaf(intent: IntentId, attempt: i32, asked: &OfDevice, how: &How, now_ms: i64) -> Row {
    let (tries, device_request) = (asked.tries, asked.request.clone());
    let end = |device_request| leaf::End {
        intent: intent.uuid(),
        attempt,
        reason: how.reason().unwrap_or_default().to_owned(),
        tries,
        device_request,
    };
    let event = match how {
        How::Released(release) => Event::Released(leaf::Release {
            intent: intent.uuid(),
            attempt,
            signature_hash: release.signature_hash,
            answer_hash: release.answer_hash,
            tries,
            device_request,
        }),
        How::Alarmed(_) | How::Refused(_) => Event::Refused(end(device_request)),
        How::Late | How::Abandoned(_) => Event::Abandoned(end(device_request)),
    };
    Row::new(&Leaf::new(now_ms, event))
}

/// Something that was signed for earlier, on its way to a caller.
pub(super) struct HandOut {
    pub(super) right: Right,
    /// What it asks of counters.
    pub(super) reservation: Reservation,
    pub(super) leaf: Row,
    pub(super) told: Told<Instant>,
}

impl HandOut {
    /// It, and where it is told since when at the earliest its leaf is durable.
    pub(super) fn new(
        right: Right,
        reservation: Reservation,
        event: Event,
        now_ms: i64,
    ) -> (Self, Waiting<Instant>) {
        let (told, waiting) = Waiting::new();
        let leaf = Row::new(&Leaf::new(now_ms, event));
        let out = Self {
            right,
            reservation,
            leaf,
            told,
        };
        (out, waiting)
    }
}
