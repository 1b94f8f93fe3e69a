//! `callers` and `caller_tokens`.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Caller, Entry, NewCaller};
use crate::id::CallerId;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

pub(super) async fn find(hash: &[u8; 32], ledger: &Ledger) -> Result<Option<Caller>, LedgerError> {
    let row = sqlx::query!(
        "select c.id, c.name, c.owner, c.roles, t.id as credential
         from caller_tokens t join callers c on c.id = t.caller_id
         where t.token_hash = $1
           and t.revoked_at is null and t.expires_at > now() and c.revoked_at is null",
        hash.as_slice(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    row.map(|row| caller(row.id, row.credential, row.name, row.owner, row.roles))
        .transpose()
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Entry>, LedgerError> {
    let rows = sqlx::query!(
        "select c.id, c.name, c.owner, c.roles, c.created_at, c.revoked_at,
                max(t.expires_at) filter (where t.revoked_at is null) as token_expires_at
         from callers c left join caller_tokens t on t.caller_id = c.id
         group by c.id order by c.name"
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Entry {
            id: row.id.into(),
            name: row.name,
            owner: row.owner,
            roles: row.roles,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            token_expires_at: row.token_expires_at,
        })
        .collect())
}

/// Callers whose token works now, by name, each with the last of their tokens.
pub(super) async fn live(
    on: impl sqlx::PgExecutor<'_>,
) -> Result<Vec<(Caller, OffsetDateTime)>, LedgerError> {
    let rows = sqlx::query!(
        "select distinct on (c.name) c.id, c.name, c.owner, c.roles, t.id as credential, t.expires_at
         from callers c join caller_tokens t on t.caller_id = c.id
         where c.revoked_at is null and t.revoked_at is null and t.expires_at > now()
         order by c.name, t.expires_at desc"
    )
    .fetch_all(on)
    .await?;
    rows.into_iter()
        .map(|row| {
            let caller = caller(row.id, row.credential, row.name, row.owner, row.roles)?;
            Ok((caller, row.expires_at))
        })
        .collect()
}

/// The names of these.
pub(super) async fn names(
    ids: &[Uuid],
    ledger: &Ledger,
) -> Result<Vec<(CallerId, String)>, LedgerError> {
    let rows = sqlx::query!("select id, name from callers where id = any($1)", ids)
        .fetch_all(ledger.pool())
        .await?;
    Ok(rows.into_iter().map(|it| (it.id.into(), it.name)).collect())
}

fn caller(
    id: Uuid,
    credential: Uuid,
    name: String,
    owner: String,
    roles: Vec<String>,
) -> Result<Caller, LedgerError> {
    let name_of = |text| Name::from_record("callers", text);
    Ok(Caller {
        id: id.into(),
        credential,
        name: name_of(name)?,
        owner: name_of(owner)?,
        roles: roles.into_iter().map(name_of).collect::<Result<_, _>>()?,
    })
}

pub(super) async fn any(tx: &mut Tx) -> Result<bool, LedgerError> {
    let any = sqlx::query_scalar!(r#"select exists (select from callers) as "any!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(any)
}

pub(super) async fn insert(id: CallerId, new: &NewCaller, tx: &mut Tx) -> Result<(), LedgerError> {
    let roles: Vec<String> = new.roles.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "insert into callers (id, name, owner, roles) values ($1, $2, $3, $4)",
        id.uuid(),
        new.name.as_str(),
        new.owner.as_str(),
        &roles,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Inserts a token that lives so long by the database's clock, which also ends it.
pub(super) async fn insert_token(
    id: Uuid,
    caller: CallerId,
    hash: &[u8; 32],
    life: Duration,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into caller_tokens (id, caller_id, token_hash, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))",
        id,
        caller.uuid(),
        hash.as_slice(),
        life.as_seconds_f64(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A caller who is not revoked, and their roles.
pub(super) async fn lock(
    name: &Name,
    tx: &mut Tx,
) -> Result<Option<(CallerId, Vec<String>)>, LedgerError> {
    let row = sqlx::query!(
        "select id, roles from callers
         where (name = $1 or id::text = $1) and revoked_at is null for update",
        name.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| (row.id.into(), row.roles)))
}

pub(super) async fn revoke(name: &Name, tx: &mut Tx) -> Result<Option<CallerId>, LedgerError> {
    let id = sqlx::query_scalar!(
        "with revoked as (
             update callers set revoked_at = coalesce(revoked_at, now())
             where name = $1 or id::text = $1 returning id
         ), tokens as (
             update caller_tokens t set revoked_at = now() from revoked r
             where t.caller_id = r.id and t.revoked_at is null
         )
         select id from revoked",
        name.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id.map(CallerId::from))
}
