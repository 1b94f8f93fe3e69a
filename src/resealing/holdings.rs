//! How much rests under which sealing key.

use super::{Resealing, ResealingError, halves_under, sealing_keys};
use crate::credentials::records;
use crate::custody::DeviceSealingKey;
use crate::name::Name;

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

impl Resealing {
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
