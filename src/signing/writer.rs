//! The one task that writes groups.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::group::{Claim, Ended, Entry, How, Intend, Job, Release};
use super::points::{self, Point};
use super::queue::Receiver;
use super::records::{self, Standing};
use super::{BadSignature, Business, Draft, Intent, Parts, Prepared, Settings, SigningError};
use crate::audit::{Batch, Committed, Event, Leaf, Log, Logged, leaf};
use crate::callers::Caller;
use crate::clock::Clock;
use crate::credentials;
use crate::custody::{Sign, Tries, Turn};
use crate::fail_point;
use crate::id::{CallerId, IntentId, KeyId};
use crate::idempotency::{self, RequestDigest};
use crate::keys::{KeyError, Keys};
use crate::ledger::{Gate, LedgerError};
use crate::policy::Permit;

/// So many rows make a group full; a batch still joins whole.
const GROUP: usize = 256;

/// Keys to be suspended: for the signature of which intent, and what is wrong with it.
type Suspects = BTreeMap<KeyId, (IntentId, BadSignature)>;

/// What a group decided on one job; told once the group is durable.
enum Verdict {
    Intended(Box<Prepared>),
    Standing,
    Ended(Ended),
    Refused(SigningError),
    Nothing,
}

/// Writes groups, one after the other, in one transaction each.
pub(super) struct Writer {
    log: Log,
    keys: Keys,
    clock: Clock,
    policy: [u8; 32],
    lease_ms: u64,
    keep: idempotency::Settings,
}

impl Writer {
    /// A writer with these parts.
    pub(super) fn new(settings: &Settings, keep: &idempotency::Settings, parts: &Parts) -> Self {
        Self {
            log: parts.log.clone(),
            keys: parts.keys.clone(),
            clock: parts.clock.clone(),
            policy: parts.policy.digest(),
            lease_ms: settings.lease_ms.get(),
            keep: keep.clone(),
        }
    }

    /// Writes until the last handle of the queue is gone.
    pub(super) async fn run(self, mut queue: Receiver<Entry>) {
        let mut jobs = Vec::with_capacity(GROUP);
        while let Some(first) = queue.recv().await {
            first.join(&mut jobs);
            while jobs.len() < GROUP
                && let Some(next) = queue.try_recv()
            {
                next.join(&mut jobs);
            }
            match self.write(&jobs).await {
                Ok((verdicts, proof)) => tell_all(jobs.drain(..), verdicts, &proof),
                Err(error) if jobs.len() > 1 && is_one_rows_trouble(&error) => {
                    tracing::warn!(%error, rows = jobs.len(), "a group aborted; its rows go caller by caller");
                    let mut apart = BTreeMap::<_, Vec<_>>::new();
                    for job in jobs.drain(..) {
                        apart.entry(job.credential()).or_default().push(job);
                    }
                    for jobs in apart.into_values() {
                        self.write_apart(jobs).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, rows = jobs.len(), "a group was not committed");
                    jobs.drain(..).for_each(|job| fail(job, &error));
                }
            }
        }
    }

    /// What one caller has in a group that aborted: one transaction, and where that aborts too, one for
    /// each row.
    async fn write_apart(&self, jobs: Vec<Job>) {
        match self.write(&jobs).await {
            Ok((verdicts, proof)) => tell_all(jobs, verdicts, &proof),
            Err(error) if jobs.len() > 1 && is_one_rows_trouble(&error) => {
                tracing::warn!(%error, rows = jobs.len(), "a caller's rows aborted; they go one by one");
                for job in jobs {
                    Box::pin(self.write_apart(vec![job])).await;
                }
            }
            Err(error) => jobs.into_iter().for_each(|job| fail(job, &error)),
        }
    }

    /// One group: one transaction.
    async fn write(&self, jobs: &[Job]) -> Result<(Vec<Verdict>, Committed), LedgerError> {
        let is_alarm =
            |job: &Job| matches!(job, Job::End(end) if matches!(end.how, How::Alarmed(_)));
        if !jobs.iter().any(is_alarm)
            && let Some(done) = self.write_at(Gate::Shared, jobs).await?
        {
            return Ok(done);
        }
        let done = self.write_at(Gate::Exclusive, jobs).await?;
        done.ok_or_else(|| LedgerError::Unavailable("a key was not suspended".into()))
    }

    /// `None`: a key is to be suspended, which takes the exclusive gate, and nothing was written.
    async fn write_at(
        &self,
        gate: Gate,
        jobs: &[Job],
    ) -> Result<Option<(Vec<Verdict>, Committed)>, LedgerError> {
        let mut batch = self.log.begin(gate).await?;
        let mut verdicts: Vec<Verdict> = jobs.iter().map(|_| Verdict::Nothing).collect();
        let suspects = match self.decide(jobs, &mut verdicts, &mut batch).await {
            Ok(suspects) => suspects,
            Err(error) => {
                batch.abandon().await;
                return Err(error);
            }
        };
        if !suspects.is_empty() {
            let suspended = match gate {
                Gate::Shared => Ok(false),
                Gate::Exclusive => self.suspend(&suspects, &mut batch).await.map(|()| true),
            };
            match suspended {
                Ok(true) => {}
                Ok(false) => {
                    batch.abandon().await;
                    return Ok(None);
                }
                Err(error) => {
                    batch.abandon().await;
                    return Err(error);
                }
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
        for (key, (intent, bad)) in &suspects {
            tracing::error!(key.id = %key, intent.id = %intent, error = %bad,
                "a key is suspended: its device signed what must not leave");
        }
        Ok(Some((verdicts, proof)))
    }

    /// Suspends keys, as far as they are in a state for that, with a reason each.
    async fn suspend(&self, suspects: &Suspects, batch: &mut Batch) -> Result<(), LedgerError> {
        for (key, (intent, bad)) in suspects {
            let why = format!("{bad} (intent {intent})");
            match self.keys.suspend_by_itself(*key, &why, batch).await {
                Ok(_) => {}
                Err(KeyError::Ledger(error)) => return Err(error),
                Err(error) => {
                    return Err(LedgerError::Corrupt("keys", format!("{key}: {error}")));
                }
            }
        }
        Ok(())
    }

    async fn decide(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        batch: &mut Batch,
    ) -> Result<Suspects, LedgerError> {
        let now_ms = self.clock.unix_ms();
        let standing = self.standing(jobs, batch).await?;
        let suspects = self.end(jobs, verdicts, &standing, now_ms, batch).await?;
        self.intend(jobs, verdicts, &standing, now_ms, batch)
            .await?;
        for (at, job) in jobs.iter().enumerate() {
            match job {
                Job::Note(leaf, _) => batch.add(leaf),
                Job::HandOut(out) => {
                    let (key, epoch) = (out.key, out.key_epoch);
                    match standing.allows(key, epoch, out.credential, Business::Ordinary) {
                        Ok(()) => batch.add(&out.leaf),
                        Err(why) => verdicts[at] = Verdict::Refused(why),
                    }
                }
                Job::Sweep => {
                    for (intent, attempt) in records::abandon_overdue(batch.tx()).await? {
                        let reason = "lease-ran-out".to_owned();
                        let end = leaf::End {
                            intent: intent.uuid(),
                            attempt,
                            reason,
                            tries: None, // whoever counted them is gone
                        };
                        batch.add(&Leaf::new(now_ms, Event::Abandoned(end)));
                    }
                }
                Job::Intend(_) | Job::End(_) => {}
            }
        }
        Ok(suspects)
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
                Job::HandOut(out) => {
                    keys.insert(out.key);
                    credentials.insert(out.credential);
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
        let batches = self.claim_batches(jobs, standing, batch).await?;
        // The first with an idempotency key goes ahead; its twins in this group find it standing.
        let mut claims = BTreeMap::new();
        let mut fresh: Vec<(usize, &Intend)> = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let Job::Intend(intend) = job else { continue };
            if let Err(refused) = standing.allow(intend) {
                verdicts[at] = Verdict::Refused(refused);
            } else if !batches.cover(intend) {
                verdicts[at] = Verdict::Refused(SigningError::KeyReused);
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
                    useful: intend.permit.action().useful(),
                })
                .collect();
            let won: HashSet<_> = idempotency::records::claim(&rows, &self.keep, batch.tx())
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

        let mut fresh: Vec<_> = fresh
            .into_iter()
            .map(|(at, intend)| (at, intend, intend.permit.action().prepare(now_ms)))
            .collect();
        fresh.sort_by_key(|(_, _, prepared)| prepared.login.as_ref().map(|login| login.account));
        let mut rows = Vec::with_capacity(fresh.len());
        for (at, intend, prepared) in fresh {
            if let Some(login) = &prepared.login {
                let claim =
                    credentials::records::claim(intend.id, intend.caller.id, login, batch.tx());
                if let Err(refused) = claim.await? {
                    verdicts[at] = Verdict::Refused(refused.into());
                    continue;
                }
            }
            let draft = intend.permit.action();
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
        if rows.is_empty() {
            return Ok(());
        }
        records::insert_intents(rows, self.lease_ms, batch.tx()).await
    }

    /// Claims the keys of batches, before those of the requests in them. The first of two that are
    /// different has it.
    async fn claim_batches(
        &self,
        jobs: &[Job],
        standing: &Standing,
        batch: &mut Batch,
    ) -> Result<Batches, LedgerError> {
        let mut claims: BTreeMap<_, idempotency::records::BatchClaim<'_>> = BTreeMap::new();
        for job in jobs {
            let Job::Intend(intend) = job else { continue };
            let Some(whole) = &intend.batch else { continue };
            if standing.allow(intend).is_err() {
                continue; // and if that is all of them, the key stands for nothing
            }
            let useful = intend.permit.action().useful();
            let claim = claims
                .entry((intend.caller.id, whole.key.as_str()))
                .or_insert_with(|| idempotency::records::BatchClaim {
                    caller: intend.caller.id,
                    key: &whole.key,
                    request: whole.request,
                    useful,
                });
            claim.useful = claim.useful.max(useful);
        }
        let claims: Vec<_> = claims.into_values().collect();
        if claims.is_empty() {
            return Ok(Batches::default());
        }
        let held: HashSet<_> = idempotency::records::claim_batches(&claims, &self.keep, batch.tx())
            .await?
            .into_iter()
            .collect();
        let held = claims.into_iter().filter_map(|claim| {
            let key = (claim.caller, claim.key.as_str().to_owned());
            held.contains(&key).then_some((key, claim.request))
        });
        Ok(Batches(held.collect()))
    }

    async fn end(
        &self,
        jobs: &[Job],
        verdicts: &mut [Verdict],
        standing: &Standing,
        now_ms: i64,
        batch: &mut Batch,
    ) -> Result<Suspects, LedgerError> {
        let mut suspects = Suspects::new();
        let mut ends = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            let Job::End(end) = job else { continue };
            let (outcome, verdict) = match &end.how {
                How::Alarmed(bad) => {
                    suspects.insert(end.key, (end.intent, *bad));
                    (Outcome::Refused("bad-signature"), Ended::AsAsked)
                }
                How::Abandoned(reason) => (Outcome::Abandoned(reason), Ended::AsAsked),
                How::Released(release) => {
                    let late = release.before_ms.is_some_and(|limit| now_ms > limit);
                    match standing.allows(end.key, end.key_epoch, end.credential, end.business) {
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
            return Ok(suspects);
        }
        let repeated = self.repeated(jobs, &ends, batch).await?;
        for (at, id, outcome) in &mut ends {
            if let (true, Job::End(end)) = (repeated.contains(id), &jobs[*at]) {
                let bad = BadSignature::RepeatedR;
                suspects.insert(end.key, (*id, bad));
                *outcome = Outcome::Refused("repeated-r");
                verdicts[*at] = Verdict::Ended(Ended::Refused(bad.into()));
            }
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
            let tries = match &jobs[*at] {
                Job::End(end) => end.tries,
                _ => None,
            };
            let end = |reason: &str| leaf::End {
                intent,
                attempt: ATTEMPT,
                reason: reason.into(),
                tries,
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
                        tries,
                    })
                }
            };
            batch.add(&Leaf::new(now_ms, event));
        }
        records::insert_releases(&released, batch.tx()).await?;
        Ok(suspects)
    }

    /// Puts the `r` of what is released on record; says which intents' was used for another digest.
    async fn repeated(
        &self,
        jobs: &[Job],
        ends: &[(usize, IntentId, Outcome<'_>)],
        batch: &mut Batch,
    ) -> Result<HashSet<IntentId>, LedgerError> {
        let points: Vec<_> = ends
            .iter()
            .filter_map(|(at, id, outcome)| match (&jobs[*at], outcome) {
                (Job::End(end), Outcome::Released(release)) => {
                    let (r, digest) = release.point?;
                    let (intent, key) = (*id, end.key);
                    Some(Point {
                        intent,
                        key,
                        r,
                        digest,
                    })
                }
                _ => None,
            })
            .collect();
        points::record(&points, batch.tx()).await
    }
}

/// The batches whose key stands for them, and for nothing else.
#[derive(Default)]
struct Batches(HashMap<(CallerId, String), RequestDigest>);

impl Batches {
    /// Whether an intent is in none of another request's batches.
    fn cover(&self, intend: &Intend) -> bool {
        intend.batch.as_ref().is_none_or(|whole| {
            let key = (intend.caller.id, whole.key.to_string());
            self.0.get(&key) == Some(&whole.request)
        })
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
                    turn,
                    ..
                } = *intend;
                let claim = match (verdict, idempotency) {
                    (Verdict::Intended(prepared), _) => Ok(Claim::Fresh(Box::new(intent(
                        id,
                        &caller,
                        (permit, turn),
                        *prepared,
                        proof,
                    )))),
                    (Verdict::Refused(why), _) => Err(why),
                    (_, Some(key)) => Ok(Claim::Standing(key)),
                    (_, None) => Err(SigningError::InFlight),
                };
                drop(told.send(claim));
            }
            (Job::End(end), Verdict::Ended(ended)) => drop(end.told.send(Ok(ended))),
            (Job::HandOut(out), Verdict::Refused(why)) => drop(out.told.send(Err(why))),
            (Job::HandOut(out), _) => drop(out.told.send(Ok(()))),
            (Job::Note(_, Some(told)), _) => drop(told.send(Ok(()))),
            _ => {}
        }
    }
}

fn intent(
    id: IntentId,
    caller: &Caller,
    (permit, turn): (Permit<Box<dyn Draft>>, Turn),
    prepared: Prepared,
    proof: &Committed,
) -> Intent {
    let (draft, permit) = permit.split(|draft| Sign {
        key: draft
            .key()
            .reference()
            .expect("a key that signs has a public key"),
        payload: prepared.payload.clone(),
        caller: caller.id,
        tries: Tries::default(),
        turn,
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
    match job {
        Job::Intend(intend) => drop(intend.told.send(Err(error.again().into()))),
        Job::End(end) => drop(end.told.send(Err(error.again().into()))),
        Job::HandOut(out) => drop(out.told.send(Err(error.again().into()))),
        Job::Note(_, told) => drop(told.map(|told| told.send(Err(error.again().into())))),
        Job::Sweep => {}
    }
}
