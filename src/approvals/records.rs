//! `proposals` and `proposal_approvals`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::document::{Document, hash};
use super::{ApproverKey, Signature};
use crate::authority::{Proved, Read, Said, Snapshot, Unlike, form};
use crate::id::{ApproverKeyId, CallerId, PersonId, ProposalId};
use crate::idempotency::{Key, RequestDigest};
use crate::ledger::{Ledger, LedgerError, Tx};

/// A proposal as it is on record.
pub(crate) struct Held {
    pub(crate) id: ProposalId,
    pub(crate) caller: CallerId,
    pub(crate) person: PersonId,
    pub(crate) key: String,
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
    /// What the row says that says so.
    requester: Said,
    pub(crate) outcome: Option<String>,
    ended_at: Option<OffsetDateTime>,
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
    /// What the rows of the person and the key say.
    said: [Said; 2],
}

/// A key that is in use, and whose.
pub(crate) struct KeyHeld {
    pub(crate) id: ApproverKeyId,
    pub(crate) key: ApproverKey,
    pub(crate) person: PersonId,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    /// What the rows of the person and the key say.
    said: [Said; 2],
}

impl Held {
    /// What its row says.
    pub(crate) fn said(&self) -> Said {
        let form = form::Proposal {
            caller: self.caller.uuid(),
            person: self.person.uuid(),
            request: hex::encode(self.request.0),
            operation: self.operation.clone(),
            hash: hex::encode(self.hash),
            expires_at: form::micros(self.expires_at),
            outcome: self.outcome.clone(),
            ended_at: self.ended_at.map(form::micros),
        };
        Said::of(self.id, Some(&form))
    }
}

impl Proved for Held {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.requester.prove(by)?;
        self.said().prove(by)
    }
}

impl Proved for Given {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.said.prove(by)
    }
}

impl Proved for KeyHeld {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        self.said.prove(by)
    }
}

/// What a row of `people` says.
pub(crate) fn person_said(id: Uuid, name: String, roles: Vec<String>, is_there: bool) -> Said {
    let form = form::Person { name, roles };
    Said::of(id, is_there.then_some(&form))
}

/// What a row of `approver_keys` says.
pub(crate) fn key_said(
    (id, person): (Uuid, Uuid),
    name: String,
    key: &ApproverKey,
    is_in_use: bool,
) -> Said {
    let form = form::Approver {
        person,
        kind: key.kind().to_owned(),
        name,
        public_key: hex::encode(key.bytes()),
        credential_id: key.credential_id().map(hex::encode),
    };
    Said::of(id, is_in_use.then_some(&form))
}

macro_rules! held {
    ($row:expr) => {{
        let row = $row;
        let corrupt = |what: &str| LedgerError::Corrupt("proposals", what.to_owned());
        Held {
            id: row.id.into(),
            caller: row.caller_id.into(),
            person: row.person_id.into(),
            key: row.idempotency_key,
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
            requester: person_said(
                row.person_id,
                row.requester_name,
                row.requester_roles,
                row.is_requester_there,
            ),
            outcome: row.outcome,
            ended_at: row.ended_at,
            is_long_over: row.is_long_over,
            reason: row.reason,
        }
    }};
}

/// One, held against others who would end or approve it until the transaction is over.
pub(crate) async fn lock(id: ProposalId, tx: &mut Tx) -> Result<Option<Held>, LedgerError> {
    let row = sqlx::query!(
        r#"select p.id, p.caller_id, p.person_id, p.idempotency_key, p.request_digest, p.operation, p.document, p.hash,
                p.proposed_at, p.expires_at, p.expires_at <= now() as "is_expired!",
                q.ended_at is null as "is_requester_there!", q.name as requester_name,
                q.roles as requester_roles, p.outcome, p.ended_at,
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
        r#"select p.id, p.caller_id, p.person_id, p.idempotency_key, p.request_digest, p.operation, p.document, p.hash,
                p.proposed_at, p.expires_at, p.expires_at <= now() as "is_expired!",
                q.ended_at is null as "is_requester_there!", q.name as requester_name,
                q.roles as requester_roles, p.outcome, p.ended_at,
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
        r#"select p.id, p.caller_id, p.person_id, p.idempotency_key, p.request_digest, p.operation, p.document, p.hash,
                p.proposed_at, p.expires_at, p.expires_at <= now() as "is_expired!",
                q.ended_at is null as "is_requester_there!", q.name as requester_name,
                q.roles as requester_roles, p.outcome, p.ended_at,
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

/// Puts one on record: what its row says. `None`: the request has made one already.
pub(crate) async fn insert(
    document: &Document,
    text: &str,
    key: &Key,
    tx: &mut Tx,
) -> Result<Option<Said>, LedgerError> {
    let hash = hash(text);
    let inserted = sqlx::query_scalar!(
        "insert into proposals (id, caller_id, person_id, idempotency_key, request_digest, operation, document, hash,
                                expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict on constraint proposals_request_is_unique do nothing
         returning expires_at",
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
    .fetch_optional(tx.connection())
    .await?;
    let form = |expires_at| form::Proposal {
        caller: document.requester.caller.uuid(),
        person: document.requester.person.uuid(),
        request: hex::encode(document.request.digest.0),
        operation: document.request.operation.clone(),
        hash: hex::encode(hash),
        expires_at: form::micros(expires_at),
        outcome: None,
        ended_at: None,
    };
    Ok(inserted.map(|at| Said::of(document.id, Some(&form(at)))))
}

/// Ends one: what its row says then. `None`: it has ended.
pub(crate) async fn end(
    id: ProposalId,
    outcome: &str,
    by: CallerId,
    reason: Option<&str>,
    tx: &mut Tx,
) -> Result<Option<Said>, LedgerError> {
    let Some(held) = lock(id, tx).await? else {
        return Ok(None);
    };
    let ended_at = sqlx::query_scalar!(
        r#"update proposals set outcome = $2, ended_at = now(), ended_by = $3, reason = $4
         where id = $1 and outcome is null returning ended_at as "at!""#,
        id.uuid(),
        outcome,
        by.uuid(),
        reason,
    )
    .fetch_optional(tx.connection())
    .await?;
    let ended = ended_at.map(|at| Held {
        outcome: Some(outcome.to_owned()),
        ended_at: Some(at),
        ..held
    });
    Ok(ended.map(|it| it.said()))
}

/// What all rows say.
pub(crate) async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    let rows = sqlx::query!(
        "select id, caller_id, person_id, request_digest, operation, hash, expires_at, outcome, ended_at
         from proposals"
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows.into_iter().map(|row| {
        let form = form::Proposal {
            caller: row.caller_id,
            person: row.person_id,
            request: hex::encode(row.request_digest),
            operation: row.operation,
            hash: hex::encode(row.hash),
            expires_at: form::micros(row.expires_at),
            outcome: row.outcome,
            ended_at: row.ended_at.map(form::micros),
        };
        Said::of(row.id, Some(&form))
    });
    Ok(rows.collect())
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
                k.name as key_name, k.person_id as key_person_id, k.revoked_at is null as "is_in_use!"
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
            let key = key.ok_or_else(corrupt)?;
            let (name, roles) = (row.name.clone(), row.roles.clone());
            let ids = (row.key_id, row.key_person_id);
            Ok(Given {
                said: [
                    person_said(row.person_id, name, roles, row.is_there),
                    key_said(ids, row.key_name, &key, row.is_in_use),
                ],
                person: row.person_id.into(),
                name: row.name,
                roles: row.roles,
                is_there: row.is_there,
                key_id: row.key_id.into(),
                key,
                is_revoked: !row.is_in_use || row.key_person_id != row.person_id,
                signature: serde_json::from_value(row.signature).map_err(|_| corrupt())?,
                approved_at: row.approved_at,
            })
        })
        .collect()
}

/// A key in use by what it is on record as, of somebody who is there.
pub(crate) async fn key(public_key: &[u8], tx: &mut Tx) -> Result<Option<KeyHeld>, LedgerError> {
    let row = sqlx::query!(
        "select k.id, k.person_id, k.kind, k.name as key_name, k.public_key, k.credential_id, p.name, p.roles
         from approver_keys k join people p on p.id = k.person_id
         where (k.public_key = $1 or k.credential_id = $1) and k.revoked_at is null and p.ended_at is null",
        public_key,
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let key = ApproverKey::from_record(&row.kind, row.public_key, row.credential_id);
    let corrupt = || LedgerError::Corrupt("approver_keys", "a key".into());
    let key = key.ok_or_else(corrupt)?;
    let (name, roles) = (row.name.clone(), row.roles.clone());
    Ok(Some(KeyHeld {
        said: [
            person_said(row.person_id, name, roles, true),
            key_said((row.id, row.person_id), row.key_name, &key, true),
        ],
        id: row.id.into(),
        key,
        person: row.person_id.into(),
        name: row.name,
        roles: row.roles,
    }))
}

/// What a row of `callers` says.
pub(crate) fn caller_said(
    id: Uuid,
    (name, owner): (String, String),
    roles: Vec<String>,
    person: Option<Uuid>,
    is_there: bool,
) -> Said {
    let form = form::Caller {
        name,
        owner,
        roles,
        person,
    };
    Said::of(id, is_there.then_some(&form))
}

/// Whose a caller is, and that person's name; while both are there.
pub(crate) async fn person_of(
    caller: Uuid,
    on: impl sqlx::PgExecutor<'_>,
) -> Result<Option<Read<(PersonId, String)>>, LedgerError> {
    let row = sqlx::query!(
        "select p.id, p.name, p.roles, c.name as caller_name, c.owner, c.roles as caller_roles
         from callers c join people p on p.id = c.person_id
         where c.id = $1 and c.revoked_at is null and p.ended_at is null",
        caller,
    )
    .fetch_optional(on)
    .await?;
    Ok(row.map(|row| Read {
        said: vec![
            caller_said(
                caller,
                (row.caller_name, row.owner),
                row.caller_roles,
                Some(row.id),
                true,
            ),
            person_said(row.id, row.name.clone(), row.roles, true),
        ],
        value: (row.id.into(), row.name),
    }))
}
