//! Group commit: intents and releases of concurrent requests share a transaction.
//!
//! While one group commits, the next one fills; whoever is waiting goes with it, and nobody waits
//! for a timer. Inside a group nothing raises: the rows that statements return are the verdicts. If
//! a group aborts all the same, its rows go again one by one, so that one row's trouble is its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::records::{self, Standing};
use super::{Answer, Asked, Checked, Draft, Intent, Prepared, Settings, SigningError};
use crate::audit::{Batch, Committed, Event, Leaf, Log, Logged, leaf};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::custody::Sign;
use crate::fail_point;
use crate::id::{IntentId, KeyId};
use crate::idempotency::{self, Key as IdempotencyKey, RequestDigest};
use crate::ledger::{Gate, LedgerError, in_time};
use crate::policy::{Permit, Policy};

/// The most rows that share a transaction.
const GROUP: usize = 256;

/// How often intents are looked for whose lease has run out.
const SWEEP: Duration = Duration::from_millis(500);

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Group(mpsc::Sender<Job>);

/// What a permit met in its group.
pub(super) enum Claim {
    /// Nobody has asked this before, or nothing came of it.
    Fresh(Intent),
    /// The idempotency key is taken.
    Standing(IdempotencyKey),
}

/// How an intent is to end.
pub(super) enum How {
    Released(Box<Release>),
    Refused(&'static str),
    Abandoned(&'static str),
}

/// What is recorded of a signature that leaves.
pub(super) struct Release {
    pub(super) signature_hash: [u8; 32],
    pub(super) answer_hash: [u8; 32],
    pub(super) stored: Vec<u8>,
    pub(super) sealed: bool,
    pub(super) order_hash: Option<[u8; 32]>,
    pub(super) expires_at: Option<time::OffsetDateTime>,
    release_before_ms: Option<i64>,
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
            signature_hash: checked.hash(),
            answer_hash: Sha256::digest(&answer.body).into(),
            stored,
            sealed: answer.is_secret,
            order_hash: intent.prepared.order_hash,
            expires_at: intent.prepared.expires_at,
            release_before_ms: intent.prepared.release_before_ms,
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

type Told<T> = oneshot::Sender<Result<T, SigningError>>;

enum Job {
    Intend(Box<Intend>),
    End(Box<End>),
    Note(Box<Leaf>),
    Sweep,
}

struct Intend {
    id: IntentId,
    caller: Caller,
    permit: Permit<Box<dyn Draft>>,
    request: RequestDigest,
    idempotency: Option<IdempotencyKey>,
    told: Told<Claim>,
}

struct End {
    intent: IntentId,
    key: KeyId,
    key_epoch: i64,
    credential: Uuid,
    how: How,
    told: Told<Ended>,
}

/// What a group decided on one job; told once the group is durable.
enum Verdict {
    Intended(Box<Prepared>),
    Standing,
    Ended(Ended),
    Refused(SigningError),
    Nothing,
}

impl Group {
    /// Starts the writer, which runs until the last handle is gone.
    pub(super) fn start(
        settings: &Settings,
        keep: &idempotency::Settings,
        policy: &Arc<Policy>,
        log: &Log,
        clock: &Clock,
        tasks: &TaskTracker,
    ) -> Self {
        let (send, receive) = mpsc::channel(settings.queue.max(1));
        let writer = Writer {
            log: log.clone(),
            clock: clock.clone(),
            policy: policy.digest(),
            lease_ms: settings.lease_ms,
            keep_hours: keep.keep_hours,
        };
        tasks.spawn(writer.run(receive));
        tasks.spawn(sweep(send.downgrade(), log.clone()));
        Self(send)
    }

    /// Puts an intent on record, or finds what its idempotency key stands for.
    pub(super) async fn intend(
        &self,
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &Asked,
    ) -> Result<Claim, SigningError> {
        let (told, answer) = oneshot::channel();
        let job = Intend {
            id: IntentId::new(),
            caller: caller.clone(),
            permit,
            request: asked.digest,
            idempotency: asked.idempotency.clone(),
            told,
        };
        self.0
            .try_send(Job::Intend(Box::new(job)))
            .map_err(|_| SigningError::Busy)?;
        fail_point!("intent-joined");
        answer.await.map_err(|_| SigningError::Busy)?
    }

    /// Ends an intent. Waits where the queue is full: an intent that got in must get out.
    pub(super) async fn end(&self, intent: &Intent, how: How) -> Result<Ended, SigningError> {
        let (told, answer) = oneshot::channel();
        let key = intent.draft.key();
        let job = End {
            intent: intent.id,
            key: key.id,
            key_epoch: key.epoch,
            credential: intent.credential,
            how,
            told,
        };
        self.0
            .send(Job::End(Box::new(job)))
            .await
            .map_err(|_| SigningError::Busy)?;
        fail_point!("release-joined");
        answer.await.map_err(|_| SigningError::Busy)?
    }

    /// Adds a leaf with the next group. A full queue drops it.
    pub(super) fn note(&self, leaf: Leaf) {
        drop(self.0.try_send(Job::Note(Box::new(leaf))));
    }
}

/// Asks for a sweep when there is something to sweep, until the group is gone.
async fn sweep(group: mpsc::WeakSender<Job>, log: Log) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(group) = group.upgrade() else { return };
        if records::any_overdue(log.ledger()).await.unwrap_or(false) {
            drop(group.try_send(Job::Sweep));
        }
        if let Err(error) = idempotency::records::forget_expired(1_000, log.ledger()).await {
            tracing::debug!(%error, "expired idempotency keys stay a while longer");
        }
    }
}

/// The one task that writes groups.
struct Writer {
    log: Log,
    clock: Clock,
    policy: [u8; 32],
    lease_ms: u64,
    keep_hours: u32,
}

impl Writer {
    async fn run(self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(GROUP);
        while queue.recv_many(&mut jobs, GROUP).await > 0 {
            match self.write(&jobs).await {
                Ok((verdicts, proof)) => tell_all(jobs.drain(..), verdicts, &proof),
                Err(error) if jobs.len() > 1 && is_one_rows_trouble(&error) => {
                    tracing::warn!(%error, rows = jobs.len(), "a group aborted; its rows go one by one");
                    for job in jobs.drain(..) {
                        let job = [job];
                        match self.write(&job).await {
                            Ok((verdicts, proof)) => tell_all(job, verdicts, &proof),
                            Err(error) => job.into_iter().for_each(|job| fail(job, &error)),
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, rows = jobs.len(), "a group was not committed");
                    jobs.drain(..).for_each(|job| fail(job, &error));
                }
            }
        }
    }

    /// One group: one transaction.
    async fn write(&self, jobs: &[Job]) -> Result<(Vec<Verdict>, Committed), LedgerError> {
        let mut batch = self.log.begin(Gate::Shared).await?;
        let mut verdicts: Vec<Verdict> = jobs.iter().map(|_| Verdict::Nothing).collect();
        match in_time(self.decide(jobs, &mut verdicts, &mut batch)).await {
            Ok(()) => {}
            Err(error) => {
                batch.abandon().await;
                return Err(error);
            }
        }
        if jobs.iter().any(|job| matches!(job, Job::Intend(_))) {
            fail_point!("intent-before-commit");
        }
        if jobs.iter().any(|job| matches!(job, Job::End(_))) {
            fail_point!("release-before-commit");
        }
        let proof = batch.commit().await?;
        if jobs.iter().any(|job| matches!(job, Job::Intend(_))) {
            fail_point!("intent-after-commit");
        }
        if jobs.iter().any(|job| matches!(job, Job::End(_))) {
            fail_point!("release-after-commit");
        }
        Ok((verdicts, proof))
    }

    async fn decide(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        batch: &mut Batch,
    ) -> Result<(), LedgerError> {
        let now_ms = self.clock.unix_ms();
        let standing = self.standing(jobs, batch).await?;
        self.end(jobs, verdicts, &standing, now_ms, batch).await?;
        self.intend(jobs, verdicts, &standing, now_ms, batch)
            .await?;
        for job in jobs {
            match job {
                Job::Note(leaf) => batch.add(leaf),
                Job::Sweep => {
                    for (intent, attempt) in records::abandon_overdue(batch.tx()).await? {
                        let reason = "lease-ran-out".to_owned();
                        let end = leaf::End {
                            intent: intent.uuid(),
                            attempt,
                            reason,
                        };
                        batch.add(&Leaf::new(now_ms, Event::Abandoned(end)));
                    }
                }
                Job::Intend(_) | Job::End(_) => {}
            }
        }
        Ok(())
    }

    /// How keys and callers of this group stand now, behind the gate.
    async fn standing(&self, jobs: &[Job], batch: &mut Batch) -> Result<Standing, LedgerError> {
        let mut keys = HashSet::new();
        let mut credentials = HashSet::new();
        for job in jobs {
            match job {
                Job::Intend(intend) => {
                    keys.insert(intend.permit.action().key().id);
                    credentials.insert(intend.caller.credential);
                }
                Job::End(end) if matches!(end.how, How::Released(_)) => {
                    keys.insert(end.key);
                    credentials.insert(end.credential);
                }
                _ => {}
            }
        }
        if keys.is_empty() {
            return Ok(Standing::default());
        }
        records::standing(keys, credentials, batch.tx()).await
    }

    async fn intend(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        standing: &Standing,
        now_ms: i64,
        batch: &mut Batch,
    ) -> Result<(), LedgerError> {
        // The first with an idempotency key goes ahead; its twins in this group find it standing.
        let mut claims = BTreeMap::new();
        let mut fresh: Vec<(usize, &Intend)> = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let Job::Intend(intend) = job else { continue };
            let key = intend.permit.action().key();
            if let Err(refused) = standing.allows(key.id, key.epoch, intend.caller.credential) {
                verdicts[at] = Verdict::Refused(refused);
            } else if let Some(idempotency) = &intend.idempotency {
                verdicts[at] = Verdict::Standing;
                claims
                    .entry((intend.caller.id, idempotency))
                    .or_insert((at, &**intend));
            } else {
                fresh.push((at, intend));
            }
        }
        if !claims.is_empty() {
            let rows: Vec<_> = claims
                .iter()
                .map(|((caller, key), (_, intend))| idempotency::records::Claim {
                    caller: *caller,
                    key,
                    request: intend.request,
                    intent: intend.id,
                })
                .collect();
            let won: HashSet<_> = idempotency::records::claim(&rows, self.keep_hours, batch.tx())
                .await?
                .into_iter()
                .collect();
            fresh.extend(
                claims
                    .values()
                    .filter(|(_, intend)| won.contains(&intend.id))
                    .copied(),
            );
        }
        if fresh.is_empty() {
            return Ok(());
        }

        let mut rows = Vec::with_capacity(fresh.len());
        for (at, intend) in fresh {
            let draft = intend.permit.action();
            let prepared = draft.prepare(now_ms);
            let intent = leaf::Intent {
                intent: intend.id.uuid(),
                operation: draft.operation().to_owned(),
                caller: intend.caller.id.uuid(),
                credential: intend.caller.credential,
                subject: draft.subject(),
                key: draft.key().id.uuid(),
                key_epoch: draft.key().epoch,
                policy: self.policy,
                request_digest: intend.request.0,
                idempotency_key: intend.idempotency.as_ref().map(ToString::to_string),
                digest: prepared.digest,
                record: prepared.record.to_string(),
            };
            rows.push((intent.clone(), prepared.record.clone(), prepared.jti));
            batch.add(&Leaf::new(now_ms, Event::Intent(Box::new(intent))));
            verdicts[at] = Verdict::Intended(Box::new(prepared));
        }
        records::insert_intents(rows, self.lease_ms, batch.tx()).await
    }

    async fn end(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        standing: &Standing,
        now_ms: i64,
        batch: &mut Batch,
    ) -> Result<(), LedgerError> {
        let mut ends = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let Job::End(end) = job else { continue };
            let (outcome, verdict) = match &end.how {
                How::Refused(reason) => (Outcome::Refused(reason), Ended::AsAsked),
                How::Abandoned(reason) => (Outcome::Abandoned(reason), Ended::AsAsked),
                How::Released(release) => {
                    let late = release
                        .release_before_ms
                        .is_some_and(|limit| now_ms > limit);
                    match standing.allows(end.key, end.key_epoch, end.credential) {
                        Err(why) => (Outcome::Refused(why.reason()), Ended::Refused(why)),
                        Ok(()) if late => (Outcome::Abandoned("late"), Ended::Late),
                        Ok(()) => (Outcome::Released(release), Ended::AsAsked),
                    }
                }
            };
            ends.push((at, end.intent, outcome));
            verdicts[at] = Verdict::Ended(verdict);
        }
        if ends.is_empty() {
            return Ok(());
        }
        ends.sort_by_key(|(_, intent, _)| *intent); // one order of locks for all replicas
        let rows: Vec<_> = ends
            .iter()
            .map(|(_, id, outcome)| (*id, ATTEMPT, outcome))
            .collect();
        let ended = records::end_intents(&rows, batch.tx()).await?;
        let mut released = Vec::new();
        for (at, id, outcome) in &ends {
            if !ended.contains(id) {
                verdicts[*at] = Verdict::Ended(Ended::Lost);
                continue;
            }
            let intent = id.uuid();
            let end = |reason: &str| leaf::End {
                intent,
                attempt: ATTEMPT,
                reason: reason.into(),
            };
            let event = match outcome {
                Outcome::Refused(reason) => Event::Refused(end(reason)),
                Outcome::Abandoned(reason) => Event::Abandoned(end(reason)),
                Outcome::Released(release) => {
                    released.push((*id, *release));
                    Event::Released(leaf::Release {
                        intent,
                        attempt: ATTEMPT,
                        signature_hash: release.signature_hash,
                        answer_hash: release.answer_hash,
                    })
                }
            };
            batch.add(&Leaf::new(now_ms, event));
        }
        records::insert_releases(&released, batch.tx()).await
    }
}

/// Whoever writes an intent holds it as attempt 1; whoever takes over raises the number.
const ATTEMPT: i32 = 1;

/// An end, decided.
pub(super) enum Outcome<'a> {
    Released(&'a Release),
    Refused(&'a str),
    Abandoned(&'a str),
}

fn tell_all(jobs: impl IntoIterator<Item = Job>, verdicts: Vec<Verdict>, proof: &Committed) {
    for (job, verdict) in jobs.into_iter().zip(verdicts) {
        match (job, verdict) {
            (Job::Intend(intend), verdict) => {
                let Intend {
                    id,
                    caller,
                    permit,
                    idempotency,
                    told,
                    ..
                } = *intend;
                let claim = match (verdict, idempotency) {
                    (Verdict::Intended(prepared), _) => {
                        Ok(Claim::Fresh(intent(id, &caller, permit, *prepared, proof)))
                    }
                    (Verdict::Refused(why), _) => Err(why),
                    (_, Some(key)) => Ok(Claim::Standing(key)),
                    (_, None) => Err(SigningError::InFlight),
                };
                drop(told.send(claim));
            }
            (Job::End(end), Verdict::Ended(ended)) => drop(end.told.send(Ok(ended))),
            _ => {}
        }
    }
}

fn intent(
    id: IntentId,
    caller: &Caller,
    permit: Permit<Box<dyn Draft>>,
    prepared: Prepared,
    proof: &Committed,
) -> Intent {
    let (draft, permit) = permit.split(|draft| Sign {
        key: draft
            .key()
            .reference()
            .expect("a key that signs has a public key"),
        payload: prepared.payload.clone(),
    });
    let permit = Logged::new(permit, proof);
    Intent {
        id,
        draft,
        prepared,
        permit,
        credential: caller.credential,
    }
}

fn is_one_rows_trouble(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Violation(_) | LedgerError::Aborted(_))
}

fn fail(job: Job, error: &LedgerError) {
    let copy = || match error {
        LedgerError::OutcomeUnknown => LedgerError::OutcomeUnknown,
        other => LedgerError::Unavailable(other.to_string()),
    };
    match job {
        Job::Intend(intend) => drop(intend.told.send(Err(copy().into()))),
        Job::End(end) => drop(end.told.send(Err(copy().into()))),
        Job::Note(_) | Job::Sweep => {}
    }
}
