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

mod carrying_out;
mod error;
mod giving_back;
mod obstacles;
mod records;
mod telling;

use std::sync::Arc;

use serde_json::json;
use time::Duration;

use crate::approvals::Approval;
use crate::audit::{Change, Log};
use crate::authority::{self, Kind, form};
use crate::clob::drains::Drains;
use crate::clock::Clock;
use crate::clock::timestamp;
use crate::custody::{PublicKey, Vault};
use crate::keys::{Key, KeyError, KeyState, Keys, Reason};
use crate::ledger::{Ledger, LedgerError};
pub use error::DestructionError;
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

/// Somebody's wish to have a key destroyed.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DestructionRequest)]
pub struct Request {
    /// Why, for the record: 1 to 500 characters. Where something is accepted, why that too.
    #[arg(long)]
    #[schema(value_type = String, example = "desk 1 was closed; its orders lapsed with the market")]
    pub reason: Reason,
    /// What may stand in the way all the same.
    #[arg(long)]
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

impl Destructions {
    /// Destructions of these keys, in these devices.
    pub fn new(
        settings: &Settings,
        log: Log,
        keys: Keys,
        vault: Arc<Vault>,
        drains: Drains,
        clock: Clock,
    ) -> Self {
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
        let users = self.users(key).await?;
        all.extend(records::obstacles(key, address.as_ref(), users, &self.ledger).await?);
        Ok(all)
    }

    /// Wallets and clients of a key, by what is stated of them: whoever takes their rows away opens no way.
    async fn users(&self, key: &Key) -> Result<Vec<Obstacle>, LedgerError> {
        let authority = self.log.authority();
        authority.catch_up().await?;
        let now = authority.now();
        let mut users = Vec::new();
        for (_, stated) in now.of(Kind::Wallet) {
            let wallet: form::Wallet = authority::read(Kind::Wallet, stated)?;
            if wallet.key == key.id.uuid() && !wallet.closed {
                users.push(format!("wallet {}", wallet.name));
            }
        }
        for (_, stated) in now.of(Kind::Client) {
            let client: form::Client = authority::read(Kind::Client, stated)?;
            if client.key == key.id.uuid() {
                users.push(format!("client {}", client.name));
            }
        }
        users.sort();
        let in_use = |detail| Obstacle::new(ObstacleKind::InUse, detail);
        Ok(users.into_iter().map(in_use).collect())
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
        let approval = change.loosen();
        let to = KeyState::DestroyPending;
        let moved = self.keys.step(key, to, &request.reason, change).await?;
        let author = change.author();
        records::insert(&moved, request, self.wait, author, approval, change.tx()).await?;
        let asked = records::of_epoch(key.id, moved.epoch, change.tx()).await?;
        let details = json!({
            "name": key.name, "not_before": timestamp(asked.not_before), "accepted": request.accept,
            "reason": request.reason,
        });
        change.note_as(approval, "request-destruction", key.id, &details);
        change.tell(telling::asked(&key.name, key.id, asked.not_before));
        Ok(asked)
    }

    /// The state to which a key goes back when its destruction is cancelled. `None`: it waits for none.
    pub async fn way_back(&self, key: &Key) -> Result<Option<KeyState>, LedgerError> {
        if key.state != KeyState::DestroyPending {
            return Ok(None);
        }
        let latest = records::latest(key.id, &self.ledger).await?;
        Ok(latest
            .filter(|it| it.epoch == key.epoch)
            .map(|it| it.before))
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
        key.state.step(to).map_err(KeyError::from)?;
        let asked = records::of_epoch(key.id, key.epoch, change.tx()).await?;
        if !asked.before.may_come_back(to) {
            let before = asked.before;
            return Err(DestructionError::NotTheWayBack { before, to });
        }
        let is_given_back = given_back.is_done();
        if records::cancel(key, is_given_back, change.tx()).await? == Some(false) {
            return Err(DestructionError::Begun);
        }
        if is_given_back {
            let details = json!({ "name": key.name, "backend": key.backend });
            let approval = Approval::not_needed();
            change.note_as(approval, "take-key-back-from-device", key.id, &details);
        }
        Ok(self.keys.step(key, to, reason, change).await?)
    }

    /// Declares a key compromised that is on its way to be destroyed, whatever its device is doing: a
    /// destruction that has not begun is cancelled, another goes on.
    pub async fn declare_compromised(
        &self,
        key: &Key,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<Key, DestructionError> {
        records::cancel(key, false, change.tx()).await?;
        let to = KeyState::Compromised;
        Ok(self.keys.step(key, to, reason, change).await?)
    }
}

fn unaccepted(obstacles: Vec<Obstacle>, accepted: &[ObstacleKind]) -> Vec<Obstacle> {
    let mut obstacles = obstacles;
    obstacles.retain(|it| !accepted.contains(&it.kind));
    obstacles
}
