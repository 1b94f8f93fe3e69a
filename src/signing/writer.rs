//! The one task that writes groups.
//!
//! Inside a group nothing raises: what the call answers are verdicts, row by row. What did not fit goes
//! once more in another shape, with the next group: a release whose right is gone as a refusal, one that came too late
//! as an abandonment, one that repeats an `r` to where its key is suspended. If a call aborts all the
//! same, its rows go again caller by caller, and only those of a caller whose rows abort again go one
//! by one: one caller's trouble costs the others a second call, and never more.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::columns::{Columns, Decided};
use super::intent::Intent;
use super::job::{Claim, End, Ended, Entry, How, Intend, Job, Overtaken};
use super::queue::{Receiver, Sender};
use super::{BadSignature, Equipment, Settings, SigningError, records};
use crate::audit::{self, Change, Committed, Log, Logged};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::custody::{Sign, Tries};
use crate::fail_point;
use crate::idempotency;
use crate::keys::Keys;
use crate::ledger::LedgerError;
use crate::metrics::GROUPS;

/// So many rows make a group full; a batch still joins whole.
const GROUP: usize = 256;

/// How rows are written, by whoever writes them.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) log: Log,
    pub(super) keys: Keys,
    pub(super) clock: Clock,
    authority: Authority,
    lease_ms: u64,
    keep: idempotency::Settings,
}

impl Form {
    /// As the settings say, with this equipment.
    pub(super) fn new(
        settings: &Settings,
        keep: &idempotency::Settings,
        equipment: &Equipment,
    ) -> Self {
        Self {
            log: equipment.log.clone(),
            keys: equipment.keys.clone(),
            clock: equipment.clock.clone(),
            authority: equipment.rights.authority().clone(),
            lease_ms: settings.lease_ms.get(),
            keep: keep.clone(),
        }
    }

    /// Jobs as columns.
    pub(super) fn columns<'a>(&self, jobs: impl IntoIterator<Item = &'a Job>) -> Columns<'a> {
        Columns::of(jobs, &self.keep)
    }

    /// Writes columns as part of a transaction.
    pub(super) async fn sign_group(
        &self,
        columns: &Columns<'_>,
        change: &mut Change,
    ) -> Result<Decided, LedgerError> {
        let now_ms = self.clock.unix_ms();
        let decided = records::sign_group(columns, self.lease_ms, now_ms, change.place()).await?;
        change.has_written(decided.leaves);
        if !decided.rights.is_empty() {
            self.authority.confirm(decided.head).await?;
        }
        Ok(decided)
    }
}

/// What a group decided on one job; told once the group is durable.
pub(super) enum Verdict {
    /// As asked.
    Done,
    /// The idempotency key is taken.
    Taken,
    /// Somebody else has ended the intent.
    Lost,
    Refused(SigningError),
    /// A limit stands in its way.
    Full(SigningError),
    /// What decides was tightened since it was permitted.
    Overtaken,
    /// To be ended in this way instead.
    Otherwise(How),
    /// It was not written, and it is not known why not.
    Again,
}

impl Verdict {
    /// On a job, by what was decided.
    pub(super) fn on(job: &Job, columns: &Columns<'_>, decided: &Decided) -> Self {
        match job {
            Job::Intend(intend) => {
                if decided.won.contains(&intend.id.uuid()) {
                    Self::Done
                } else if let Some(why) = columns.refusal(intend.right, decided) {
                    Self::refused(why)
                } else if columns.is_of_another(intend, decided) {
                    Self::Refused(SigningError::KeyReused)
                } else if let Some(exceeded) = decided.full.get(intend.leaf.hash.as_slice()) {
                    Self::Full(Box::new(exceeded.clone()).into())
                } else if let Some(same) = decided.same.get(&intend.id.uuid()) {
                    Self::Full(Box::new(same.clone()).into())
                } else {
                    Self::Taken
                }
            }
            Job::End(end) => {
                let id = end.intent.uuid();
                if decided.ended.contains(&id) {
                    Self::Done
                } else if decided.repeated.contains(&id) {
                    Self::Otherwise(How::Alarmed(BadSignature::RepeatedR))
                } else if let How::Released(_) = end.how
                    && let Some(right) = end.right
                    && let Some(why) = columns.refusal(right, decided)
                {
                    match Self::refused(why) {
                        Self::Refused(why) => Self::Otherwise(How::Refused(why)),
                        overtaken => overtaken,
                    }
                } else if decided.late.contains(&id) {
                    Self::Otherwise(How::Late)
                } else {
                    Self::Lost
                }
            }
            Job::HandOut(out) => match columns.refusal(out.right, decided) {
                Some(why) => Self::Refused(why),
                None => match decided.full.get(out.leaf.hash.as_slice()) {
                    Some(exceeded) => Self::Refused(Box::new(exceeded.clone()).into()),
                    None => Self::Done,
                },
            },
        }
    }

    fn refused(why: SigningError) -> Self {
        match why {
            SigningError::AuthorityChanged => Self::Overtaken,
            why => Self::Refused(why),
        }
    }
}

/// What a group has become.
struct Written {
    verdicts: Vec<Verdict>,
    proof: Committed,
    /// It was not durable before this.
    since: Instant,
}

/// Writes groups, one after the other, with one call each.
pub(super) struct Writer {
    form: Form,
    /// Where keys are suspended.
    careful: Sender<Job>,
    /// What goes once more with the next group.
    again: Vec<Job>,
}

impl Writer {
    /// A writer with this equipment.
    pub(super) fn new(
        settings: &Settings,
        keep: &idempotency::Settings,
        equipment: &Equipment,
        careful: Sender<Job>,
    ) -> Self {
        Self {
            form: Form::new(settings, keep, equipment),
            careful,
            again: Vec::new(),
        }
    }

    /// Writes until the last handle of the queue is gone.
    pub(super) async fn run(mut self, mut queue: Receiver<Entry>) {
        loop {
            let mut jobs = std::mem::take(&mut self.again);
            if jobs.is_empty() {
                let Some(first) = queue.recv().await else {
                    return;
                };
                first.join(&mut jobs);
            } else {
                tracing::debug!(rows = jobs.len(), "what did not fit goes once more");
            }
            while jobs.len() < GROUP
                && let Some(next) = queue.try_recv()
            {
                next.join(&mut jobs);
            }
            match self.write(&jobs).await {
                Ok(done) => self.tell_all(jobs, done),
                Err(error) if jobs.len() > 1 && is_one_rows_trouble(&error) => {
                    tracing::warn!(%error, rows = jobs.len(), "a group aborted; its rows go caller by caller");
                    let mut apart = BTreeMap::<_, Vec<_>>::new();
                    for job in jobs {
                        apart.entry(job.credential()).or_default().push(job);
                    }
                    for jobs in apart.into_values() {
                        self.write_apart(jobs).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, rows = jobs.len(), "a group was not committed");
                    for job in jobs {
                        job.fail(error.again().into());
                    }
                }
            }
        }
    }

    /// What one caller has in a group that aborted: one call, and where that aborts too, one for each row.
    async fn write_apart(&mut self, jobs: Vec<Job>) {
        match self.write(&jobs).await {
            Ok(done) => self.tell_all(jobs, done),
            Err(error) if jobs.len() > 1 && is_one_rows_trouble(&error) => {
                tracing::warn!(%error, rows = jobs.len(), "a caller's rows aborted; they go one by one");
                for job in jobs {
                    Box::pin(self.write_apart(vec![job])).await;
                }
            }
            Err(error) => jobs
                .into_iter()
                .for_each(|job| job.fail(error.again().into())),
        }
    }

    /// One group: one call.
    async fn write(&self, jobs: &[Job]) -> Result<Written, LedgerError> {
        let begun = Instant::now();
        let written = self.write_once(jobs, begun).await;
        GROUPS.wrote(jobs.len(), begun.elapsed(), written.is_ok());
        written
    }

    async fn write_once(&self, jobs: &[Job], begun: Instant) -> Result<Written, LedgerError> {
        let columns = self.form.columns(jobs);
        if !columns.intents.intent.is_empty() {
            fail_point!("intent-before-commit");
        }
        if !columns.ends.intent.is_empty() {
            fail_point!("release-before-commit");
        }
        let mut group = records::SignGroup {
            columns: &columns,
            lease_ms: self.form.lease_ms,
            clock: &self.form.clock,
        };
        let (written, proof) = self.form.log.write(&mut group).await?;
        if !columns.intents.intent.is_empty() {
            fail_point!("intent-after-commit");
        }
        if !columns.ends.intent.is_empty() {
            fail_point!("release-after-commit");
        }
        let (verdicts, since) = match written {
            audit::Written::Answered(decided) => {
                if !decided.rights.is_empty() {
                    self.form.authority.confirm(decided.head).await?; // or nobody is told
                }
                let on = |job| Verdict::on(job, &columns, &decided);
                (jobs.iter().map(on).collect(), decided.since)
            }
            audit::Written::Found(hashes) => (found(jobs, hashes), None),
        };
        Ok(Written {
            verdicts,
            proof,
            since: since.unwrap_or(begun),
        })
    }

    fn tell_all(&mut self, jobs: Vec<Job>, done: Written) {
        for (job, verdict) in jobs.into_iter().zip(done.verdicts) {
            match (job, verdict) {
                (job, Verdict::Again) => self.again.push(job),
                (Job::End(end), Verdict::Otherwise(how)) => self.end_otherwise(*end, how),
                (job, verdict) => tell(job, verdict, &done.proof, done.since),
            }
        }
    }

    /// Has an intent ended in another way than was asked.
    fn end_otherwise(&mut self, end: End, how: How) {
        let who = None; // an alarm is the service's own
        let is_alarm = matches!(how, How::Alarmed(_));
        let job = Job::End(Box::new(end.otherwise(how, self.form.clock.unix_ms())));
        if is_alarm {
            drop(self.careful.send(who, job));
        } else {
            self.again.push(job);
        }
    }
}

/// What is on record of a group whose answer was lost is done; the rest goes once more.
fn found(jobs: &[Job], hashes: Vec<Vec<u8>>) -> Vec<Verdict> {
    let mut there = HashMap::<_, usize>::new();
    for hash in hashes {
        *there.entry(hash).or_default() += 1;
    }
    let mut is_there = |job: &Job| {
        let left = there.get_mut(job.leaf().hash.as_slice());
        left.is_some_and(|left| match left.checked_sub(1) {
            Some(fewer) => {
                *left = fewer;
                true
            }
            None => false,
        })
    };
    let verdict = |job| {
        if is_there(job) {
            Verdict::Done
        } else {
            Verdict::Again
        }
    };
    jobs.iter().map(verdict).collect()
}

/// Tells whoever waits what was decided, now that it is durable.
pub(super) fn tell(job: Job, verdict: Verdict, proof: &Committed, since: Instant) {
    match (job, verdict) {
        (job, Verdict::Refused(why)) => job.fail(why),
        (Job::Intend(intend), Verdict::Done) => tell_fresh(*intend, proof),
        (Job::Intend(intend), Verdict::Overtaken) => {
            let overtaken = Overtaken {
                draft: intend.permit.give_up(),
                batch: intend.batch,
                turn: intend.turn,
            };
            let overtaken = Claim::Overtaken(Box::new(overtaken));
            drop(intend.told.send(Ok(overtaken)));
        }
        (Job::Intend(intend), Verdict::Full(why)) => {
            let refused = Claim::Refused(why, intend.permit.give_up());
            drop(intend.told.send(Ok(refused)));
        }
        (Job::Intend(intend), _) => {
            let permit = Box::new(intend.permit);
            let taken = intend.idempotency.map(|key| Claim::Taken(key, permit));
            drop(intend.told.send(taken.ok_or(SigningError::InFlight)));
        }
        (Job::End(end), Verdict::Done) => end.tell(since),
        (Job::End(end), Verdict::Overtaken) => {
            drop(end.told.send(Ok(Ended::Overtaken(end.how))));
        }
        (Job::End(end), _) => drop(end.told.send(Ok(Ended::Lost))),
        (Job::HandOut(out), _) => drop(out.told.send(Ok(since))),
    }
}

fn tell_fresh(intend: Intend, proof: &Committed) {
    let Intend {
        id,
        caller,
        right,
        permit,
        prepared,
        turn,
        leaf,
        told,
        ..
    } = intend;
    let (draft, permit) = permit.split(|draft| Sign {
        key: draft
            .key()
            .reference()
            .expect("a key that signs has a public key"),
        payload: prepared.payload.clone(),
        caller,
        tries: Tries::default(),
        turn,
    });
    let fresh = Intent {
        id,
        draft,
        prepared,
        permit: Logged::new(permit, proof),
        right,
        leaf: leaf.bytes,
    };
    drop(told.send(Ok(Claim::Fresh(Box::new(fresh)))));
}

fn is_one_rows_trouble(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Violation(_) | LedgerError::Aborted(_))
}
