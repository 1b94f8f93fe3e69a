//! What was answered before is answered again, to whoever may still have it.

use std::time::Instant;

use super::right::Right;
use super::{
    AGAIN, Business, Draft, Equipment, Signed, Signer, SigningError, SigningRequest, packed,
};
use crate::audit::Event;
use crate::callers::Caller;
use crate::idempotency::{self, Key as IdempotencyKey, RequestDigest};
use crate::keys::Key;
use crate::ledger::LedgerError;
use crate::limits::Limited;
use crate::policy::{Again, Ask, Deed, Permit};

impl Signer {
    /// What was released for this request before, if anything was. For a request that could not be
    /// made any more, its expiration having passed meanwhile: it still has its one answer (P3).
    pub async fn earlier(
        &self,
        caller: &Caller,
        (deed, key): (Deed, &Key),
        idempotency: &IdempotencyKey,
        request: RequestDigest,
    ) -> Result<Option<Signed>, SigningError> {
        match self.released(caller, idempotency, request).await {
            Ok(signed) => {
                let since = self.still(caller, (deed, key)).await?;
                Ok(Some(Signed { since, ..signed }))
            }
            Err(SigningError::InFlight | SigningError::KeyReused) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was released for this request before, where nothing could begin now, for its device is away or
    /// a limit reached: P3 holds all the same.
    pub(super) async fn released_or(
        &self,
        caller: &Caller,
        permit: &Permit<Box<dyn Draft>>,
        asked: &SigningRequest,
        not: SigningError,
    ) -> Result<Signed, SigningError> {
        let Some(key) = &asked.idempotency else {
            return Err(not);
        };
        match self.released(caller, key, asked.digest).await {
            Err(SigningError::InFlight) => Err(not),
            Err(error) => Err(error),
            Ok(done) => {
                let since = self.vouch(caller, permit).await?;
                Ok(Signed { since, ..done })
            }
        }
    }

    /// The answer that an idempotency key stands for. Not yet vouched for.
    pub(super) async fn released(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        request: RequestDigest,
    ) -> Result<Signed, SigningError> {
        let ledger = self.0.equipment.log.ledger();
        let held = idempotency::records::find(caller.id, key, ledger).await?;
        let held = held.ok_or(SigningError::InFlight)?;
        if held.request != request {
            return Err(SigningError::KeyReused);
        }
        let (Some(id), Some(released)) = (held.intent, held.released) else {
            return Err(SigningError::InFlight);
        };
        let body = if released.sealed {
            if released.is_over {
                return Err(SigningError::AnswerExpired);
            }
            let sealing = &self.0.equipment.sealing;
            let opened = sealing.open(id.uuid().as_bytes(), &released.answer);
            let opened = opened.map_err(|e| LedgerError::Corrupt("ends", e.to_string()))?;
            opened.to_vec()
        } else {
            let unpacked = packed::unpack(released.answer, &released.leaf);
            unpacked.ok_or_else(|| LedgerError::Corrupt("ends", id.to_string()))?
        };
        packed::is_as_released(&body, &released.end_leaf, id)?;
        Ok(Signed {
            body,
            replayed: true,
            since: Instant::now(),
        })
    }

    /// Sees to it that what was read a moment ago is durable, and that it is still right to tell it:
    /// both behind the gate. Nothing that was signed is told again before.
    pub(super) async fn vouch(
        &self,
        caller: &Caller,
        permit: &Permit<Box<dyn Draft>>,
    ) -> Result<Instant, SigningError> {
        let right = Right::to(permit, caller);
        self.vouch_for(caller, right, permit.action()).await
    }

    async fn vouch_for(
        &self,
        caller: &Caller,
        mut right: Right,
        asked: &impl Ask,
    ) -> Result<Instant, SigningError> {
        for _ in 0..AGAIN {
            let since = Instant::now();
            let standing = self.0.equipment.log.vouch(right.look()).await?;
            let authority = self.0.equipment.rights.authority();
            authority.confirm(standing.head()).await?;
            match right.holds(&standing) {
                Err(SigningError::AuthorityChanged) => {}
                judged => return judged.map(|()| since),
            }
            right = match self.0.equipment.rights.again(caller, asked).await {
                Ok(decided) => right.decided_again(decided),
                Err(Again::Denied(denied)) => return Err(denied.into()),
                Err(Again::Ledger(error)) => return Err(error.into()),
            };
        }
        Err(SigningError::AuthorityChanged)
    }

    /// Since when, at the earliest, it is certain that this may still be told, behind the gate.
    pub async fn still(
        &self,
        caller: &Caller,
        (deed, key): (Deed, &Key),
    ) -> Result<Instant, SigningError> {
        let permit = self.0.equipment.rights.permit(caller, deed)?;
        let right = Right::new(key, Business::Ordinary, caller, &permit);
        self.vouch_for(caller, right, permit.action()).await
    }

    /// Puts on record that a caller gets what was signed for earlier, unless the right to it is lost
    /// meanwhile: asked behind the gate, as for a release. [`SigningError::AuthorityChanged`]: it has to
    /// be decided again, by what [`decided_since`](Self::decided_since) has loaded.
    pub async fn hand_out(
        &self,
        caller: &Caller,
        right: Right,
        what: &Limited,
        event: Event,
    ) -> Result<Instant, SigningError> {
        let Equipment {
            limits,
            clock,
            evidence,
            ..
        } = &self.0.equipment;
        evidence.is_current()?;
        let book = limits.book()?;
        let decided = book.decide(caller.id, right.key(), what, clock.unix_ms());
        self.0.group.hand_out(caller, right, decided?, event).await
    }

    /// Loads what was decided until now.
    pub async fn decided_since(&self) -> Result<(), SigningError> {
        Ok(self.0.equipment.rights.authority().catch_up().await?)
    }
}
