//! `people` and `approver_keys`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KeyView, NewPerson, Person};
use crate::approvals::ApproverKey;
use crate::approvals::records::{key_said, person_said};
use crate::audit::{Change, Effect};
use crate::authority::{Authority, Read, Said, form};
use crate::id::{ApproverKeyId, CallerId, PersonId};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

pub(super) async fn any(tx: &mut Tx) -> Result<bool, LedgerError> {
    let any = sqlx::query_scalar!(r#"select exists (select from people) as "any!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(any)
}

/// All of them with their keys, as is stated.
pub(super) async fn list(authority: &Authority) -> Result<Vec<Person>, LedgerError> {
    let look = || look(authority.ledger());
    Ok(authority.read(look).await?.value)
}

async fn look(ledger: &Ledger) -> Result<Read<Vec<Person>>, LedgerError> {
    let rows = sqlx::query!(
        r#"select p.id, p.name, p.roles, p.created_at, p.ended_at,
                array(select c.name from callers c where c.person_id = p.id and c.revoked_at is null
                      order by c.name) as "callers!"
         from people p order by p.name"#
    )
    .fetch_all(ledger.pool())
    .await?;
    let keys = sqlx::query!(
        "select id, person_id, name, kind, public_key, credential_id, created_at, revoked_at
         from approver_keys order by id"
    )
    .fetch_all(ledger.pool())
    .await?;
    let mut said = Vec::new();
    let mut people: Vec<Person> = rows
        .into_iter()
        .inspect(|row| {
            let (name, roles) = (row.name.clone(), row.roles.clone());
            said.push(person_said(row.id, name, roles, row.ended_at.is_none()));
        })
        .map(|row| Person {
            id: row.id.into(),
            name: row.name,
            roles: row.roles,
            callers: row.callers,
            keys: Vec::new(),
            created_at: row.created_at,
            ended_at: row.ended_at,
        })
        .collect();
    for row in keys {
        let id = row.credential_id.clone();
        let key = ApproverKey::from_record(&row.kind, row.public_key, id);
        let corrupt = || LedgerError::Corrupt("approver_keys", "a key".into());
        let key = key.ok_or_else(corrupt)?;
        let ids = (row.id, row.person_id);
        said.push(key_said(
            ids,
            row.name.clone(),
            &key,
            row.revoked_at.is_none(),
        ));
        let person = people.iter_mut().find(|it| it.id.uuid() == row.person_id);
        let Some(person) = person else { continue }; // registered between the two looks
        person.keys.push(KeyView {
            id: row.id.into(),
            name: row.name,
            kind: row.kind,
            fingerprint: key.fingerprint(),
            credential_id: row.credential_id.map(|id| URL_SAFE_NO_PAD.encode(id)),
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        });
    }
    Ok(Read {
        value: people,
        said,
    })
}

/// What all rows of both tables say.
pub(crate) async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    let people = sqlx::query!("select id, name, roles, ended_at from people")
        .fetch_all(tx.connection())
        .await?;
    let mut said: Vec<_> = people
        .into_iter()
        .map(|row| person_said(row.id, row.name, row.roles, row.ended_at.is_none()))
        .collect();
    let keys = sqlx::query!(
        "select id, person_id, name, kind, public_key, credential_id, revoked_at from approver_keys"
    )
    .fetch_all(tx.connection())
    .await?;
    for row in keys {
        let key = ApproverKey::from_record(&row.kind, row.public_key, row.credential_id);
        let corrupt = || LedgerError::Corrupt("approver_keys", row.id.to_string());
        let key = key.ok_or_else(corrupt)?;
        let ids = (row.id, row.person_id);
        said.push(key_said(ids, row.name, &key, row.revoked_at.is_none()));
    }
    Ok(said)
}

pub(super) async fn of_caller(
    caller: CallerId,
    ledger: &Ledger,
) -> Result<Option<String>, LedgerError> {
    let name = sqlx::query_scalar!(
        "select p.name from callers c join people p on p.id = c.person_id where c.id = $1 and p.ended_at is null",
        caller.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(name)
}

/// Somebody, held until the transaction is over; and whether they are there.
pub(super) async fn lock(
    name: &Name,
    change: &mut Change,
) -> Result<Option<(PersonId, Vec<String>, bool)>, LedgerError> {
    let row = sqlx::query!(
        r#"select id, name, roles, ended_at is null as "is_there!" from people where name = $1 for update"#,
        name.as_str(),
    )
    .fetch_optional(change.tx().connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut said = person_said(row.id, row.name, row.roles.clone(), row.is_there);
    change.prove(&mut said).await?;
    Ok(Some((row.id.into(), row.roles, row.is_there)))
}

pub(super) async fn insert(
    id: PersonId,
    new: &NewPerson,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let roles: Vec<String> = new.roles.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "insert into people (id, name, roles) values ($1, $2, $3)",
        id.uuid(),
        new.name.as_str(),
        &roles,
    )
    .execute(change.tx().connection())
    .await?;
    let said = person_said(id.uuid(), new.name.to_string(), roles, true);
    change.state(said, Effect::Loosens)
}

/// Gives somebody other roles, at the exclusive gate.
pub(super) async fn set_roles(
    id: PersonId,
    roles: &[Name],
    change: &mut Change,
) -> Result<(), LedgerError> {
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    let name = sqlx::query_scalar!(
        "update people set roles = $2 where id = $1 returning name",
        id.uuid(),
        &roles
    )
    .fetch_one(change.tx().connection())
    .await?;
    let said = person_said(id.uuid(), name, roles, true);
    change.state(said, Effect::Tightens)
}

/// Ends somebody, at the exclusive gate.
pub(super) async fn end(id: PersonId, change: &mut Change) -> Result<(), LedgerError> {
    sqlx::query!(
        "update people set ended_at = now() where id = $1",
        id.uuid()
    )
    .execute(change.tx().connection())
    .await?;
    change.state(Said::of::<form::Person>(id, None), Effect::Tightens)
}

pub(super) async fn insert_key(
    (id, person): (ApproverKeyId, PersonId),
    name: &Name,
    key: &ApproverKey,
    change: &mut Change,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into approver_keys (id, person_id, kind, name, public_key, credential_id)
         values ($1, $2, $3, $4, $5, $6)",
        id.uuid(),
        person.uuid(),
        key.kind(),
        name.as_str(),
        key.bytes(),
        key.credential_id(),
    )
    .execute(change.tx().connection())
    .await?;
    let said = key_said((id.uuid(), person.uuid()), name.to_string(), key, true);
    change.state(said, Effect::Loosens)
}

/// Revokes a key, at the exclusive gate.
pub(super) async fn revoke_key(
    person: &Name,
    key: ApproverKeyId,
    change: &mut Change,
) -> Result<bool, LedgerError> {
    let revoked = sqlx::query!(
        "update approver_keys k set revoked_at = now() from people p
         where k.id = $2 and p.id = k.person_id and p.name = $1 and k.revoked_at is null",
        person.as_str(),
        key.uuid(),
    )
    .execute(change.tx().connection())
    .await?;
    if revoked.rows_affected() != 1 {
        return Ok(false);
    }
    change.state(Said::of::<form::Approver>(key, None), Effect::Tightens)?;
    Ok(true)
}
