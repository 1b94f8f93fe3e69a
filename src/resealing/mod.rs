//! How sealing keys are replaced: what rests under a former key is sealed anew under the current one,
//! stretch by stretch, while the service goes on.
//!
//! It promises that nothing is written that was not opened again, so that a process that dies on any line
//! loses nothing; that a repeated stretch changes nothing; and that a device's former key is destroyed only
//! when nothing rests under it. It **trusts** the operator to have told every replica of the new key first:
//! a replica that does not know the key cannot open what is sealed under it.
//!
//! # Why
//! The work comes in stretches, so that no request is long, each is on record with its leaf, and progress
//! shows. Devices are called before the transaction; a row that changed meanwhile is left to the next run.

mod answers;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::approvals::ApprovalNeeded;
use crate::audit::{Change, Log};
use crate::clock::Clock;
use crate::credentials::SealedPair;
use crate::credentials::records::{self, Resting};
use crate::custody::{Custody, CustodyError, DeviceSealingKey, ResealedKey, Vault};
use crate::ledger::{Gate, LedgerError};
use crate::name::Name;
use crate::policy::Permit;
use crate::sealing::Keyring;
pub use answers::{AnswersAfter, AnswersHeld, AnswersStep};

/// How long a new sealing key has to have sealed before its predecessor is destroyed: what was sealed under
/// the predecessor until then is in its row by that time.
const SETTLED: Duration = Duration::from_mins(15);

/// What rests in a device.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = RestingKind)]
pub enum What {
    /// Private keys of the sealed keystore.
    Keys,
    /// Secrets and passphrases of API keys.
    Secrets,
}

/// Where a stretch begins: after this one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
#[schema(as = StretchStart)]
pub struct After {
    /// Among what.
    pub what: What,
    /// The last that was looked at; none at the beginning.
    pub id: Option<Uuid>,
}

/// How much rests under a sealing key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = SealingKeyHolding)]
pub struct Holding {
    /// The key's id, never the key. None: what does not name a key that is there.
    pub id: Option<String>,
    /// Whether it is the one that seals now.
    pub seals: bool,
    /// Private keys of the sealed keystore.
    pub keys: i64,
    /// API keys whose secrets rest under it.
    pub secrets: i64,
}

/// What could not be sealed anew.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = NotResealed)]
pub struct Stuck {
    /// The key's or the API key's id here.
    pub id: Uuid,
    /// Why.
    pub why: String,
}

/// A stretch that was sealed anew.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ResealedStretch)]
pub struct Step {
    /// How many rest under the current key now that did not before.
    pub resealed: u64,
    /// What could not be, and why.
    pub stuck: Vec<Stuck>,
    /// Where to go on. None: all has been looked at.
    pub next: Option<After>,
}

/// A stretch that is sealed anew and not written yet.
pub struct Prepared {
    device: Name,
    under: String,
    what: What,
    keys: Vec<ResealedKey>,
    secrets: Vec<(Uuid, i32, SealedPair)>,
    stuck: Vec<Stuck>,
    next: Option<After>,
}

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum ResealingError {
    /// No such device.
    #[error("no [custody] section has this name")]
    NoSuchDevice,
    /// The device has no such sealing key.
    #[error("the device has no such sealing key")]
    NoSuchKey,
    /// Something depends on it.
    #[error("{0}")]
    InUse(String),
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

/// The sealing keys of the service and of its devices.
pub struct Resealing {
    log: Log,
    vault: Arc<Vault>,
    sealing: Arc<Keyring>,
    clock: Clock,
}

impl Resealing {
    /// Resealing for these devices, and for the service's own key.
    pub fn new(log: Log, vault: Arc<Vault>, sealing: Arc<Keyring>, clock: Clock) -> Self {
        Self {
            log,
            vault,
            sealing,
            clock,
        }
    }

    /// How much rests under each sealing key of a device.
    pub async fn holdings(&self, name: &Name) -> Result<Vec<Holding>, ResealingError> {
        let device = self.device(name)?;
        let mut holdings: Vec<Holding> = Vec::new();
        for DeviceSealingKey { id, seals, .. } in sealing_keys(device).await? {
            holdings.push(Holding {
                id: Some(id),
                seals,
                keys: 0,
                secrets: 0,
            });
        }
        if let Some(at_rest) = device.keys_at_rest() {
            for (id, keys) in at_rest.counts().await? {
                of(&mut holdings, id.as_deref()).keys += keys;
            }
        }
        let mut after = None;
        loop {
            let rows = records::sealed_in(name, after, 1_000, self.log.ledger()).await?;
            let Some(last) = rows.last() else {
                return Ok(holdings);
            };
            after = Some(last.id);
            for row in &rows {
                let [secret, passphrase] = halves_under(device, row);
                // Both halves have to rest under a key before the row counts as the key's.
                let id = secret.filter(|id| passphrase.as_ref() == Some(id));
                of(&mut holdings, id.as_deref()).secrets += 1;
            }
        }
    }

    /// Seals a stretch anew. No transaction is open: the device may be slow.
    pub async fn prepare(
        &self,
        name: &Name,
        after: After,
        at_most: i64,
    ) -> Result<Prepared, ResealingError> {
        let device = self.device(name)?;
        let keys = sealing_keys(device).await?;
        let under = keys.into_iter().find(|key| key.seals).map(|key| key.id);
        let mut prepared = Prepared {
            device: name.clone(),
            under: under.unwrap_or_default(),
            what: after.what,
            keys: Vec::new(),
            secrets: Vec::new(),
            stuck: Vec::new(),
            next: None,
        };
        let at_rest = device.keys_at_rest().filter(|_| after.what == What::Keys);
        if let Some(at_rest) = at_rest {
            let stretch = at_rest.reseal(after.id, at_most).await?;
            prepared.keys = stretch.resealed;
            let stuck = stretch.stuck.into_iter();
            prepared.stuck = stuck.map(|(id, why)| Stuck { id, why }).collect();
            let what = stretch.last.map_or(What::Secrets, |_| What::Keys);
            let id = stretch.last;
            prepared.next = Some(After { what, id });
            return Ok(prepared);
        }
        prepared.what = What::Secrets;
        let id = after.id.filter(|_| after.what == What::Secrets);
        let rows = records::sealed_in(name, id, at_most, self.log.ledger()).await?;
        for row in &rows {
            if halves_under(device, row)
                .iter()
                .all(|id| id.as_ref() == Some(&prepared.under))
            {
                continue;
            }
            match row.resealed(&self.vault, name).await {
                Ok(pair) => prepared.secrets.push((row.id, row.sealed.version, pair)),
                // A secret that does not open is the row's trouble. A device that is away is everybody's.
                Err(
                    error @ (CustodyError::DoesNotOpen
                    | CustodyError::SealingKeyMissing(_)
                    | CustodyError::NotFound { .. }
                    | CustodyError::Refused(_)
                    | CustodyError::Nonsense(_)),
                ) => prepared.stuck.push(Stuck {
                    id: row.id,
                    why: error.to_string(),
                }),
                Err(error) => return Err(error.into()),
            }
        }
        prepared.next = rows.last().map(|row| After {
            what: What::Secrets,
            id: Some(row.id),
        });
        Ok(prepared)
    }

    /// Writes a stretch. A row that changed since it was read stays as it is.
    pub(crate) async fn put(
        &self,
        prepared: &Prepared,
        change: &mut Change,
    ) -> Result<Step, ResealingError> {
        let device = self.device(&prepared.device)?;
        let mut resealed = 0;
        if let Some(at_rest) = device.keys_at_rest()
            && !prepared.keys.is_empty()
        {
            resealed += at_rest.put(&prepared.keys, change.tx()).await?;
        }
        for (id, from, pair) in &prepared.secrets {
            resealed += u64::from(records::put_resealed(*id, *from, pair, change.tx()).await?);
        }
        let details = json!({
            "device": prepared.device, "what": prepared.what, "under": prepared.under,
            "resealed": resealed, "stuck": prepared.stuck.len(),
        });
        change.note("reseal", Uuid::now_v7(), &details);
        Ok(Step {
            resealed,
            stuck: prepared.stuck.clone(),
            next: prepared.next,
        })
    }

    /// Has the device make a new sealing key; the former ones still open. The order is on record before the
    /// device gets it.
    pub async fn make_key(
        &self,
        name: &Name,
        reason: &str,
        permit: &Permit,
    ) -> Result<String, ResealingError> {
        let maker = self.device(name)?.makes_sealing_keys().ok_or_else(|| {
            let why = "making a sealing key: this device's is named by the configuration; name a new \
                       one there, and the former one beside it";
            CustodyError::Unsupported(why.into())
        })?;
        let details = json!({ "device": name, "reason": reason });
        self.note("make-sealing-key", permit, &details).await?;
        Ok(maker.make_sealing_key().await?)
    }

    /// Has the device destroy a former sealing key under which nothing rests. A key that is already gone
    /// counts as destroyed.
    pub async fn destroy_key(
        &self,
        name: &Name,
        id: &str,
        reason: &str,
        permit: &Permit,
    ) -> Result<(), ResealingError> {
        permit.loosen()?;
        let device = self.device(name)?;
        let keys = sealing_keys(device).await?;
        let current = keys.iter().find(|key| key.seals);
        if let Some(current) = current {
            if current.id == id {
                let why = "it is the key that seals now: make another one first";
                return Err(ResealingError::InUse(why.into()));
            }
            if !current.made_at.is_none_or(|made| self.is_settled(made)) {
                let why = "its successor is too new: what was sealed just before may not be in its \
                           row yet; repeat a quarter of an hour after it was made";
                return Err(ResealingError::InUse(why.into()));
            }
        }
        let holdings = self.holdings(name).await?;
        let unnamed = holdings.iter().find(|it| it.id.is_none());
        if let Some(unnamed) = unnamed.filter(|it| it.secrets > 0) {
            let why = format!(
                "{} API keys rest under no key that is known: reseal, or derive them again",
                unnamed.secrets
            );
            return Err(ResealingError::InUse(why));
        }
        let it = holdings.iter().find(|it| it.id.as_deref() == Some(id));
        let it = it.ok_or(ResealingError::NoSuchKey)?;
        if it.secrets > 0 {
            let why = format!("{} API keys rest under it: reseal first", it.secrets);
            return Err(ResealingError::InUse(why));
        }
        let maker = device.makes_sealing_keys().ok_or_else(|| {
            CustodyError::Unsupported(format!(
                "destroying sealing key {id}: it is not the device's; take it out of the configuration"
            ))
        })?;
        let details = json!({ "device": name, "key": id, "reason": reason });
        self.note("destroy-sealing-key", permit, &details).await?;
        Ok(maker.destroy_sealing_key(id).await?)
    }

    /// Puts on record what a device did with a sealing key.
    pub(crate) fn done(what: &str, name: &Name, id: &str, change: &mut Change) {
        let details = json!({ "device": name, "key": id });
        change.note(what, Uuid::now_v7(), &details);
    }

    fn is_settled(&self, made: OffsetDateTime) -> bool {
        self.clock.now() - made >= SETTLED
    }

    fn device(&self, name: &Name) -> Result<&dyn Custody, ResealingError> {
        if self.vault.names().any(|known| known == name) {
            Ok(self.vault.backend(name)?)
        } else {
            Err(ResealingError::NoSuchDevice)
        }
    }

    /// Puts on record what a device is asked, before it is, and who has agreed.
    async fn note(
        &self,
        action: &str,
        permit: &Permit,
        details: &serde_json::Value,
    ) -> Result<(), ResealingError> {
        let approval = permit.loosen()?;
        let mut change = self.log.begin(Gate::Shared, permit.author()).await?;
        change.note_as(approval, action, Uuid::now_v7(), details);
        change.commit().await?;
        Ok(())
    }
}

async fn sealing_keys(device: &dyn Custody) -> Result<Vec<DeviceSealingKey>, CustodyError> {
    match device.seals() {
        Some(sealer) => sealer.sealing_keys().await,
        None => Ok(Vec::new()),
    }
}

/// Under which sealing keys a row's two halves rest.
fn halves_under(device: &dyn Custody, row: &Resting) -> [Option<String>; 2] {
    let under = |half: &Vec<u8>| device.seals()?.sealed_under(half);
    [&row.sealed.secret, &row.sealed.passphrase].map(under)
}

/// The holding of a key of the device. All other keys share one holding without an id.
fn of<'a>(holdings: &'a mut Vec<Holding>, id: Option<&str>) -> &'a mut Holding {
    let known = holdings
        .iter()
        .position(|it| it.id.as_deref() == id && id.is_some());
    let at = known.or_else(|| holdings.iter().position(|it| it.id.is_none()));
    let at = at.unwrap_or_else(|| {
        holdings.push(Holding {
            id: None,
            seals: false,
            keys: 0,
            secrets: 0,
        });
        holdings.len() - 1
    });
    &mut holdings[at]
}
