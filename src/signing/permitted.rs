//! What it takes before an intent is written: a permit of the policy, a turn at the device, room within the limits.

use std::sync::Arc;

use tokio::time::Instant;

use super::group::Joining;
use super::job::{BatchKey, Intend};
use super::{Draft, Equipment, Signer, SigningError, SigningRequest};
use crate::callers::Caller;
use crate::custody::Turn;
use crate::limits::Reservation;
use crate::policy::Permit;

impl Signer {
    /// The policy's permit, where anything is signed now and it is known what the time is.
    pub(super) fn permitted(
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
    pub(super) fn permit(
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
    pub(super) async fn may_begin(
        &self,
        caller: &Caller,
        permit: &Permit<Box<dyn Draft>>,
        until: Instant,
    ) -> Result<(Turn, Reservation), SigningError> {
        let turn = self.ready(caller, permit, until).await?;
        Ok((turn, self.limited(caller, &**permit.action())?))
    }

    /// What a draft asks of counters, unless a limit stands in the way. It is looked at after the permit, so
    /// that limits which are tightened in between are decided by again.
    pub(super) fn limited(
        &self,
        caller: &Caller,
        draft: &dyn Draft,
    ) -> Result<Reservation, SigningError> {
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

    /// SHA-256 of the policy that decides, as leaves have it.
    pub fn policy_digest(&self) -> [u8; 32] {
        self.0.equipment.rights.policy_digest()
    }

    /// The intent of what is permitted, and where its claim comes out.
    pub(super) fn intent_of(
        &self,
        caller: &Caller,
        permit: Permit<Box<dyn Draft>>,
        asked: &SigningRequest,
        batch: Option<Arc<BatchKey>>,
        with: (Turn, Reservation),
    ) -> (Intend, Joining) {
        let now_ms = self.0.equipment.clock.unix_ms();
        let policy = self.policy_digest();
        Intend::new(caller, permit, asked, batch, with, policy, now_ms)
    }
}
