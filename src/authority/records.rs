//! `authority` and `authority_head`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Kind, Version};
use crate::id::CallerId;
use crate::ledger::{Ledger, LedgerError, Tx};

/// What came since a version, and how far that leads.
pub(super) struct News {
    pub(super) version: Version,
    pub(super) rows: Vec<Row>,
}

/// A version.
pub(super) struct Row {
    pub(super) version: Version,
    pub(super) at: OffsetDateTime,
    pub(super) by: CallerId,
    pub(super) kind: String,
    pub(super) id: Uuid,
    /// `None`: the thing is gone.
    pub(super) body: Option<Vec<u8>>,
}

pub(super) async fn since(version: Version, ledger: &Ledger) -> Result<News, LedgerError> {
    let rows = sqlx::query!(
        r#"select h.version as head, a.version as "version?", a.decided_at as "at?", a.decided_by as "by?",
                  a.kind as "kind?", a.id as "id?", a.body
         from authority_head h left join authority a on a.version > $1
         order by a.version"#,
        version.number(),
    )
    .fetch_all(ledger.pool())
    .await?;
    let head = rows.first().map(|row| row.head);
    let head = head.ok_or_else(|| LedgerError::Corrupt("authority_head", "it is gone".into()))?;
    let rows = rows.into_iter().filter_map(|row| {
        Some(Row {
            version: Version::from_ledger(row.version?),
            at: row.at?,
            by: row.by?.into(),
            kind: row.kind?,
            id: row.id?,
            body: row.body,
        })
    });
    Ok(News {
        version: Version::from_ledger(head),
        rows: rows.collect(),
    })
}

/// The version that says what holds of a thing, if anything does. Nobody adds one until the transaction ends.
pub(crate) async fn latest(
    (kind, id): (Kind, Uuid),
    tx: &mut Tx,
) -> Result<Option<Version>, LedgerError> {
    sqlx::query!("select version from authority_head for update")
        .fetch_optional(tx.connection())
        .await?
        .ok_or_else(|| LedgerError::Corrupt("authority_head", "it is gone".into()))?;
    let row = sqlx::query!(
        r#"select version, body is not null as "holds!" from authority where kind = $1 and id = $2
         order by version desc limit 1"#,
        kind.name(),
        id,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row
        .filter(|row| row.holds)
        .map(|row| Version::from_ledger(row.version)))
}

/// Adds a version. Whoever adds the next waits until this one is committed.
pub(crate) async fn add(
    (kind, id): (Kind, Uuid),
    body: Option<&[u8]>,
    tightens: bool,
    by: CallerId,
    tx: &mut Tx,
) -> Result<Version, LedgerError> {
    let version = sqlx::query_scalar!(
        r#"with head as (
             update authority_head
             set version = version + 1, tightened = case when $4 then version + 1 else tightened end
             returning version)
         insert into authority (version, kind, id, body, tightens, decided_by)
         select version, $1, $2, $3, $4, $5 from head
         returning version"#,
        kind.name(),
        id,
        body,
        tightens,
        by.uuid(),
    )
    .fetch_optional(tx.connection())
    .await?;
    let version = version.map(Version::from_ledger);
    version.ok_or_else(|| LedgerError::Corrupt("authority_head", "it is gone".into()))
}
