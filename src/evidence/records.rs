//! `log_head`, `log_runs`, `log_batches`, `log_nodes`, `log_keys` and `checkpoints`; and a look at
//! `leaves`, which `audit` writes.

use time::OffsetDateTime;
use uuid::Uuid;

use super::growth::{Grown, Unplaced};
use crate::ledger::{Ledger, LedgerError};
use crate::tlog::{Frontier, Hash};

/// The log's name, if it has one.
pub(super) async fn name(ledger: &Ledger) -> Result<Option<String>, LedgerError> {
    let origin = sqlx::query_scalar!("select origin from log_head")
        .fetch_optional(ledger.pool())
        .await?;
    Ok(origin)
}

/// How far the tree has come.
pub(super) struct Head {
    pub(super) origin: String,
    pub(super) tree: Frontier,
}

/// Names the log, if it has no name yet; says which it has.
pub(super) async fn name_log(origin: &str, ledger: &Ledger) -> Result<String, LedgerError> {
    sqlx::query!(
        "insert into log_head (origin) values ($1) on conflict do nothing",
        origin
    )
    .execute(ledger.pool())
    .await?;
    let none = || LedgerError::Corrupt("log_head", "it is gone".into());
    name(ledger).await?.ok_or_else(none)
}

pub(super) async fn head(ledger: &Ledger) -> Result<Head, LedgerError> {
    let row = sqlx::query!("select origin, size, frontier from log_head")
        .fetch_one(ledger.pool())
        .await?;
    let (hashes, rest) = row.frontier.as_chunks::<32>();
    let tree = Frontier::new(row.size.cast_unsigned(), hashes.to_vec());
    let tree = tree.filter(|_| rest.is_empty());
    Ok(Head {
        origin: row.origin,
        tree: tree.ok_or_else(|| {
            LedgerError::Corrupt("log_head", "its frontier does not fit its size".into())
        })?,
    })
}

/// Leaves that have no place in the tree yet, by run, batch and position.
pub(super) async fn unplaced(
    at_most: usize,
    ledger: &Ledger,
) -> Result<Vec<Unplaced>, LedgerError> {
    let rows = sqlx::query!(
        r#"select w.run, coalesce(r.batch, 0) as "before!", l.batch, l.position, l.leaf_hash,
                  sha256('\x00'::bytea || l.leaf) = l.leaf_hash as "fits!"
           from writers w
           left join log_runs r on r.run = w.run
           cross join lateral (
               select batch, position, leaf_hash, leaf from leaves l
               where l.run = w.run and l.batch > coalesce(r.batch, 0)
               order by l.batch, l.position limit $1) l
           order by w.run, l.batch, l.position limit $1"#,
        i64::try_from(at_most).unwrap_or(i64::MAX),
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Unplaced {
                run: row.run,
                before: row.before,
                batch: row.batch,
                position: row.position,
                hash: hash_of(row.leaf_hash)?,
                fits: row.fits,
            })
        })
        .collect()
}

/// Appends; `false`: another was first.
pub(super) async fn grow(from: u64, grown: &Grown, ledger: &Ledger) -> Result<bool, LedgerError> {
    let frontier = grown.tree.hashes().concat();
    let is_first = sqlx::query_scalar!(
        r#"select grow_log($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as "first!""#,
        from.cast_signed(),
        grown.tree.size().cast_signed(),
        frontier,
        &grown.batches.run,
        &grown.batches.batch,
        &grown.batches.first,
        &grown.batches.leaves,
        &grown.nodes.level,
        &grown.nodes.index,
        &grown.nodes.hash,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(is_first)
}

/// The hashes of leaves by their indexes, from one up to before another, range by range. Each batch is looked
/// up by itself: `offset 0` keeps the planner from joining all of one table with all of the other.
pub(super) async fn leaf_hashes(
    ranges: &[(u64, u64)],
    ledger: &Ledger,
) -> Result<Vec<Hash>, LedgerError> {
    let (from, to): (Vec<_>, Vec<_>) = ranges
        .iter()
        .map(|(from, to)| (from.cast_signed(), to.cast_signed()))
        .unzip();
    let rows = sqlx::query_scalar!(
        r#"select l.leaf_hash as "hash!"
           from unnest($1::bigint[], $2::bigint[]) with ordinality as r (lo, hi, n)
           cross join lateral (
               select b.first, b.run, b.batch from log_batches b
               where b.first < r.hi
                 and b.first >= (select max(first) from log_batches where first <= r.lo)
               offset 0) b
           cross join lateral (
               select l.position, l.leaf_hash from leaves l where l.run = b.run and l.batch = b.batch
               offset 0) l
           where b.first + l.position >= r.lo and b.first + l.position < r.hi
           order by r.n, b.first + l.position"#,
        &from,
        &to,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(hash_of).collect()
}

/// The hashes of stored nodes of one level, from one index up to before another, range by range.
pub(super) async fn nodes(
    ranges: &[(u32, u64, u64)],
    ledger: &Ledger,
) -> Result<Vec<Hash>, LedgerError> {
    let level: Vec<_> = ranges
        .iter()
        .map(|it| i16::try_from(it.0).unwrap_or(0))
        .collect();
    let from: Vec<_> = ranges.iter().map(|it| it.1.cast_signed()).collect();
    let to: Vec<_> = ranges.iter().map(|it| it.2.cast_signed()).collect();
    let rows = sqlx::query_scalar!(
        r#"select l.hash as "hash!"
           from unnest($1::smallint[], $2::bigint[], $3::bigint[]) with ordinality as r (level, lo, hi, n)
           join log_nodes l on l.level = r.level and l.index >= r.lo and l.index < r.hi
           order by r.n, l.index"#,
        &level,
        &from,
        &to,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(hash_of).collect()
}

/// A leaf: its index, where it has one by now, and its bytes.
pub(super) struct Placed {
    pub(super) index: Option<u64>,
    pub(super) leaf: Vec<u8>,
}

/// The leaves of an intent: of what was to be signed, and of how it ended.
pub(super) async fn leaves_of(intent: Uuid, ledger: &Ledger) -> Result<Vec<Placed>, LedgerError> {
    let rows = sqlx::query!(
        r#"select b.first + l.position as "index?", l.leaf
           from (select run, batch from intents where id = $1
                 union select run, batch from ends where intent_id = $1) at
           cross join lateral (
               select l.run, l.batch, l.position, l.kind, l.leaf from leaves l
               where l.run = at.run and l.batch = at.batch and l.subject_id = $1
               offset 0) l
           left join log_batches b on b.run = l.run and b.batch = l.batch
           order by l.kind = 'intent' desc"#,
        intent,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Placed {
            index: row.index.map(i64::cast_unsigned),
            leaf: row.leaf,
        })
        .collect())
}

/// The leaf of a change of something that has one.
pub(super) async fn leaf_about(
    subject: Uuid,
    ledger: &Ledger,
) -> Result<Option<Placed>, LedgerError> {
    let row = sqlx::query!(
        r#"select b.first + l.position as "index?", l.leaf
           from leaves l
           left join lateral (
               select b.first from log_batches b where b.run = l.run and b.batch = l.batch offset 0) b on true
           where l.subject_id = $1 and l.kind = 'admin'
             and l.kind not in ('intent', 'released', 'refused', 'abandoned')
           limit 1"#,
        subject,
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map(|row| Placed {
        index: row.index.map(i64::cast_unsigned),
        leaf: row.leaf,
    }))
}

/// The last checkpoint that was signed before a moment: its size, and the note.
pub(super) async fn checkpoint_before(
    at: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Option<(u64, String)>, LedgerError> {
    let row = sqlx::query!(
        "select size, note from checkpoints where signed_at < $1 order by signed_at desc, size desc limit 1",
        at
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map(|row| (row.size.cast_unsigned(), row.note)))
}

/// Leaves from an index on, at most so many, in the order of the tree.
pub(super) async fn leaves(
    from: u64,
    limit: u16,
    ledger: &Ledger,
) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
    let end = i64::try_from(from).ok();
    if end.and_then(|it| it.checked_add(limit.into())).is_none() {
        return Ok(Vec::new()); // no log is as long
    }
    let rows = sqlx::query!(
        r#"select b.first + l.position as "index!", l.leaf
           from (select first, run, batch from log_batches
                 where first >= (select max(first) from log_batches where first <= $1) and first < $1 + $2
                 offset 0) b
           cross join lateral (
               select l.position, l.leaf from leaves l where l.run = b.run and l.batch = b.batch
               offset 0) l
           where b.first + l.position >= $1 and b.first + l.position < $1 + $2
           order by b.first + l.position"#,
        from.cast_signed(),
        i64::from(limit),
    )
    .fetch_all(ledger.pool())
    .await?;
    let leaves = rows
        .into_iter()
        .map(|row| (row.index.cast_unsigned(), row.leaf));
    Ok(leaves.collect())
}

/// A key of the log, sealed.
pub(super) struct SealedKey {
    /// Keys count from 1; the last one signs.
    pub(super) number: i32,
    pub(super) public: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

/// The key that signs.
pub(super) async fn newest_key(ledger: &Ledger) -> Result<Option<SealedKey>, LedgerError> {
    let row = sqlx::query!(
        "select number, public_key, sealed from log_keys order by number desc limit 1"
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map(|row| SealedKey {
        number: row.number,
        public: row.public_key,
        sealed: row.sealed,
    }))
}

/// Keeps a key, unless there is one of its number: two replicas may start together.
pub(super) async fn insert_key(key: &SealedKey, ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into log_keys (number, public_key, sealed) values ($1, $2, $3) on conflict do nothing",
        key.number,
        key.public,
        key.sealed,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Keeps a key as it is sealed now.
pub(super) async fn reseal_key(
    key: &SealedKey,
    sealed: &[u8],
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update log_keys set sealed = $3 where number = $1 and sealed = $2",
        key.number,
        key.sealed,
        sealed,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// The newest checkpoint that was signed.
pub(super) async fn newest_checkpoint(ledger: &Ledger) -> Result<Option<String>, LedgerError> {
    let note = sqlx::query_scalar!("select note from checkpoints order by size desc limit 1")
        .fetch_optional(ledger.pool())
        .await?;
    Ok(note)
}

/// The checkpoint of a size: this one, unless there was one before.
pub(super) async fn keep_checkpoint(
    size: u64,
    note: &str,
    ledger: &Ledger,
) -> Result<String, LedgerError> {
    sqlx::query!(
        "insert into checkpoints (size, note) values ($1, $2) on conflict do nothing",
        size.cast_signed(),
        note,
    )
    .execute(ledger.pool())
    .await?;
    let note = sqlx::query_scalar!(
        "select note from checkpoints where size = $1",
        size.cast_signed()
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(note)
}

fn hash_of(bytes: Vec<u8>) -> Result<Hash, LedgerError> {
    let short = |_| LedgerError::Corrupt("leaves", "a hash has 32 bytes".into());
    bytes.try_into().map_err(short)
}
