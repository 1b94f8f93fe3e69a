//! What held before. All versions are kept; read once more, all of them prove themselves once more.

use time::OffsetDateTime;
use uuid::Uuid;

use super::row::Row;
use super::{Authority, Kind, Snapshot, Stated, Version, records};
use crate::ledger::LedgerError;

impl Authority {
    /// What held at a moment.
    pub async fn as_of(&self, at: OffsetDateTime) -> Result<Snapshot, LedgerError> {
        let mut then = None;
        let now = self.go_through(|before, row| {
            if row.at > at && then.is_none() {
                then = Some(before.clone());
            }
        });
        let now = now.await?;
        Ok(then.unwrap_or(now))
    }

    /// All that was ever stated of a thing, the oldest first.
    pub async fn history(&self, kind: Kind, id: Uuid) -> Result<Vec<Stated>, LedgerError> {
        let mut all = Vec::new();
        self.go_through(|_, row| {
            if row.kind == kind.name()
                && row.id == id
                && let Some(body) = &row.body
            {
                all.push(Stated {
                    version: row.version,
                    at: row.at,
                    by: row.by,
                    body: body.as_slice().into(),
                });
            }
        })
        .await?;
        Ok(all)
    }

    /// Goes through all versions from the first on.
    async fn go_through(&self, look: impl FnMut(&Snapshot, &Row)) -> Result<Snapshot, LedgerError> {
        let known = self.now().version();
        let all = records::since(Version::default(), &self.0.ledger).await?;
        let now = Snapshot::default().through(all, &self.0.seal, look)?;
        if now.version() < known {
            let (ours, theirs) = (known.number(), now.version().number());
            let why = format!("it went back from version {ours} to {theirs}");
            return Err(LedgerError::Falsified("authority", why));
        }
        Ok(now)
    }
}
