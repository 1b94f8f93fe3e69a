//! `authority` and `authority_head`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::row::{Link, News, Row};
use super::seal::{Seal, link};
use super::{Head, Kind, Version};
use crate::id::CallerId;
use crate::ledger::{Ledger, LedgerError, Tx};

pub(super) async fn since(version: Version, ledger: &Ledger) -> Result<News, LedgerError> {
    let rows = sqlx::query!(
        r#"select h.version as head, h.tightened, h.link as head_link, h.seal, a.version as "version?",
                  a.decided_at as "at?", a.decided_by as "by?", a.kind as "kind?", a.id as "id?",
                  a.tightens as "tightens?", a.body, a.link
         from authority_head h left join authority a on a.version > $1
         order by a.version"#,
        version.number(),
    )
    .fetch_all(ledger.pool())
    .await?;
    let first = rows.first().ok_or_else(gone)?;
    let head = Head {
        version: Version::from_ledger(first.head),
        tightened: Version::from_ledger(first.tightened),
    };
    let (head_link, seal) = (as_link(first.head_link.clone()), first.seal.clone());
    let rows = rows.into_iter().filter_map(|row| {
        Some(Row {
            version: Version::from_ledger(row.version?),
            at: row.at?,
            by: row.by?.into(),
            kind: row.kind?,
            id: row.id?,
            tightens: row.tightens?,
            body: row.body,
            link: as_link(row.link),
        })
    });
    Ok(News {
        head,
        link: head_link,
        seal,
        rows: rows.collect(),
    })
}

fn as_link(bytes: Option<Vec<u8>>) -> Option<Link> {
    bytes?.try_into().ok()
}

fn gone() -> LedgerError {
    LedgerError::Falsified("authority_head", "it is gone".into())
}

/// The version that says what holds of a thing, if anything does. Nobody adds one until the transaction ends.
pub(crate) async fn latest(
    (kind, id): (Kind, Uuid),
    tx: &mut Tx,
) -> Result<Option<Version>, LedgerError> {
    sqlx::query!("select version from authority_head for update")
        .fetch_optional(tx.connection())
        .await?
        .ok_or_else(gone)?;
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

/// Adds a version after one whose seal is good. Whoever adds the next waits until this one is committed.
pub(crate) async fn add(
    (kind, id): (Kind, Uuid),
    body: Option<&[u8]>,
    tightens: bool,
    (by, at): (CallerId, OffsetDateTime),
    seal: &Seal,
    tx: &mut Tx,
) -> Result<Version, LedgerError> {
    let before =
        sqlx::query!("select version, tightened, link, seal from authority_head for update")
            .fetch_optional(tx.connection())
            .await?
            .ok_or_else(gone)?;
    let head = Head {
        version: Version::from_ledger(before.version),
        tightened: Version::from_ledger(before.tightened),
    };
    let last = as_link(before.link).unwrap_or_default();
    if !seal.is_of(head, &last, before.seal.as_deref()) {
        let why = format!("version {} has no good seal", before.version);
        return Err(LedgerError::Falsified("authority_head", why));
    }
    let version = Version::from_ledger(before.version + 1);
    let row = Row {
        version,
        at: at
            .replace_nanosecond(at.microsecond() * 1_000)
            .unwrap_or(at), // as the ledger keeps it
        by,
        kind: kind.name().to_owned(),
        id,
        tightens,
        body: body.map(<[u8]>::to_vec),
        link: None,
    };
    let head = Head {
        version,
        tightened: if tightens { version } else { head.tightened },
    };
    let link = link(&last, &row);
    let sealed = seal.seal(head, &link);
    sqlx::query!(
        "with head as (
             update authority_head set version = $1, tightened = $2, link = $3, seal = $4)
         insert into authority (version, decided_at, kind, id, body, tightens, decided_by, link)
         values ($1, $5, $6, $7, $8, $9, $10, $3)",
        version.number(),
        head.tightened.number(),
        link.as_slice(),
        sealed.as_slice(),
        row.at,
        row.kind,
        id,
        body,
        tightens,
        by.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(version)
}

/// Seals the head that is there under the key that seals now.
pub(super) async fn seal_anew(
    head: Head,
    (former, new): (&[u8], &[u8]),
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update authority_head set seal = $3 where version = $1 and seal = $2",
        head.version.number(),
        former,
        new,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}
