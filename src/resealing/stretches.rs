//! Stretches of what rests, sealed anew one after the other.

use serde_json::json;
use uuid::Uuid;

use super::{Resealing, ResealingError, halves_under, sealing_keys};
use crate::audit::Change;
use crate::credentials::SealedPair;
use crate::credentials::records;
use crate::custody::{CustodyError, ResealedKey};
use crate::name::Name;

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

impl Resealing {
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
}
