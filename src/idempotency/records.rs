//! `idempotency_keys`, where they stand for something else than an intent on its way.

use uuid::Uuid;

use super::{Key, RequestDigest, Settings, Useful};
use crate::id::{CallerId, IntentId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// What a key stands for already.
pub(crate) struct Held {
    pub(crate) request: RequestDigest,
    /// The signature's id and, once released, its answer.
    pub(crate) intent: Option<IntentId>,
    pub(crate) released: Option<Released>,
    /// The sealed answer of an administrative write.
    pub(crate) answer: Option<Vec<u8>>,
}

/// An answer as it was released.
pub(crate) struct Released {
    pub(crate) answer: Vec<u8>,
    /// The leaf of its intent, without which it is not read where it is not sealed.
    pub(crate) leaf: Vec<u8>,
    /// The leaf of its release, which has its hash.
    pub(crate) end_leaf: Vec<u8>,
    pub(crate) sealed: bool,
    /// Whether it has expired, by the database's clock.
    pub(crate) is_over: bool,
}

/// Claims a key for an administrative write, whose sealed answer is known already.
pub(crate) async fn claim_answer(
    caller: CallerId,
    key: &Key,
    request: RequestDigest,
    answer: &[u8],
    keep: &Settings,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let claimed = sqlx::query!(
        "insert into idempotency_keys as held (caller_id, key, request_digest, answer, expires_at)
         values ($1, $2, $3, $4, now() + make_interval(hours => $5))
         on conflict (caller_id, key) do update set
             request_digest = excluded.request_digest, intent_id = null,
             answer = excluded.answer, expires_at = excluded.expires_at
         where held.expires_at < now()",
        caller.uuid(),
        key.as_str(),
        request.0.as_slice(),
        answer,
        keep.hours(Useful::Briefly),
    )
    .execute(tx.connection())
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// What a key stands for, to whoever holds it.
pub(crate) async fn find(
    caller: CallerId,
    key: &Key,
    ledger: &Ledger,
) -> Result<Option<Held>, LedgerError> {
    let row = sqlx::query!(
        r#"select k.request_digest, k.intent_id, k.answer,
                e.answer as "released?", e.answer_is_sealed as "sealed?", l.leaf as "leaf?",
                d.leaf as "released_leaf?",
                coalesce(e.expires_at <= now(), false) as "is_over!"
         from idempotency_keys k
         left join ends e on e.intent_id = k.intent_id and e.outcome = 'released'
         left join intents i on i.id = e.intent_id
         left join leaves l on l.run = i.run and l.batch = i.batch and l.subject_id = i.id
         left join leaves d on d.run = e.run and d.batch = e.batch and d.subject_id = e.intent_id
         where k.caller_id = $1 and k.key = $2 and k.expires_at >= now()"#,
        caller.uuid(),
        key.as_str(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map(|row| Held {
        request: RequestDigest(row.request_digest.try_into().unwrap_or_default()),
        intent: row.intent_id.map(IntentId::from),
        released: row.released.map(|answer| Released {
            answer,
            leaf: row.leaf.unwrap_or_default(),
            end_leaf: row.released_leaf.unwrap_or_default(),
            sealed: row.sealed.unwrap_or(true),
            is_over: row.is_over,
        }),
        answer: row.answer,
    }))
}

/// Forgets the requests that may be repeated under another key by now.
pub(crate) async fn forget_requests(ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!("delete from recent_requests where until < now()")
        .execute(ledger.pool())
        .await?;
    Ok(())
}

/// Forgets a portion of the keys whose last hour is over; says whether there may be more.
pub(crate) async fn forget_expired(ledger: &Ledger) -> Result<bool, LedgerError> {
    const PORTION: i64 = 10_000;
    let gone = sqlx::query!(
        "delete from idempotency_keys where (caller_id, key) in (
                 select caller_id, key from idempotency_keys
                 where date_trunc('hour', expires_at at time zone 'UTC')
                       < date_trunc('hour', now() at time zone 'UTC')
                 limit $1 for update skip locked)",
        PORTION,
    )
    .execute(ledger.pool())
    .await?;
    Ok(gone.rows_affected() == PORTION.unsigned_abs())
}

/// An administrative answer as it is kept.
pub(crate) struct Kept {
    pub(crate) caller: Uuid,
    pub(crate) key: String,
    pub(crate) answer: Vec<u8>,
}

/// How many administrative answers begin with which bytes.
pub(crate) async fn count_answers_by_head(
    length: i32,
    ledger: &Ledger,
) -> Result<Vec<(Vec<u8>, i64)>, LedgerError> {
    let rows = sqlx::query!(
        r#"select substring(answer from 1 for $1) as "head!", count(*) as "answers!"
         from idempotency_keys where answer is not null and expires_at >= now() group by 1"#,
        length,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.head, row.answers))
        .collect())
}

/// Administrative answers that begin with other bytes than these, from a place on.
pub(crate) async fn answers_under_others(
    head: &[u8],
    after: Option<&(Uuid, String)>,
    at_most: i64,
    ledger: &Ledger,
) -> Result<Vec<Kept>, LedgerError> {
    let (caller, key) = after.cloned().unwrap_or_default();
    let rows = sqlx::query_as!(
        Kept,
        r#"select caller_id as caller, key, answer as "answer!"
         from idempotency_keys
         where answer is not null and expires_at >= now()
           and substring(answer from 1 for octet_length($1::bytea)) <> $1::bytea
           and (caller_id, key) > ($2, $3)
         order by caller_id, key limit $4"#,
        head,
        caller,
        key,
        at_most,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows)
}

/// Puts an answer, sealed anew, where it was. False: another one is there by now.
pub(crate) async fn put_resealed(
    kept: &Kept,
    sealed: &[u8],
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update idempotency_keys set answer = $4 where caller_id = $1 and key = $2 and answer = $3",
        kept.caller,
        kept.key,
        kept.answer,
        sealed,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
