//! `authority` and `authority_head`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::row::{Link, News, Row};
use super::seal::{Seal, link};
use super::{Head, Kind, Said, Version};
use crate::id::CallerId;
use crate::ledger::{Ledger, LedgerError, Tx};

/// So many versions are loaded at a time: each time has its own patience, so that a long history is loaded too.
const PAGE: usize = 20_000;

/// What was decided since a version.
pub(super) async fn since(version: Version, ledger: &Ledger) -> Result<News, LedgerError> {
    let mut news = page(version, PAGE, ledger).await?;
    let mut loaded = news.rows.len();
    while loaded == PAGE {
        let last = news.rows.last().map_or(version, |it| it.version);
        let next = page(last, PAGE, ledger).await?;
        loaded = next.rows.len();
        let mut rows = news.rows;
        rows.extend(next.rows);
        news = News { rows, ..next };
    }
    Ok(news)
}

/// At most so many of what was decided since a version.
pub(super) async fn page(
    version: Version,
    at_most: usize,
    ledger: &Ledger,
) -> Result<News, LedgerError> {
    let rows = sqlx::query!(
        r#"select h.version as head, h.tightened, h.link as head_link, h.seal, a.version as "version?",
                  a.decided_at as "at?", a.decided_by as "by?", a.kind as "kind?", a.id as "id?",
                  a.tightens as "tightens?", a.body, a.link
         from authority_head h
         left join lateral (select * from authority where version > $1 order by version limit $2) a on true
         order by a.version"#,
        version.number(),
        i64::try_from(at_most).unwrap_or(i64::MAX),
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

/// A version that is to be added.
pub(crate) struct New<'a> {
    pub(crate) thing: (Kind, Uuid),
    /// `None`: the thing is gone.
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) tightens: bool,
}

impl<'a> New<'a> {
    /// What a row says.
    pub(crate) fn of(said: &'a Said, tightens: bool) -> Self {
        Self {
            thing: said.thing(),
            body: said.body.as_deref(),
            tightens,
        }
    }
}

/// Adds versions after one whose seal is good; says which is the last. Whoever adds the next waits until these
/// are committed.
pub(crate) async fn add(
    new: &[New<'_>],
    (by, at): (CallerId, OffsetDateTime),
    seal: &Seal,
    tx: &mut Tx,
) -> Result<Version, LedgerError> {
    let before =
        sqlx::query!("select version, tightened, link, seal from authority_head for update")
            .fetch_optional(tx.connection())
            .await?
            .ok_or_else(gone)?;
    let mut head = Head {
        version: Version::from_ledger(before.version),
        tightened: Version::from_ledger(before.tightened),
    };
    let mut last = as_link(before.link).unwrap_or_default();
    if !seal.is_of(head, &last, before.seal.as_deref()) {
        let why = format!("version {} has no good seal", before.version);
        return Err(LedgerError::Falsified("authority_head", why));
    }
    // As the ledger keeps it.
    let at = at
        .replace_nanosecond(at.microsecond() * 1_000)
        .unwrap_or(at);
    let mut columns = Columns::default();
    for it in new {
        head.version = Version::from_ledger(head.version.number() + 1);
        let row = Row {
            version: head.version,
            at,
            by,
            kind: it.thing.0.name().to_owned(),
            id: it.thing.1,
            tightens: it.tightens,
            body: it.body.map(<[u8]>::to_vec),
            link: None,
        };
        if it.tightens {
            head.tightened = head.version;
        }
        last = link(&last, &row);
        columns.push(row, last);
    }
    let sealed = seal.seal(head, &last);
    sqlx::query!(
        "with head as (
             update authority_head set version = $1, tightened = $2, link = $3, seal = $4)
         insert into authority (version, decided_at, decided_by, kind, id, body, tightens, link)
         select version, $5, $6, kind, id, body, tightens, link
         from unnest($7::bigint[], $8::text[], $9::uuid[], $10::bytea[], $11::bool[], $12::bytea[])
             as it (version, kind, id, body, tightens, link)",
        head.version.number(),
        head.tightened.number(),
        last.as_slice(),
        sealed.as_slice(),
        at,
        by.uuid(),
        &columns.versions,
        &columns.kinds,
        &columns.ids,
        &columns.bodies as &[Option<Vec<u8>>],
        &columns.tighten,
        &columns.links,
    )
    .execute(tx.connection())
    .await?;
    Ok(head.version)
}

/// Versions, column by column.
#[derive(Default)]
struct Columns {
    versions: Vec<i64>,
    kinds: Vec<String>,
    ids: Vec<Uuid>,
    bodies: Vec<Option<Vec<u8>>>,
    tighten: Vec<bool>,
    links: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, row: Row, link: Link) {
        self.versions.push(row.version.number());
        self.kinds.push(row.kind);
        self.ids.push(row.id);
        self.bodies.push(row.body);
        self.tighten.push(row.tightens);
        self.links.push(link.to_vec());
    }
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
