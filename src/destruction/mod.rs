//! How a key is destroyed: a request, a waiting period, another look for obstacles, and the device's work.
//!
//! It promises that no key is destroyed on which something still depends, unless somebody accepted that in
//! so many words; that anybody who may can stop a destruction until the waiting period is over, and after
//! it while the device waits by itself; and that every destroyed key has a certificate in the audit log, no
//! sooner than its device has destroyed it. The order is on record before the device gets it: after a
//! crash, at whatever line, the destruction is carried to its end.
//!
//! It **trusts** the device's word that a key is destroyed. It cannot see balances, positions and
//! allowances on chain: whoever closes a wallet says that there are none.
//!
//! # Why
//! A wallet's key is the wallet: without it no resting order is cancelled, and nothing that the wallet
//! holds is moved. So destruction, which NIST wants at the end of the period, waits here until nothing is
//! left. A `deactivated` key signs nothing either.

mod giving_back;
mod obstacles;
mod records;

use std::sync::Arc;

use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::approvals::{Approval, ApprovalNeeded};
use crate::audit::{Author, Change, Log};
use crate::clob::drains::Drains;
use crate::clock::Clock;
use crate::custody::{self, Custody, CustodyError, PublicKey, Vault};
use crate::fail_point;
use crate::keys::{Key, KeyError, KeyState, Keys, Reason, timestamp};
use crate::ledger::{Gate, Ledger, LedgerError};
pub use giving_back::GivenBack;
pub use obstacles::{Obstacle, ObstacleKind};
pub use records::Destruction;

/// `[destruction]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a key that is to be destroyed waits for an objection, in hours.
    pub wait_hours: std::num::NonZeroU16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wait_hours: std::num::NonZeroU16::new(72).expect("72 is not zero"),
        }
    }
}

/// How long after the date that it named a device may take to destroy a key.
const LATE: Duration = Duration::days(1);

/// Why a destruction is not ordered, or not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum DestructionError {
    /// Something depends on the key.
    #[error("the key cannot be destroyed yet: {}", listed(.0))]
    InTheWay(Vec<Obstacle>),
    /// The request accepts what cannot be accepted.
    #[error("accept: {} has to be dealt with and cannot be accepted", .0.name())]
    NotAcceptable(ObstacleKind),
    /// The device has the order already.
    #[error("the destruction has begun, and there is no way back")]
    Begun,
    /// The key is not about to be destroyed.
    #[error("the key is {0}, not destroy-pending")]
    NotPending(&'static str),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A second person is needed.
    #[error(transparent)]
    ApprovalNeeded(#[from] ApprovalNeeded),
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn listed(obstacles: &[Obstacle]) -> String {
    let all: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// Somebody's wish to have a key destroyed.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DestructionRequest)]
pub struct Request {
    /// Why, for the record: 1 to 500 characters. Where something is accepted, why that too.
    #[schema(value_type = String, example = "desk 1 was closed; its orders lapsed with the market")]
    pub reason: Reason,
    /// What may stand in the way all the same.
    #[serde(default)]
    pub accept: Vec<ObstacleKind>,
}

/// Destroys keys.
#[derive(Clone)]
pub struct Destructions {
    ledger: Ledger,
    log: Log,
    keys: Keys,
    vault: Arc<Vault>,
    drains: Drains,
    clock: Clock,
    wait: Duration,
}

/// What [`Destructions`] works with.
pub struct Parts {
    /// Where evidence goes.
    pub log: Log,
    /// The keys.
    pub keys: Keys,
    /// Their devices.
    pub vault: Arc<Vault>,
    /// What is known of open orders.
    pub drains: Drains,
    /// Whether one operator may loosen alone.
    /// The time.
    pub clock: Clock,
}

impl Destructions {
    /// Destructions with these parts.
    pub fn new(settings: &Settings, parts: Parts) -> Self {
        let Parts {
            log,
            keys,
            vault,
            drains,
            clock,
        } = parts;
        Self {
            ledger: log.ledger().clone(),
            log,
            keys,
            vault,
            drains,
            clock,
            wait: Duration::hours(i64::from(settings.wait_hours.get())),
        }
    }

    /// What depends on a key. With an empty list the key can be destroyed, if its state allows that.
    pub async fn obstacles(&self, key: &Key) -> Result<Vec<Obstacle>, LedgerError> {
        let address = key.public_key.as_ref().and_then(PublicKey::address);
        let open = self.drains.open_orders(key).await?.into_iter().map(|it| {
            let last = timestamp(it.last);
            let of = it.wallet;
            let detail = format!("{} of wallet {of}, the last signed at {last}", it.count);
            Obstacle::new(ObstacleKind::OpenOrders, detail)
        });
        let mut all: Vec<_> = open.collect();
        all.extend(records::obstacles(key, address.as_ref(), &self.ledger).await?);
        Ok(all)
    }

    /// The latest destruction that somebody requested of a key.
    pub async fn of(&self, key: &Key) -> Result<Option<Destruction>, LedgerError> {
        records::latest(key.id, &self.ledger).await
    }

    /// Puts a key on its way to be destroyed. `obstacles` were collected a moment ago: in its state the key
    /// signs nothing, so that no new ones have come since.
    pub async fn request(
        &self,
        key: &Key,
        request: &Request,
        obstacles: Vec<Obstacle>,
        change: &mut Change,
    ) -> Result<Destruction, DestructionError> {
        if let Some(kind) = request.accept.iter().find(|kind| !kind.is_acceptable()) {
            return Err(DestructionError::NotAcceptable(*kind));
        }
        key.state
            .step(KeyState::DestroyPending)
            .map_err(KeyError::from)?;
        let left = unaccepted(obstacles, &request.accept);
        if !left.is_empty() {
            return Err(DestructionError::InTheWay(left));
        }
        let approval = change.loosen()?;
        let to = KeyState::DestroyPending;
        let moved = self.keys.step(key, to, &request.reason, change).await?;
        let not_before = self.clock.now() + self.wait;
        let author = change.author();
        records::insert(&moved, request, not_before, author, approval, change.tx()).await?;
        let details = json!({
            "name": key.name, "not_before": timestamp(not_before), "accepted": request.accept,
            "reason": request.reason,
        });
        change.note_as(approval, "request-destruction", key.id, &details);
        Ok(records::of_epoch(key.id, moved.epoch, change.tx()).await?)
    }

    /// Takes a key back from its way to be destroyed. Nobody has to agree.
    pub async fn cancel(
        &self,
        key: &Key,
        (to, reason): (KeyState, &Reason),
        given_back: &GivenBack,
        change: &mut Change,
    ) -> Result<Key, DestructionError> {
        if key.state != KeyState::DestroyPending {
            return Err(DestructionError::NotPending(key.state.name()));
        }
        let is_given_back = given_back.is_done();
        match records::cancel(key, is_given_back, change.tx()).await? {
            // A key is declared compromised whatever its device is doing.
            Some(false) if to != KeyState::Compromised => return Err(DestructionError::Begun),
            _ => {}
        }
        if is_given_back {
            let details = json!({ "name": key.name, "backend": key.backend });
            let approval = Approval::not_needed();
            change.note_as(approval, "take-key-back-from-device", key.id, &details);
        }
        Ok(self.keys.step(key, to, reason, change).await?)
    }

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

fn unaccepted(obstacles: Vec<Obstacle>, accepted: &[ObstacleKind]) -> Vec<Obstacle> {
    let mut obstacles = obstacles;
    obstacles.retain(|it| !accepted.contains(&it.kind));
    obstacles
}
