//! The device: asked before an intent whether it would sign, and after it until it has signed.
//!
//! # Why
//! An intent that a device then does not serve is a request lost. So what is known beforehand is said
//! beforehand; and what comes afterwards, such as a lost session, a dead connection or a call that
//! hangs, is met by asking again under the same intent as long as the caller waits. Another signature
//! over the same bytes gives nobody anything; that only one leaves is the release's to see to.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::intent::Intent;
use super::{Draft, Signer};
use crate::callers::Caller;
use crate::custody::{CustodyError, Pauses, RawSignature, Turn};
use crate::policy::Permit;

/// The pauses before a device is asked again.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(20), Duration::from_millis(250));
/// What is left of a caller's time for putting the end on record and answering.
const TO_ANSWER: Duration = Duration::from_millis(150);

impl Signer {
    /// Asks the key's device whether it would sign, before anything is on record.
    pub(super) async fn ready(
        &self,
        caller: &Caller,
        permit: &Permit<Box<dyn Draft>>,
        until: Instant,
    ) -> Result<Turn, CustodyError> {
        let draft = permit.action();
        let key = draft.key();
        let place = key.place();
        let vault = &self.0.equipment.vault;
        let ready = vault.ready(&key.backend, &place, draft.secret(), caller.id);
        let late = || CustodyError::Unavailable("it does not say whether it is ready".into());
        let until = until.checked_sub(TO_ANSWER).unwrap_or(until);
        let turn = timeout_at(until, ready).await;
        Ok(turn.unwrap_or_else(|_| Err(late()))?.until(until))
    }

    /// Has the device sign what is on record. It is asked again while that makes sense and there is
    /// time: the caller's, and the lease's.
    pub(super) async fn signature(
        &self,
        intent: &Intent,
        until: Instant,
    ) -> Result<RawSignature, CustodyError> {
        let backend = &intent.draft.key().backend;
        let until = until.min(Instant::now() + self.0.lease);
        let mut pauses = PAUSES;
        loop {
            let begun = Instant::now();
            let signed = self.0.equipment.vault.sign(backend, &intent.permit).await;
            if let Some(measured) = self.0.measures.for_draft(&*intent.draft) {
                measured.asked(begun.elapsed(), signed.is_ok());
            }
            let error = match signed {
                Ok(signature) => return Ok(signature),
                Err(error) => error,
            };
            let wait = pauses.draw();
            if !error.may_pass() || Instant::now() + wait + TO_ANSWER >= until {
                return Err(error);
            }
            tracing::debug!(intent.id = %intent.id, %error, "the device is asked again");
            sleep(wait).await;
        }
    }
}
