//! The way of an intent from its record to its end.

use std::time::Duration;

use tokio::time::Instant;

use super::intent::Intent;
use super::job::{Ended, How};
use super::measures::Outcome;
use super::{AGAIN, BadSignature, Checked, Draft, Signed, Signer, SigningError, packed};
use crate::callers::Caller;
use crate::custody::CustodyError;
use crate::fail_point;
use crate::policy::Again;
use crate::traces;

/// How often it is tried to put an alarm on record, and how long after each time.
const TRIES_TO_SUSPEND: u32 = 30;
const SUSPEND_AGAIN: Duration = Duration::from_secs(1);

impl Signer {
    /// Takes an intent to its end, and measures that. `Err(draft)`: it came too late and may be tried once
    /// more.
    pub(super) async fn finish(
        &self,
        caller: &Caller,
        intent: Intent,
        until: Instant,
    ) -> Result<Result<Signed, Box<dyn Draft>>, SigningError> {
        let begun = Instant::now();
        let measured = self.0.measures.for_draft(&*intent.draft);
        let done = self.to_its_end(caller, intent, until).await;
        if let Some(measured) = measured {
            measured.ended(begun.elapsed(), Outcome::of(&done));
        }
        done
    }

    async fn to_its_end(
        &self,
        caller: &Caller,
        mut intent: Intent,
        until: Instant,
    ) -> Result<Result<Signed, Box<dyn Draft>>, SigningError> {
        fail_point!("device-before");
        let signed = self.signature(&intent, until).await;
        fail_point!("device-after");
        traces::mark("device-done");
        let sign = intent.permit.get().action();
        let checked = match signed.map(|raw| Checked::check(&raw, sign)) {
            Ok(Ok(checked)) => checked,
            Ok(Err(bad)) => return Err(self.alarm(&intent, bad).await),
            Err(CustodyError::NotASignature(why)) => {
                tracing::error!(intent.id = %intent.id, why, "a device gave no signature");
                return Err(self.alarm(&intent, BadSignature::Malformed).await);
            }
            Err(error) => {
                self.end(&intent, How::Abandoned("no-signature")).await;
                return Err(error.into());
            }
        };
        fail_point!("checked");
        let answer = intent.draft.answer(intent.id, &intent.prepared, &checked);
        let stored = if answer.is_secret {
            self.0
                .equipment
                .sealing
                .seal(intent.id.uuid().as_bytes(), &answer.body)
        } else {
            packed::pack(&answer.body, &intent.leaf)
        };
        let release = How::released(&intent, &checked, &answer, stored);
        let ended = self.release(caller, &mut intent, release).await?; // durable, or nobody sees it
        fail_point!("release-told");
        traces::mark("end-on-record");
        match ended {
            Ended::Overtaken(_) => Err(SigningError::AuthorityChanged),
            Ended::AsAsked(since) => Ok(Ok(Signed {
                body: answer.body,
                replayed: false,
                since,
            })),
            Ended::Late => Ok(Err(intent.draft)),
            Ended::Lost => Err(SigningError::LeaseLost),
            Ended::Refused(why) => {
                if matches!(why, SigningError::BadSignature(_)) {
                    self.0.equipment.vault.forget_all(); // the key is suspended
                }
                Err(why)
            }
        }
    }

    /// Releases a signature. What decides may be tightened meanwhile: then it is decided again.
    async fn release(
        &self,
        caller: &Caller,
        intent: &mut Intent,
        mut how: How,
    ) -> Result<Ended, SigningError> {
        for _ in 0..AGAIN {
            match self.0.group.end(intent, how).await? {
                Ended::Overtaken(as_asked) => how = as_asked,
                ended => return Ok(ended),
            }
            match self.0.equipment.rights.again(caller, &intent.draft).await {
                Ok(decided) => match self.limited(caller, &*intent.draft) {
                    Ok(_) => intent.right = intent.right.decided_again(decided),
                    Err(why) => how = How::Refused(why), // what was reserved is given back
                },
                Err(Again::Denied(denied)) => how = How::Refused(denied.into()),
                Err(Again::Ledger(error)) => {
                    tracing::warn!(intent.id = %intent.id, %error, "a signature is not released: its right is not known");
                    how = How::Abandoned("authority-unknown");
                    self.end(intent, how).await;
                    return Err(error.into());
                }
            }
        }
        let why = SigningError::AuthorityChanged;
        self.end(intent, How::Refused(why.clone())).await;
        Err(why)
    }

    /// Refuses a signature that must not leave, and has its key suspended with the same commit. Tried
    /// until it is durable, or long enough: until then other signatures of the key, which are checked
    /// too, may still leave.
    async fn alarm(&self, intent: &Intent, bad: BadSignature) -> SigningError {
        let key = intent.draft.key();
        tracing::error!(alarm = "signature-invalid", key.id = %key.id, key.name = %key.name, intent.id = %intent.id, error = %bad,
            "a device's signature does not verify under the key on record");
        for _ in 0..TRIES_TO_SUSPEND {
            match self.0.group.end(intent, How::Alarmed(bad)).await {
                Ok(_) => {
                    self.0.equipment.vault.forget_all(); // what is open for the key stays open nowhere here
                    return bad.into();
                }
                Err(error) => {
                    tracing::warn!(key.id = %key.id, %error, "the key is not suspended yet");
                    tokio::time::sleep(SUSPEND_AGAIN).await;
                }
            }
        }
        tracing::error!(alarm = "key-not-suspended", key.id = %key.id, key.name = %key.name,
            "the key could not be suspended: suspend it yourself");
        bad.into()
    }

    /// Ends an intent without a signature. Where that cannot be written, the lease ends it.
    async fn end(&self, intent: &Intent, how: How) {
        if let Err(error) = self.0.group.end(intent, how).await {
            tracing::warn!(intent.id = %intent.id, %error, "the intent ends with its lease");
        }
    }
}
