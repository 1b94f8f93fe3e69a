//! `proposals` and `proposal_approvals`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::document::{Document, hash};
use super::{ApproverKey, Signature};
use crate::id::{ApproverKeyId, CallerId, PersonId, ProposalId};
use crate::idempotency::{Key, RequestDigest};
use crate::ledger::{Ledger, LedgerError, Tx};

/// A proposal as it is on record.
pub(crate) struct Held {
    pub(crate) id: ProposalId,
    pub(crate) caller: CallerId,
    pub(crate) person: PersonId,
    pub(crate) request: RequestDigest,
    pub(crate) operation: String,
    pub(crate) document: String,
    pub(crate) hash: [u8; 32],
    pub(crate) proposed_at: OffsetDateTime,
    pub(crate) expires_at: OffsetDateTime,
    /// By the database's clock.
    pub(crate) is_expired: bool,
    /// Whether whoever asked is still there.
    pub(crate) is_requester_there: bool,
    pub(crate) outcome: Option<String>,
    /// Whether it ended so long ago that nothing goes on under it.
    pub(crate) is_long_over: bool,
    pub(crate) reason: Option<String>,
}

/// An approval as it is on record.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) person: PersonId,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    pub(crate) is_there: bool,
    pub(crate) key_id: ApproverKeyId,
    pub(crate) key: ApproverKey,
    pub(crate) is_revoked: bool,
    pub(crate) signature: Signature,
    pub(crate) approved_at: OffsetDateTime,
}

/// A key that is in use, and whose.
pub(crate) struct KeyHeld {
    pub(crate) id: ApproverKeyId,
    pub(crate) key: ApproverKey,
    pub(crate) person: PersonId,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
}

macro_rules! held {
    ($row:expr) => {{
        let row = $row;
        let corrupt = |what: &str| LedgerError::Corrupt("proposals", what.to_owned());
        Held {
            id: row.id.into(),
            caller: row.caller_id.into(),
            person: row.person_id.into(),
            request: RequestDigest(
                row.request_digest
                    .try_into()
                    .map_err(|_| corrupt("digest"))?,
            ),
            operation: row.operation,
            hash: row.hash.try_into().map_err(|_| corrupt("hash"))?,
            document: row.document,
            proposed_at: row.proposed_at,
            expires_at: row.expires_at,
            is_expired: row.is_expired,
            is_requester_there: row.is_requester_there,
            outcome: row.outcome,
            is_long_over: row.is_long_over,
            reason: row.reason,
        }
    }};
}

/// One, held against others who would end or approve it until the transaction is over.
pub(crate) async fn lock(id: ProposalId, tx: &mut Tx) -> Result<Option<Held>, LedgerError> {
    let row = sqlx::query!(
        r#"select p.id, p.caller_id, p.person_id, p.request_digest, p.operation, p.document, p.hash,
                p.proposed_at, p.expires_at, p.expires_at <= now() as "is_expired!",
                q.ended_at is null as "is_requester_there!", p.outcome,
                coalesce(p.ended_at < now() - interval '1 hour', false) as "is_long_over!", p.reason
         from proposals p join people q on q.id = p.person_id
         where p.id = $1 for update of p"#,
        id.uuid(),
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(|row| Ok(held!(row))).transpose()
}

/// One, to look at.
pub(crate) async fn find(id: ProposalId, ledger: &Ledger) -> Result<Option<Held>, LedgerError> {
    let row = sqlx::query!(
        r#"select p.id, p.caller_id, p.person_id, p.request_digest, p.operation, p.document, p.hash,
                p.proposed_at, p.expires_at, p.expires_at <= now() as "is_expired!",
                q.ended_at is null as "is_requester_there!", p.outcome,
                coalesce(p.ended_at < now() - interval '1 hour', false) as "is_long_over!", p.reason
         from proposals p join people q on q.id = p.person_id where p.id = $1"#,
        id.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    row.map(|row| Ok(held!(row))).transpose()
}

/// The one that a request made.
pub(crate) async fn of_request(
    caller: CallerId,
    key: &Key,
    ledger: &Ledger,
) -> Result<Option<ProposalId>, LedgerError> {
    let id = sqlx::query_scalar!(
        "select id from proposals where caller_id = $1 and idempotency_key = $2",
        caller.uuid(),
        key.as_str(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(id.map(ProposalId::from))
}

/// The latest, the newest first; only those that wait, where that is asked for.
pub(crate) async fn list(
    waiting: bool,
    at_most: i64,
    ledger: &Ledger,
) -> Result<Vec<Held>, LedgerError> {
    let rows = sqlx::query!(
        r#"select p.id, p.caller_id, p.person_id, p.request_digest, p.operation, p.document, p.hash,
                p.proposed_at, p.expires_at, p.expires_at <= now() as "is_expired!",
                q.ended_at is null as "is_requester_there!", p.outcome,
                coalesce(p.ended_at < now() - interval '1 hour', false) as "is_long_over!", p.reason
         from proposals p join people q on q.id = p.person_id
         where not $1 or (p.outcome is null and p.expires_at > now())
         order by p.id desc limit $2"#,
        waiting,
        at_most,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter().map(|row| Ok(held!(row))).collect()
}

/// Those that wait in the last quarter of their time: which, of what, until when.
pub(crate) async fn expiring(
    ledger: &Ledger,
) -> Result<Vec<(ProposalId, String, OffsetDateTime)>, LedgerError> {
    let rows = sqlx::query!(
        "select id, operation, expires_at from proposals
         where outcome is null and expires_at > now()
           and expires_at - now() < (expires_at - proposed_at) / 4",
    )
    .fetch_all(ledger.pool())
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|row| (row.id.into(), row.operation, row.expires_at))
        .collect())
}

/// How many of a caller's wait.
pub(crate) async fn count_waiting(caller: CallerId, tx: &mut Tx) -> Result<i64, LedgerError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from proposals
         where caller_id = $1 and outcome is null and expires_at > now()"#,
        caller.uuid(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count)
}

/// Puts one on record. False: the request has made one already.
pub(crate) async fn insert(
    document: &Document,
    text: &str,
    key: &Key,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let hash = hash(text);
    let inserted = sqlx::query!(
        "insert into proposals (id, caller_id, person_id, idempotency_key, request_digest, operation, document, hash,
                                expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict on constraint proposals_request_is_unique do nothing",
        document.id.uuid(),
        document.requester.caller.uuid(),
        document.requester.person.uuid(),
        key.as_str(),
        document.request.digest.0.as_slice(),
        document.request.operation,
        text,
        hash.as_slice(),
        document.expires_at,
    )
    .execute(tx.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Ends one. False: it has ended.
pub(crate) async fn end(
    id: ProposalId,
    outcome: &str,
    by: CallerId,
    reason: Option<&str>,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let ended = sqlx::query!(
        "update proposals set outcome = $2, ended_at = now(), ended_by = $3, reason = $4
         where id = $1 and outcome is null",
        id.uuid(),
        outcome,
        by.uuid(),
        reason,
    )
    .execute(tx.connection())
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Adds an approval. False: the person has approved it already.
pub(crate) async fn approve(
    id: ProposalId,
    by: &KeyHeld,
    signature: &Signature,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let signature = serde_json::to_value(signature).expect("plain data serializes");
    let added = sqlx::query!(
        "insert into proposal_approvals (proposal_id, person_id, key_id, signature)
         values ($1, $2, $3, $4) on conflict do nothing",
        id.uuid(),
        by.person.uuid(),
        by.id.uuid(),
        signature,
    )
    .execute(tx.connection())
    .await?;
    Ok(added.rows_affected() == 1)
}

/// The approvals of one, in the order in which they came.
pub(crate) async fn approvals(
    id: ProposalId,
    on: impl sqlx::PgExecutor<'_>,
) -> Result<Vec<Given>, LedgerError> {
    let rows = sqlx::query!(
        r#"select a.person_id, a.key_id, a.signature, a.approved_at, p.name, p.roles,
                p.ended_at is null as "is_there!", k.kind, k.public_key, k.credential_id,
                (k.revoked_at is not null or k.person_id <> a.person_id) as "is_revoked!"
         from proposal_approvals a join people p on p.id = a.person_id join approver_keys k on k.id = a.key_id
         where a.proposal_id = $1 order by a.approved_at, a.person_id"#,
        id.uuid(),
    )
    .fetch_all(on)
    .await?;
    let corrupt = || LedgerError::Corrupt("proposal_approvals", "a key or a signature".into());
    rows.into_iter()
        .map(|row| {
            let key = ApproverKey::from_record(&row.kind, row.public_key, row.credential_id);
            Ok(Given {
                person: row.person_id.into(),
                name: row.name,
                roles: row.roles,
                is_there: row.is_there,
                key_id: row.key_id.into(),
                key: key.ok_or_else(corrupt)?,
                is_revoked: row.is_revoked,
                signature: serde_json::from_value(row.signature).map_err(|_| corrupt())?,
                approved_at: row.approved_at,
            })
        })
        .collect()
}

/// A key in use by what it is on record as, of somebody who is there.
pub(crate) async fn key(public_key: &[u8], tx: &mut Tx) -> Result<Option<KeyHeld>, LedgerError> {
    let row = sqlx::query!(
        "select k.id, k.person_id, k.kind, k.public_key, k.credential_id, p.name, p.roles
         from approver_keys k join people p on p.id = k.person_id
         where (k.public_key = $1 or k.credential_id = $1) and k.revoked_at is null and p.ended_at is null",
        public_key,
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let key = ApproverKey::from_record(&row.kind, row.public_key, row.credential_id);
    let corrupt = || LedgerError::Corrupt("approver_keys", "a key".into());
    Ok(Some(KeyHeld {
        id: row.id.into(),
        key: key.ok_or_else(corrupt)?,
        person: row.person_id.into(),
        name: row.name,
        roles: row.roles,
    }))
}

/// Whose a caller is, and that person's name; while both are there.
pub(crate) async fn person_of(
    caller: Uuid,
    on: impl sqlx::PgExecutor<'_>,
) -> Result<Option<(PersonId, String)>, LedgerError> {
    let row = sqlx::query!(
        "select p.id, p.name from callers c join people p on p.id = c.person_id
         where c.id = $1 and c.revoked_at is null and p.ended_at is null",
        caller,
    )
    .fetch_optional(on)
    .await?;
    Ok(row.map(|row| (row.id.into(), row.name)))
}
