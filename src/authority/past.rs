//! What held before. All versions are kept; read once more, all of them prove themselves once more.

use time::OffsetDateTime;
use uuid::Uuid;

use super::row::Row;
use super::seal::link;
use super::{Authority, Kind, Snapshot, Stated, Version, records};
use crate::id::CallerId;
use crate::ledger::LedgerError;

/// A version as it is on record, with what chains it to the one before.
#[derive(Clone, Debug)]
pub struct Written {
    /// Which.
    pub version: Version,
    /// When it was decided.
    pub at: OffsetDateTime,
    /// By whom.
    pub by: CallerId,
    /// What kind of thing it is of.
    pub kind: String,
    /// Which thing.
    pub id: Uuid,
    /// Whether something that was allowed may not be allowed any more.
    pub tightens: bool,
    /// What holds, in the form of its kind; `None`: it is gone.
    pub body: Option<Vec<u8>>,
    /// SHA-256 over this and the link of the one before.
    pub link: Option<[u8; 32]>,
}

impl Authority {
    /// Versions as they are on record, after one, at most so many. Whoever exports them compares their links.
    pub async fn written(
        &self,
        after: Version,
        at_most: usize,
    ) -> Result<Vec<Written>, LedgerError> {
        let page = records::page(after, at_most, &self.0.ledger).await?;
        let written = page.rows.into_iter().map(|row| Written {
            version: row.version,
            at: row.at,
            by: row.by,
            kind: row.kind,
            id: row.id,
            tightens: row.tightens,
            body: row.body,
            link: row.link,
        });
        Ok(written.collect())
    }

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

/// What chains a version to the one before, whose link this is. Of the first, all zeros are the one before.
pub fn chained(before: &[u8; 32], it: &Written) -> [u8; 32] {
    let row = Row {
        version: it.version,
        at: it.at,
        by: it.by,
        kind: it.kind.clone(),
        id: it.id,
        tightens: it.tightens,
        body: it.body.clone(),
        link: None,
    };
    link(before, &row)
}
