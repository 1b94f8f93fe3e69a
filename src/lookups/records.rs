//! `log_stretches` and `log_terms`; and looks at leaves and rows that others write.

use time::OffsetDateTime;
use uuid::Uuid;

use super::places::Stretch;
use super::terms::Term;
use crate::ledger::{Ledger, LedgerError};

/// How many leaves the tree has.
pub(super) async fn size(ledger: &Ledger) -> Result<u64, LedgerError> {
    let size = sqlx::query_scalar!("select size from log_head")
        .fetch_optional(ledger.pool())
        .await?;
    Ok(size.unwrap_or_default().cast_unsigned())
}

/// How many stretches can be found.
pub(super) async fn stretches(ledger: &Ledger) -> Result<i32, LedgerError> {
    let last =
        sqlx::query_scalar!("select stretch from log_stretches order by stretch desc limit 1")
            .fetch_optional(ledger.pool())
            .await?;
    Ok(last.map_or(0, |last| last + 1))
}

/// Makes a stretch known, unless another replica was first.
pub(super) async fn index(
    number: i32,
    stretch: &Stretch,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query_scalar!(
        "select index_log($1, $2, $3, $4, $5)",
        number,
        stretch.from_ms,
        stretch.to_ms,
        &stretch.terms,
        &stretch.places,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(())
}

/// A leaf and its index in the tree.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) index: u64,
    pub(super) leaf: Vec<u8>,
}

/// Leaves from one index up to before another, in their order; releases are left out.
pub(super) async fn between(
    from: u64,
    to: u64,
    ledger: &Ledger,
) -> Result<Vec<Placed>, LedgerError> {
    let rows = sqlx::query!(
        r#"select b.first + l.position as "index!", l.leaf
           from (select first, run, batch from log_batches
                 where first >= (select max(first) from log_batches where first <= $1) and first < $2
                 offset 0) b
           cross join lateral (
               select l.position, l.leaf from leaves l
               where l.run = b.run and l.batch = b.batch and l.kind <> 'released'
               offset 0) l
           where b.first + l.position >= $1 and b.first + l.position < $2
           order by b.first + l.position"#,
        from.cast_signed(),
        to.cast_signed(),
    )
    .fetch_all(ledger.pool())
    .await?;
    let placed = rows.into_iter().map(|row| Placed {
        index: row.index.cast_unsigned(),
        leaf: row.leaf,
    });
    Ok(placed.collect())
}

/// Leaves by their indexes, in that order; releases are left out.
pub(super) async fn at(indexes: &[u64], ledger: &Ledger) -> Result<Vec<Placed>, LedgerError> {
    let indexes: Vec<i64> = indexes.iter().map(|it| it.cast_signed()).collect();
    let rows = sqlx::query!(
        r#"select i.index as "index!", l.leaf
           from unnest($1::bigint[]) with ordinality as i (index, n)
           cross join lateral (
               select b.first, b.run, b.batch from log_batches b
               where b.first <= i.index order by b.first desc limit 1) b
           cross join lateral (
               select l.leaf from leaves l
               where l.run = b.run and l.batch = b.batch and l.position = i.index - b.first
                 and l.kind <> 'released'
               offset 0) l
           order by i.n"#,
        &indexes,
    )
    .fetch_all(ledger.pool())
    .await?;
    let placed = rows.into_iter().map(|row| Placed {
        index: row.index.cast_unsigned(),
        leaf: row.leaf,
    });
    Ok(placed.collect())
}

/// Leaves of what was to be signed, by the ids of the intents.
pub(super) async fn intents(ids: &[Uuid], ledger: &Ledger) -> Result<Vec<Placed>, LedgerError> {
    let rows = sqlx::query!(
        r#"select b.first + l.position as "index?", l.leaf
           from unnest($1::uuid[]) with ordinality as a (id, n)
           cross join lateral (select i.run, i.batch from intents i where i.id = a.id offset 0) i
           cross join lateral (
               select l.position, l.leaf from leaves l
               where l.run = i.run and l.batch = i.batch and l.subject_id = a.id and l.kind = 'intent'
               offset 0) l
           left join lateral (
               select b.first from log_batches b where b.run = i.run and b.batch = i.batch offset 0) b on true
           order by a.n"#,
        ids,
    )
    .fetch_all(ledger.pool())
    .await?;
    let placed = rows.into_iter().filter_map(|row| {
        Some(Placed {
            index: row.index?.cast_unsigned(),
            leaf: row.leaf,
        })
    });
    Ok(placed.collect())
}

/// A stretch that has all terms, and where in it each is.
pub(super) struct Hit {
    pub(super) stretch: i32,
    pub(super) places: Vec<Vec<u8>>,
}

/// Stretches between these that have the first term, the last first; and where in each all the terms are.
pub(super) async fn hits(
    terms: &[Term],
    (from, to): (i32, i32),
    at_most: i64,
    ledger: &Ledger,
) -> Result<Vec<Hit>, LedgerError> {
    let Some((first, others)) = terms.split_first() else {
        return Ok(Vec::new());
    };
    let others: Vec<i64> = others.iter().map(|it| it.number()).collect();
    let rows = sqlx::query!(
        r#"select a.stretch, a.places,
                  array(select o.places from unnest($2::bigint[]) as w (term)
                        cross join lateral (
                            select t.places from log_terms t where t.term = w.term and t.stretch = a.stretch
                            offset 0) o) as "others!: Vec<Vec<u8>>"
           from log_terms a
           where a.term = $1 and a.stretch between $3 and $4
           order by a.stretch desc limit $5"#,
        first.number(),
        &others,
        from,
        to,
        at_most,
    )
    .fetch_all(ledger.pool())
    .await?;
    let hits = rows.into_iter().map(|row| {
        let mut places = row.others;
        // One that lacks a term has nothing that has all of them.
        if places.len() == others.len() {
            places.push(row.places);
        } else {
            places = vec![Vec::new()];
        }
        Hit {
            stretch: row.stretch,
            places,
        }
    });
    Ok(hits.collect())
}

/// The first and the last stretch with anything from one moment up to before another, in milliseconds since 1970.
pub(super) async fn stretches_of(
    from_ms: i64,
    to_ms: i64,
    ledger: &Ledger,
) -> Result<Option<(i32, i32)>, LedgerError> {
    let row = sqlx::query!(
        r#"select (select stretch from log_stretches where to_ms >= $1 order by stretch limit 1) as first,
                  (select stretch from log_stretches where from_ms < $2 order by stretch desc limit 1) as last"#,
        from_ms,
        to_ms,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(row.first.zip(row.last))
}

/// The intents of logins with a nonce at an account of the CLOB, the newest first, at most 100.
pub(super) async fn logins(
    account: Uuid,
    nonce: &str,
    ledger: &Ledger,
) -> Result<Vec<Uuid>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select intent_id from logins where account_id = $1 and nonce = $2::text::numeric
         order by intent_id desc limit 100",
        account,
        nonce,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(ids)
}

/// How an intent ended.
pub(super) struct End {
    pub(super) intent: Uuid,
    pub(super) outcome: String,
    pub(super) reason: Option<String>,
    pub(super) at: OffsetDateTime,
    pub(super) order_hash: Option<Vec<u8>>,
}

/// How these intents ended, those that have.
pub(super) async fn ends(intents: &[Uuid], ledger: &Ledger) -> Result<Vec<End>, LedgerError> {
    let rows = sqlx::query_as!(
        End,
        r#"select a.id as "intent!", e.outcome, e.reason, e.ended_at as at, e.order_hash
           from unnest($1::uuid[]) as a (id)
           cross join lateral (
               select e.outcome, e.reason, e.ended_at, e.order_hash from ends e where e.intent_id = a.id
               offset 0) e"#,
        intents,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows)
}

/// Something that has a name.
pub(super) struct NameOf {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) name: String,
}

/// What these ids are the ids of, as far as it has a name.
pub(super) async fn names(ids: &[Uuid], ledger: &Ledger) -> Result<Vec<NameOf>, LedgerError> {
    let rows = sqlx::query_as!(
        NameOf,
        r#"select id as "id!", 'caller' as "kind!", name as "name!" from callers where id = any($1)
           union all select id, 'person', name from people where id = any($1)
           union all select id, 'key', name from keys where id = any($1)
           union all select id, 'wallet', name from wallets where id = any($1)
           union all select id, 'client', name from clients where id = any($1)"#,
        ids,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows)
}

/// What has this name.
pub(super) async fn named(name: &str, ledger: &Ledger) -> Result<Vec<NameOf>, LedgerError> {
    let rows = sqlx::query_as!(
        NameOf,
        r#"select id as "id!", 'caller' as "kind!", name as "name!" from callers where name = $1
           union all select id, 'person', name from people where name = $1
           union all select id, 'key', name from keys where name = $1
           union all select id, 'wallet', name from wallets where name = $1
           union all select id, 'client', name from clients where name = $1"#,
        name,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows)
}

/// The CLOB's account of a wallet's key.
pub(super) async fn account(
    chain_id: i64,
    address: &[u8],
    ledger: &Ledger,
) -> Result<Option<Uuid>, LedgerError> {
    let id = sqlx::query_scalar!(
        "select id from accounts where chain_id = $1 and address = $2",
        chain_id,
        address,
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(id)
}
