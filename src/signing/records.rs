//! `intents`, `releases` and `jtis`.

use std::collections::HashSet;

use uuid::Uuid;

use super::ends::Outcome;
use super::group::Release;
use super::signatures::{By, Entry};
use super::{Jti, LARGEST_BATCH};
use crate::audit::leaf;
use crate::id::IntentId;
use crate::ledger::{Ledger, LedgerError, Tx};

pub(super) async fn insert_intents(
    rows: Vec<(leaf::Intent, serde_json::Value, Option<Jti>)>,
    lease_ms: u64,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    let mut ids = Vec::with_capacity(rows.len());
    let mut operations = Vec::with_capacity(rows.len());
    let mut callers = Vec::with_capacity(rows.len());
    let mut subjects = Vec::with_capacity(rows.len());
    let mut keys = Vec::with_capacity(rows.len());
    let mut epochs = Vec::with_capacity(rows.len());
    let mut requests = Vec::with_capacity(rows.len());
    let mut idempotency = Vec::with_capacity(rows.len());
    let mut digests = Vec::with_capacity(rows.len());
    let mut records = Vec::with_capacity(rows.len());
    let mut jtis = Vec::new();
    for (intent, record, jti) in rows {
        if let Some(jti) = jti {
            jtis.push((intent.intent, jti));
        }
        ids.push(intent.intent);
        operations.push(intent.operation);
        callers.push(intent.caller);
        subjects.push(intent.subject);
        keys.push(intent.key);
        epochs.push(intent.key_epoch);
        requests.push(intent.request_digest.to_vec());
        idempotency.push(intent.idempotency_key);
        digests.push(intent.digest.to_vec());
        records.push(record);
    }
    sqlx::query!(
        "insert into intents (id, operation, caller_id, subject_id, key_id, key_epoch,
                              request_digest, idempotency_key, digest, record, lease_until)
         select row.*, now() + make_interval(secs => $11::float8 / 1000)
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[],
                     $7::bytea[], $8::text[], $9::bytea[], $10::jsonb[]) as row",
        &ids,
        &operations,
        &callers,
        &subjects,
        &keys,
        &epochs,
        &requests,
        &idempotency as &[Option<String>],
        &digests,
        &records,
        i32::try_from(lease_ms).map_or(f64::from(i32::MAX), f64::from),
    )
    .execute(tx.connection())
    .await?;
    insert_jtis(&jtis, tx).await
}

async fn insert_jtis(rows: &[(Uuid, Jti)], tx: &mut Tx) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let jtis: Vec<_> = rows.iter().map(|(_, jti)| jti.jti).collect();
    let intents: Vec<_> = rows.iter().map(|(intent, _)| *intent).collect();
    let clients: Vec<_> = rows.iter().map(|(_, jti)| jti.client.uuid()).collect();
    let issued: Vec<_> = rows.iter().map(|(_, jti)| jti.issued_at).collect();
    let expires: Vec<_> = rows.iter().map(|(_, jti)| jti.expires_at).collect();
    sqlx::query!(
        "insert into jtis (jti, intent_id, client_id, issued_at, expires_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])",
        &jtis,
        &intents,
        &clients,
        &issued,
        &expires,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Ends intents that have no end yet and are still held by this attempt; says which.
pub(super) async fn end_intents(
    rows: &[(IntentId, i32, &Outcome<'_>)],
    tx: &mut Tx,
) -> Result<HashSet<IntentId>, LedgerError> {
    let ids: Vec<Uuid> = rows.iter().map(|(id, _, _)| id.uuid()).collect();
    let attempts: Vec<i32> = rows.iter().map(|(_, attempt, _)| *attempt).collect();
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut reasons = Vec::with_capacity(rows.len());
    for (_, _, outcome) in rows {
        let (word, reason) = match outcome {
            Outcome::Released(_) => ("released", None),
            Outcome::Refused(reason) => ("refused", Some((*reason).to_owned())),
            Outcome::Abandoned(reason) => ("abandoned", Some((*reason).to_owned())),
        };
        outcomes.push(word.to_owned());
        reasons.push(reason);
    }
    let ended = sqlx::query_scalar!(
        r#"update intents i set outcome = row.outcome, reason = row.reason, ended_at = now()
         from unnest($1::uuid[], $2::int[], $3::text[], $4::text[])
             as row (id, attempt, outcome, reason)
         where i.id = row.id and i.outcome is null and i.attempt = row.attempt
         returning i.id as "id!""#,
        &ids,
        &attempts,
        &outcomes,
        &reasons as &[Option<String>],
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ended.into_iter().map(IntentId::from).collect())
}

pub(super) async fn insert_releases(
    rows: &[(IntentId, &Release)],
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|(id, _)| id.uuid()).collect();
    let hashes: Vec<_> = rows
        .iter()
        .map(|(_, r)| r.order_hash.map(|h| h.to_vec()))
        .collect();
    let answers: Vec<_> = rows.iter().map(|(_, r)| r.stored.clone()).collect();
    let sealed: Vec<_> = rows.iter().map(|(_, r)| r.sealed).collect();
    let expires: Vec<_> = rows.iter().map(|(_, r)| r.expires_at).collect();
    sqlx::query!(
        "insert into releases (intent_id, order_hash, answer, answer_is_sealed, expires_at)
         select * from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bool[], $5::timestamptz[])",
        &ids,
        &hashes as &[Option<Vec<u8>>],
        &answers,
        &sealed,
        &expires as &[Option<time::OffsetDateTime>],
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether the lease of an open intent has run out.
pub(super) async fn any_overdue(ledger: &Ledger) -> Result<bool, LedgerError> {
    let any = sqlx::query_scalar!(
        r#"select exists (select from intents where outcome is null and lease_until < now()) as "any!""#
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(any)
}

/// Takes over open intents whose lease has run out and abandons them; says which, as which attempt.
pub(super) async fn abandon_overdue(tx: &mut Tx) -> Result<Vec<(IntentId, i32)>, LedgerError> {
    let rows = sqlx::query!(
        "update intents set outcome = 'abandoned', reason = 'lease-ran-out', ended_at = now(),
                            attempt = attempt + 1
         where id in (
             select id from intents where outcome is null and lease_until < now()
             order by id limit 256 for update skip locked)
         returning id, attempt"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.attempt))
        .collect())
}

pub(super) async fn find_signatures(by: &By, ledger: &Ledger) -> Result<Vec<Entry>, LedgerError> {
    let (mut id, mut jti, mut order_hash, mut caller) = (None, None, None, None);
    let (mut digests, mut r, mut keys) = (Vec::new(), None, Vec::new());
    match by {
        By::Id(it) => id = Some(it.uuid()),
        By::Digest(it) => digests = vec![it.to_vec()],
        By::Digests(all) => digests = all.iter().map(|it| it.to_vec()).collect(),
        By::R(it) => r = Some(it.as_bytes()),
        By::OrderHash(it) => order_hash = Some(it.as_slice()),
        By::Jti(it) => jti = Some(*it),
        By::IdempotencyKey(by, it) => {
            caller = Some(by.uuid());
            let items = (0..LARGEST_BATCH).map_while(|number| it.of_item(number).ok());
            keys = items.map(|key| key.to_string()).collect();
            keys.push(it.to_string());
        }
    }
    let rows = sqlx::query!(
        r#"with found as materialized (
             select id from intents where id = $1
             union all select id from intents where digest = any($2)
             union all select intent_id from releases where order_hash = $3
             union all select intent_id from idempotency_keys where caller_id = $4 and key = any($5)
             -- As the index releases_by_r has it.
             union all select intent_id from releases
                 where order_hash is not null and not answer_is_sealed
                   and substring(answer from position('"signature":"0x'::bytea in answer) + 15 for 64) = $6
             union all select intent_id from jtis where jti = $7
             -- Here, so that few rows are looked up however many the planner expects.
             order by id desc limit 100)
         select i.id, i.operation, i.caller_id, i.subject_id, i.key_id, i.digest, i.record, i.outcome, i.reason,
                i.created_at, i.ended_at, r.order_hash as "order_hash?",
                case when r.answer_is_sealed then null else r.answer end as answer
         from intents i left join releases r on r.intent_id = i.id
         where i.id in (select id from found)
         order by i.id desc"#,
        id,
        &digests,
        order_hash,
        caller,
        &keys,
        r,
        jti,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Entry {
            id: row.id.into(),
            operation: row.operation,
            caller: row.caller_id.into(),
            subject: row.subject_id,
            key: row.key_id.into(),
            digest: row.digest,
            order_hash: row.order_hash,
            record: row.record,
            outcome: row.outcome,
            reason: row.reason,
            created_at: row.created_at,
            ended_at: row.ended_at,
            answer: row.answer,
            withheld: None,
        })
        .collect())
}
