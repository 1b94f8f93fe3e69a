//! What takes more than one statement: an intent that claims a nonce, and an alarm, with which a key is suspended. Each has a transaction of its own, one after the other, between groups.

use std::time::Instant;

use super::job::{How, Intend, Job};
use super::queue::Receiver;
use super::writer::{Form, Verdict, tell};
use super::{BadSignature, Claimant, Right, SigningError};
use crate::audit::{Author, Change, Committed};
use crate::fail_point;
use crate::id::IntentId;
use crate::keys::KeyError;
use crate::ledger::{Gate, LedgerError};

/// Writes until the last handle of the queue is gone.
pub(super) async fn run(form: Form, mut queue: Receiver<Job>) {
    while let Some(job) = queue.recv().await {
        let begun = Instant::now();
        match write(&form, &job).await {
            Ok((verdict, proof)) => tell(job, verdict, &proof, begun),
            Err(Not::Refused(why)) => job.fail(why),
            Err(Not::Written(error)) => {
                tracing::warn!(%error, "an intent with a nonce, or an alarm, was not committed");
                job.fail(error.again().into());
            }
        }
    }
}

/// Why a job is not on record.
enum Not {
    Refused(SigningError),
    Written(LedgerError),
}

impl From<LedgerError> for Not {
    fn from(error: LedgerError) -> Self {
        Self::Written(error)
    }
}

async fn write(form: &Form, job: &Job) -> Result<(Verdict, Committed), Not> {
    let gate = match job {
        Job::End(_) => Gate::Exclusive, // a key is to be suspended
        Job::Intend(_) | Job::HandOut(_) => Gate::Shared,
    };
    let mut change = form.log.begin(gate, &author(job)).await?;
    let verdict = match Box::pin(within(form, job, &mut change)).await {
        Ok(verdict) => verdict,
        Err(not) => {
            change.abandon().await;
            return Err(not);
        }
    };
    let is_end = matches!(job, Job::End(_));
    if is_end {
        fail_point!("release-before-commit");
    } else {
        fail_point!("intent-before-commit");
    }
    let proof = change.commit().await?;
    if is_end {
        fail_point!("release-after-commit");
    } else {
        fail_point!("intent-after-commit");
    }
    Ok((verdict, proof))
}

/// The service, but for what others have to agree to: that is its asker's, under the proposal that they did agree to.
fn author(job: &Job) -> Author {
    match job {
        Job::Intend(intend) if is_agreed(intend) => intend.permit.author().clone(),
        _ => Author::service(),
    }
}

fn is_agreed(intend: &Intend) -> bool {
    let nonce = intend.prepared.nonce.as_ref();
    nonce.is_some_and(|it| it.is_agreed())
}

/// The row of the group first, so that what was answered before is answered again whatever has become of the
/// account; then the rest.
async fn within(form: &Form, job: &Job, change: &mut Change) -> Result<Verdict, Not> {
    let columns = form.columns([job]);
    let decided = form.sign_group(&columns, change).await?;
    let verdict = Verdict::on(job, &columns, &decided);
    match (job, &verdict) {
        (Job::Intend(intend), Verdict::Done) => claim(intend, change).await?,
        (Job::End(end), _) => {
            if let (How::Alarmed(bad), Some(right)) = (&end.how, end.right) {
                suspend(form, end.intent, right, *bad, change).await?;
            }
        }
        _ => {}
    }
    Ok(verdict)
}

/// Claims the nonce, or says why it must not be signed.
async fn claim(intend: &Intend, change: &mut Change) -> Result<(), Not> {
    let Some(nonce) = &intend.prepared.nonce else {
        return Ok(());
    };
    let by = Claimant {
        intent: intend.id,
        caller: intend.caller,
        request: intend.request,
    };
    nonce.claim(by, change).await?.map_err(Not::Refused)
}

/// Suspends a key, as far as it is in a state for that, with the reason.
async fn suspend(
    form: &Form,
    intent: IntentId,
    right: Right,
    bad: BadSignature,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let key = right.key();
    let why = format!("{bad} (intent {intent})");
    match form.keys.suspend_by_itself(key, &why, change).await {
        Ok(_) => {}
        Err(KeyError::Ledger(error)) => return Err(error),
        Err(error) => return Err(LedgerError::Corrupt("keys", format!("{key}: {error}"))),
    }
    tracing::error!(alarm = "key-suspended", key.id = %key, intent.id = %intent, error = %bad,
        "a key is suspended: its device signed what must not leave");
    Ok(())
}
