//! A look at the tables that the laws are about, which others write.

use std::collections::HashMap;

use uuid::Uuid;

use super::PlaceOfLeaf;
use super::row::{Begun, Ended, Row};
use crate::custody::PublicKey;
use crate::ledger::{LedgerError, Tx};

/// The next leaves, in the order of runs, batches and positions, each with what is on record of its intent.
pub(super) async fn page(
    (run, batch, position): PlaceOfLeaf,
    tx: &mut Tx,
) -> Result<Vec<Row>, LedgerError> {
    let rows = sqlx::query!(
        r#"select l.run, l.batch, l.position, l.kind, l.subject_id, l.leaf, l.leaf_hash,
                  i.operation as "operation?", i.caller_id as "caller?", i.subject_id as "of?", i.key_id as "key?",
                  i.key_epoch as "key_epoch?", i.digest as "digest?", i.run as "begun_run?",
                  i.batch as "begun_batch?", e.outcome as "outcome?", e.attempt as "attempt?",
                  e.run as "ended_run?", e.batch as "ended_batch?", e.answer as "answer?",
                  e.answer_is_sealed as "is_sealed?", b.leaf as "begun_leaf?"
           from leaves l
           -- One row each, so that each is looked up by its index however few the planner expects.
           left join lateral (select * from intents i where i.id = l.subject_id limit 1) i
               on l.kind in ('intent', 'released', 'refused', 'abandoned')
           left join lateral (select * from ends e where e.intent_id = l.subject_id limit 1) e
               on l.kind in ('released', 'refused', 'abandoned')
           left join lateral (
               select b.leaf from leaves b
               where b.run = i.run and b.batch = i.batch and b.subject_id = i.id and b.kind = 'intent' limit 1) b
               on l.kind = 'released'
           where (l.run, l.batch, l.position) > ($1, $2, $3)
           order by l.run, l.batch, l.position limit 1000"#,
        run,
        batch,
        position,
    )
    .fetch_all(tx.connection())
    .await?;
    let mut page = Vec::with_capacity(rows.len());
    for row in rows {
        let begun = row.operation.zip(row.caller).zip(row.of);
        let begun = begun.zip(row.key_epoch).zip(row.digest);
        let begun = begun.zip(row.begun_run).zip(row.begun_batch);
        let begun = begun.map(
            |((((((operation, caller), subject), key_epoch), digest), run), batch)| Begun {
                operation,
                caller,
                subject,
                key_epoch,
                digest,
                run,
                batch,
            },
        );
        let ended = row.outcome.zip(row.attempt).zip(row.ended_run);
        let ended = ended.zip(row.ended_batch).zip(row.is_sealed);
        let (answer, key, begun_leaf) = (row.answer, row.key, row.begun_leaf);
        let ended = ended.map(|((((outcome, attempt), run), batch), is_sealed)| Ended {
            outcome,
            attempt,
            run,
            batch,
            answer,
            is_sealed,
        });
        page.push(Row {
            place: (row.run, row.batch, row.position),
            kind: row.kind,
            subject: row.subject_id,
            leaf: row.leaf,
            hash: row.leaf_hash,
            key,
            begun,
            ended,
            begun_leaf,
        });
    }
    Ok(page)
}

/// The public keys on record.
pub(super) async fn public_keys(tx: &mut Tx) -> Result<HashMap<Uuid, PublicKey>, LedgerError> {
    let rows = sqlx::query!(
        r#"select id, public_key as "public_key!" from keys where public_key is not null"#
    )
    .fetch_all(tx.connection())
    .await?;
    let read = |id: Uuid, der: &[u8]| {
        let key = PublicKey::from_spki_der(der);
        key.map_err(|error| LedgerError::Corrupt("keys", format!("{id}: {error}")))
    };
    rows.into_iter()
        .map(|row| Ok((row.id, read(row.id, &row.public_key)?)))
        .collect()
}

/// Intents whose `jti` is not on record as theirs.
pub(super) async fn without_jti(
    jtis: Vec<(Uuid, Uuid)>,
    tx: &mut Tx,
) -> Result<Vec<Uuid>, LedgerError> {
    let (intents, jtis): (Vec<_>, Vec<_>) = jtis.into_iter().unzip();
    let missing = sqlx::query_scalar!(
        r#"select intent as "intent!" from unnest($1::uuid[], $2::uuid[]) as said (intent, jti)
           where not exists (
               select 1 from jtis where jtis.jti = said.jti and jtis.intent_id = said.intent)"#,
        &intents,
        &jtis,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(missing)
}

/// Those of these intents that were never released.
pub(super) async fn never_released(
    intents: Vec<Uuid>,
    tx: &mut Tx,
) -> Result<Vec<Uuid>, LedgerError> {
    let missing = sqlx::query_scalar!(
        r#"select intent as "intent!" from unnest($1::uuid[]) as said (intent)
           where not exists (
               select 1 from ends where intent_id = said.intent and outcome = 'released')"#,
        &intents,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(missing)
}

/// Keys with an `r` that is not on record for this digest.
pub(super) async fn without_point(
    points: Vec<(Uuid, Vec<u8>, Vec<u8>)>,
    tx: &mut Tx,
) -> Result<Vec<Uuid>, LedgerError> {
    let (mut keys, mut rs, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for (key, r, digest) in points {
        keys.push(key);
        rs.push(r);
        digests.push(digest);
    }
    let missing = sqlx::query_scalar!(
        r#"select key as "key!" from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as said (key, r, digest)
           where not exists (
               select 1 from signature_points it
               where it.r = said.r and it.key_id = said.key and it.digest = said.digest)"#,
        &keys,
        &rs,
        &digests,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(missing)
}

/// Those of these intents that are no logins on record.
pub(super) async fn without_login(
    intents: Vec<Uuid>,
    tx: &mut Tx,
) -> Result<Vec<Uuid>, LedgerError> {
    let missing = sqlx::query_scalar!(
        r#"select intent as "intent!" from unnest($1::uuid[]) as said (intent)
           where not exists (select 1 from logins where intent_id = said.intent)"#,
        &intents,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(missing)
}

/// Intents without a leaf.
pub(super) async fn intents_without_leaf(tx: &mut Tx) -> Result<Vec<Uuid>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select id from intents i where not exists (
             select 1 from leaves l where l.run = i.run and l.batch = i.batch
                 and l.kind = 'intent' and l.subject_id = i.id)"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ids)
}

/// Intents whose end has no leaf.
pub(super) async fn ends_without_leaf(tx: &mut Tx) -> Result<Vec<Uuid>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select intent_id from ends e where not exists (
             select 1 from leaves l where l.run = e.run and l.batch = e.batch
                 and l.kind = e.outcome and l.subject_id = e.intent_id)"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ids)
}

/// How many intents have no end.
pub(super) async fn open(tx: &mut Tx) -> Result<u64, LedgerError> {
    let open = sqlx::query_scalar!(
        r#"select count(*) as "open!" from intents i
           where not exists (select 1 from ends where intent_id = i.id)"#
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u64::try_from(open).unwrap_or(0))
}
