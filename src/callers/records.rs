//! `callers` and `caller_tokens`.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::credential::{Credential, Identity, Kind, Shown};
use super::{Caller, Entry, NewCaller};
use crate::id::{CallerId, PersonId};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

pub(super) async fn find(shown: &Shown, ledger: &Ledger) -> Result<Option<Caller>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "select c.id, c.name, c.owner, c.roles, t.id as credential, t.kind
         from caller_tokens t join callers c on c.id = t.caller_id
         where t.token_hash = $1 and t.kind = $2
           and t.revoked_at is null and t.expires_at > now() and c.revoked_at is null",
        shown.hash.as_slice(),
        shown.kind.name(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    row.map(caller).transpose()
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Entry>, LedgerError> {
    let rows = sqlx::query!(
        r#"select c.id, c.name, c.owner, c.roles, c.created_at, c.revoked_at, p.name as "person?",
                max(t.expires_at) filter (where t.revoked_at is null) as token_expires_at
         from callers c left join caller_tokens t on t.caller_id = c.id left join people p on p.id = c.person_id
         group by c.id, p.name order by c.name"#
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
            person: row.person,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            token_expires_at: row.token_expires_at,
        })
        .collect())
}

/// Callers with a credential of these kinds that works now, by name, each with the last of them.
pub(super) async fn live(
    kinds: &[String],
    on: impl sqlx::PgExecutor<'_>,
) -> Result<Vec<(Caller, OffsetDateTime)>, LedgerError> {
    let rows = sqlx::query!(
        "select distinct on (c.name) c.id, c.name, c.owner, c.roles, t.id as credential, t.kind, t.expires_at
         from callers c join caller_tokens t on t.caller_id = c.id
         where c.revoked_at is null and t.revoked_at is null and t.expires_at > now() and t.kind = any($1)
         order by c.name, t.expires_at desc",
        kinds,
    )
    .fetch_all(on)
    .await?;
    rows.into_iter()
        .map(|row| {
            let (expires_at, row) = (
                row.expires_at,
                Row {
                    id: row.id,
                    name: row.name,
                    owner: row.owner,
                    roles: row.roles,
                    credential: row.credential,
                    kind: row.kind,
                },
            );
            Ok((caller(row)?, expires_at))
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

/// A caller by one of their credentials.
struct Row {
    id: Uuid,
    name: String,
    owner: String,
    roles: Vec<String>,
    credential: Uuid,
    kind: String,
}

fn caller(row: Row) -> Result<Caller, LedgerError> {
    let name_of = |text| Name::from_record("callers", text);
    Ok(Caller {
        id: row.id.into(),
        credential: row.credential,
        kind: kind(&row.kind)?,
        name: name_of(row.name)?,
        owner: name_of(row.owner)?,
        roles: row
            .roles
            .into_iter()
            .map(name_of)
            .collect::<Result<_, _>>()?,
        proposal: None,
    })
}

fn kind(word: &str) -> Result<Kind, LedgerError> {
    Kind::from_name(word).ok_or_else(|| LedgerError::Corrupt("caller_tokens", word.to_owned()))
}

/// The credentials of a caller, the newest first.
pub(super) async fn credentials(
    caller: CallerId,
    ledger: &Ledger,
) -> Result<Vec<Credential>, LedgerError> {
    let rows = sqlx::query!(
        "select id, kind, identity, created_at, expires_at, revoked_at
         from caller_tokens where caller_id = $1 order by created_at desc, id desc",
        caller.uuid(),
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Credential {
                id: row.id,
                kind: kind(&row.kind)?,
                identity: row.identity,
                created_at: row.created_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
            })
        })
        .collect()
}

/// Inserts a credential for which others vouch, for so many days by the database's clock.
pub(super) async fn insert_credential(
    id: Uuid,
    caller: CallerId,
    identity: &Identity,
    days: u16,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    let shown = identity.shown();
    sqlx::query!(
        "insert into caller_tokens (id, caller_id, kind, identity, token_hash, expires_at)
         values ($1, $2, $3, $4, $5, now() + make_interval(days => $6))",
        id,
        caller.uuid(),
        identity.kind().name(),
        identity.to_string(),
        shown.hash.as_slice(),
        i32::from(days),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Revokes one credential of a caller; whose it is, and its kind.
pub(super) async fn revoke_credential(
    name: &Name,
    credential: Uuid,
    tx: &mut Tx,
) -> Result<Option<(CallerId, Kind)>, LedgerError> {
    let row = sqlx::query!(
        "update caller_tokens t set revoked_at = coalesce(t.revoked_at, now()) from callers c
         where c.id = t.caller_id and t.id = $2 and (c.name = $1 or c.id::text = $1)
         returning c.id, t.kind",
        name.as_str(),
        credential,
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(|row| Ok((row.id.into(), kind(&row.kind)?)))
        .transpose()
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

/// Makes a caller who is nobody's yet, and not revoked, a person's.
pub(super) async fn assign(
    name: &Name,
    person: PersonId,
    tx: &mut Tx,
) -> Result<Option<CallerId>, LedgerError> {
    let id = sqlx::query_scalar!(
        "update callers set person_id = $2
         where (name = $1 or id::text = $1) and revoked_at is null and (person_id is null or person_id = $2)
         returning id",
        name.as_str(),
        person.uuid(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id.map(CallerId::from))
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
