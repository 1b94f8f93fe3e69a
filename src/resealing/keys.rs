//! Sealing keys that a device makes and destroys.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Resealing, ResealingError, sealing_keys};
use crate::audit::Change;
use crate::custody::CustodyError;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::Permit;

/// How long a new sealing key has to have sealed before its predecessor is destroyed: what was sealed under
/// the predecessor until then is in its row by that time.
const SETTLED: Duration = Duration::from_mins(15);

impl Resealing {
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
