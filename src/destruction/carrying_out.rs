//! The device's work: destructions that have waited long enough are carried to their end.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Destruction, DestructionError, Destructions, records, unaccepted};
use crate::audit::{Author, Change};
use crate::clock::timestamp;
use crate::custody::{self, Custody, CustodyError, PublicKey};
use crate::fail_point;
use crate::keys::{Key, KeyError, KeyState};
use crate::ledger::Gate;

/// How long after the date that it named a device may take to destroy a key.
const LATE: Duration = Duration::days(1);

impl Destructions {
    /// Carries out destructions that have waited long enough, and those that were begun and not ended. Every
    /// replica may do this: the second finds the work done.
    pub async fn carry_out(&self) -> Result<(), DestructionError> {
        for due in records::due(self.clock.now(), &self.ledger).await? {
            if let Err(error) = self.destroy(&due).await {
                let text = error.to_string();
                let fresh = records::set_trouble(&due, &text, &self.ledger).await?;
                if fresh {
                    tracing::error!(key.id = %due.key, %error, "a key is not destroyed");
                }
            }
        }
        Ok(())
    }

    async fn destroy(&self, due: &Destruction) -> Result<(), DestructionError> {
        // Nobody takes the key back from its device while it is given to it.
        let Some(_held) = self.ledger.hold(due.key.uuid()).await? else {
            return Ok(()); // another replica has the lock
        };
        let Some(key) = self.keys.by_id(due.key).await? else {
            return Err(KeyError::NotFound.into());
        };
        let latest = records::latest(key.id, &self.ledger).await?;
        let Some(due) = &latest.filter(|it| it.epoch == due.epoch && it.ended_at.is_none()) else {
            return Ok(()); // another replica was faster
        };
        if key.state != KeyState::DestroyPending || key.epoch != due.epoch {
            return Ok(());
        }
        let device = self.vault.backend(&key.backend)?;
        if due.begun_at.is_none() {
            let left = unaccepted(self.obstacles(&key).await?, &due.accepted);
            if !left.is_empty() {
                return Err(DestructionError::InTheWay(left));
            }
            let was_disabled = self.look_first(&key, device).await?;
            let mut change = self.log.begin(Gate::Shared, &Author::service()).await?;
            if !records::begin(due, was_disabled, change.tx()).await? {
                change.abandon().await;
                return Ok(()); // cancelled meanwhile, or begun by another replica, which goes on
            }
            let details = json!({ "name": key.name, "backend": key.backend });
            change.note("begin-destruction", key.id, &details);
            change.commit().await?;
            fail_point!("destruction-begun");
        }
        let answer = match device.destroy(&key.place()).await {
            Ok(custody::Destruction::Done) => "destroyed",
            Ok(custody::Destruction::Due(at)) if self.clock.now() < at + LATE => {
                return self.wait_for_device(&key, due, at).await;
            }
            Ok(custody::Destruction::Due(_)) => "out of use, and the device's own wait is over",
            // The key was there when this began: so an earlier attempt, or the device's wait, came to its end.
            Err(CustodyError::NotFound { .. }) => "not there any more",
            Err(error) => return Err(error.into()),
        };
        fail_point!("destruction-done");
        let found_afterwards = device.inspect(&key.place()).await.is_ok();
        let certificate = self.certificate(&key, due, answer, found_afterwards);
        let mut change = self.log.begin(Gate::Exclusive, &Author::service()).await?;
        let done = self.certify(&key, due, &certificate, &mut change).await;
        if let Err(error) = done {
            change.abandon().await;
            return match error {
                DestructionError::Key(KeyError::Changed) => Ok(()),
                error => Err(error),
            };
        }
        change.commit().await?;
        tracing::warn!(key.id = %key.id, key.name = %key.name, "a key was destroyed");
        Ok(())
    }

    /// Makes sure that the device holds this key and would destroy no other. Returns whether the key is
    /// disabled in the device.
    async fn look_first(&self, key: &Key, device: &dyn Custody) -> Result<bool, DestructionError> {
        match (device.inspect(&key.place()).await, &key.public_key) {
            (Ok(found), Some(known)) if found.public_key == *known => {
                Ok(found.attributes.get("enabled") == Some(&false))
            }
            (Ok(_), Some(_)) => {
                let why = "the device has another key under this id".to_owned();
                Err(CustodyError::Nonsense(why).into())
            }
            // A key without a public half on record may have been made or not.
            (Ok(_) | Err(CustodyError::NotFound { .. }), None) => Ok(false),
            // The device does not show a disabled key, and its name for the key names no other.
            (Err(CustodyError::Disabled(_)), Some(_)) if key.device_ref.is_some() => Ok(true),
            // An earlier destruction reached the device before somebody declared a compromise.
            (Err(CustodyError::NotFound { .. } | CustodyError::PendingDeletion(_)), Some(_))
                if records::was_begun(key.id, &self.ledger).await? =>
            {
                Ok(false)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Leaves a key to its device, which destroys it at its own time.
    async fn wait_for_device(
        &self,
        key: &Key,
        due: &Destruction,
        at: OffsetDateTime,
    ) -> Result<(), DestructionError> {
        if due.due_at == Some(at) {
            if due.trouble.is_some() {
                records::clear_trouble(due, &self.ledger).await?;
            }
            return Ok(());
        }
        fail_point!("destruction-scheduled");
        let mut change = self.log.begin(Gate::Shared, &Author::service()).await?;
        if !records::set_due(due, at, change.tx()).await? {
            change.abandon().await;
            return Ok(());
        }
        let details = json!({ "name": key.name, "backend": key.backend, "due_at": timestamp(at) });
        change.note("await-destruction-by-device", key.id, &details);
        change.commit().await?;
        tracing::warn!(key.id = %key.id, key.name = %key.name, due_at = %timestamp(at),
            "a key is out of use in its device, which destroys it");
        Ok(())
    }

    async fn certify(
        &self,
        key: &Key,
        due: &Destruction,
        certificate: &serde_json::Value,
        change: &mut Change,
    ) -> Result<(), DestructionError> {
        let why = "its device destroyed it";
        let to = KeyState::Destroyed;
        self.keys.step_by_itself(key, to, why, change).await?;
        if !records::finish(due, certificate, change.tx()).await? {
            return Err(KeyError::Changed.into());
        }
        change.note("certify-destruction", key.id, certificate);
        Ok(())
    }

    fn certificate(
        &self,
        key: &Key,
        due: &Destruction,
        answer: &str,
        found_afterwards: bool,
    ) -> serde_json::Value {
        let public = key.public_key.as_ref();
        json!({
            "key": key.id, "name": key.name, "purpose": key.purpose, "algorithm": key.algorithm,
            "environment": key.environment, "owner": key.owner,
            "fingerprint": public.map(|it| hex::encode(it.fingerprint())),
            "address": public.and_then(PublicKey::address),
            "was_compromised": due.was_compromised,
            "requested": {
                "by": due.requested_by, "at": timestamp(due.requested_at), "reason": due.reason,
                "approval": due.approval, "accepted": due.accepted,
            },
            "device": {
                "backend": key.backend, "answer": answer, "found_afterwards": found_afterwards,
                "due_at": due.due_at.map(timestamp),
                "at": timestamp(self.clock.now()),
            },
        })
    }
}
