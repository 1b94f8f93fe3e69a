//! `callers` and `caller_tokens`.

use time::OffsetDateTime;
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
    row.map(|row| {
        Ok(Caller {
            id: row.id.into(),
            credential: row.credential,
            name: Name::from_record("callers", row.name)?,
            owner: Name::from_record("callers", row.owner)?,
            roles: row
                .roles
                .into_iter()
                .map(|role| Name::from_record("callers", role))
                .collect::<Result<_, _>>()?,
        })
    })
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

pub(super) async fn insert_token(
    id: Uuid,
    caller: CallerId,
    hash: &[u8; 32],
    expires_at: OffsetDateTime,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into caller_tokens (id, caller_id, token_hash, expires_at) values ($1, $2, $3, $4)",
        id,
        caller.uuid(),
        hash.as_slice(),
        expires_at,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn lock(name: &Name, tx: &mut Tx) -> Result<Option<CallerId>, LedgerError> {
    let id = sqlx::query_scalar!(
        "select id from callers where name = $1 and revoked_at is null for update",
        name.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id.map(CallerId::from))
}

pub(super) async fn revoke(name: &Name, tx: &mut Tx) -> Result<Option<CallerId>, LedgerError> {
    let id = sqlx::query_scalar!(
        "with revoked as (
             update callers set revoked_at = coalesce(revoked_at, now()) where name = $1 returning id
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
