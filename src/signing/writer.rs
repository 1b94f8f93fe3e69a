//! The one task that writes groups.

use std::collections::BTreeMap;

use super::group::{Claim, Ended, Entry, How, Intend, Job};
use super::intent::Intent;
use super::queue::Receiver;
use super::{BadSignature, Equipment, Prepared, Settings, SigningError, records};
use crate::audit::{Author, Change, Committed, Event, Log, Logged, leaf};
use crate::custody::{Sign, Tries};
use crate::fail_point;
use crate::id::{IntentId, KeyId};
use crate::idempotency;
use crate::keys::{KeyError, Keys};
use crate::ledger::{Gate, LedgerError};
use crate::standing::{Look, Standing};

/// So many rows make a group full; a batch still joins whole.
const GROUP: usize = 256;

/// Keys to be suspended: for the signature of which intent, and what is wrong with it.
pub(super) type Suspects = BTreeMap<KeyId, (IntentId, BadSignature)>;

/// What a group decided on one job; told once the group is durable.
pub(super) enum Verdict {
    Intended(Box<Prepared>),
    Taken,
    Ended(Ended),
    Refused(SigningError),
    Nothing,
}

/// Writes groups, one after the other, in one transaction each.
pub(super) struct Writer {
    log: Log,
    keys: Keys,
    pub(super) policy: [u8; 32],
    pub(super) lease_ms: u64,
    pub(super) keep: idempotency::Settings,
}

impl Writer {
    /// A writer with this equipment.
    pub(super) fn new(
        settings: &Settings,
        keep: &idempotency::Settings,
        equipment: &Equipment,
    ) -> Self {
        Self {
            log: equipment.log.clone(),
            keys: equipment.keys.clone(),
            policy: equipment.rights.policy_digest(),
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
        let mut change = self.log.begin(gate, &Author::service()).await?;
        let mut verdicts: Vec<Verdict> = jobs.iter().map(|_| Verdict::Nothing).collect();
        let suspects = match self.decide(jobs, &mut verdicts, &mut change).await {
            Ok(suspects) => suspects,
            Err(error) => {
                change.abandon().await;
                return Err(error);
            }
        };
        if !suspects.is_empty() {
            let suspended = match gate {
                Gate::Shared => Ok(false),
                Gate::Exclusive => self.suspend(&suspects, &mut change).await.map(|()| true),
            };
            match suspended {
                Ok(true) => {}
                Ok(false) => {
                    change.abandon().await;
                    return Ok(None);
                }
                Err(error) => {
                    change.abandon().await;
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
        let proof = change.commit().await?;
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
    async fn suspend(&self, suspects: &Suspects, change: &mut Change) -> Result<(), LedgerError> {
        for (key, (intent, bad)) in suspects {
            let why = format!("{bad} (intent {intent})");
            match self.keys.suspend_by_itself(*key, &why, change).await {
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
        change: &mut Change,
    ) -> Result<Suspects, LedgerError> {
        let standing = self.look(jobs, change).await?;
        let suspects = self.end(jobs, verdicts, &standing, change).await?;
        self.intend(jobs, verdicts, &standing, change).await?;
        for (at, job) in jobs.iter().enumerate() {
            match job {
                Job::HandOut(out) => match out.right.holds(&standing) {
                    Ok(()) => change.add(out.event.clone()),
                    Err(why) => verdicts[at] = Verdict::Refused(why),
                },
                Job::Sweep => {
                    for (intent, attempt) in records::abandon_overdue(change.tx()).await? {
                        let reason = "lease-ran-out".to_owned();
                        let end = leaf::End {
                            intent: intent.uuid(),
                            attempt,
                            reason,
                            tries: None, // whoever counted them is gone
                        };
                        change.add(Event::Abandoned(end));
                    }
                }
                Job::Intend(_) | Job::End(_) => {}
            }
        }
        Ok(suspects)
    }

    /// How keys and credentials of this group stand now, behind the gate.
    async fn look(&self, jobs: &[Job], change: &mut Change) -> Result<Standing, LedgerError> {
        let mut look = Look::default();
        for job in jobs {
            match job {
                Job::Intend(intend) => look.join(intend.right.look()),
                Job::End(end) if matches!(end.how, How::Released(_)) => look.join(end.right.look()),
                Job::HandOut(out) => look.join(out.right.look()),
                Job::End(_) | Job::Sweep => {}
            }
        }
        Standing::behind_gate(&look, change.tx()).await
    }
}

fn tell_all(jobs: impl IntoIterator<Item = Job>, verdicts: Vec<Verdict>, proof: &Committed) {
    for (job, verdict) in jobs.into_iter().zip(verdicts) {
        match (job, verdict) {
            (Job::Intend(mut intend), verdict) => {
                let claim = match (verdict, intend.idempotency.take()) {
                    (Verdict::Intended(prepared), _) => {
                        tell_fresh(*intend, *prepared, proof);
                        continue;
                    }
                    (Verdict::Refused(why), _) => Err(why),
                    (_, Some(key)) => Ok(Claim::Taken(key)),
                    (_, None) => Err(SigningError::InFlight),
                };
                drop(intend.told.send(claim));
            }
            (Job::End(end), Verdict::Ended(ended)) => drop(end.told.send(Ok(ended))),
            (Job::HandOut(out), Verdict::Refused(why)) => drop(out.told.send(Err(why))),
            (Job::HandOut(out), _) => drop(out.told.send(Ok(()))),
            _ => {}
        }
    }
}

fn tell_fresh(intend: Intend, prepared: Prepared, proof: &Committed) {
    let (caller, turn) = (intend.caller.id, intend.turn);
    let (draft, permit) = intend.permit.split(|draft| Sign {
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
        id: intend.id,
        draft,
        prepared,
        permit: Logged::new(permit, proof),
        right: intend.right,
    };
    drop(intend.told.send(Ok(Claim::Fresh(Box::new(fresh)))));
}

fn is_one_rows_trouble(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Violation(_) | LedgerError::Aborted(_))
}

fn fail(job: Job, error: &LedgerError) {
    match job {
        Job::Intend(intend) => drop(intend.told.send(Err(error.again().into()))),
        Job::End(end) => drop(end.told.send(Err(error.again().into()))),
        Job::HandOut(out) => drop(out.told.send(Err(error.again().into()))),
        Job::Sweep => {}
    }
}
