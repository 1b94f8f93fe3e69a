//! `people` and `approver_keys`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KeyView, NewPerson, Person};
use crate::approvals::ApproverKey;
use crate::id::{ApproverKeyId, CallerId, PersonId};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

pub(super) async fn any(tx: &mut Tx) -> Result<bool, LedgerError> {
    let any = sqlx::query_scalar!(r#"select exists (select from people) as "any!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(any)
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Person>, LedgerError> {
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
    let mut people: Vec<Person> = rows
        .into_iter()
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
        let person = people.iter_mut().find(|it| it.id.uuid() == row.person_id);
        let Some(person) = person else { continue }; // registered between the two looks
        person.keys.push(KeyView {
            id: row.id.into(),
            name: row.name,
            kind: row.kind,
            fingerprint: key.ok_or_else(corrupt)?.fingerprint(),
            credential_id: row.credential_id.map(|id| URL_SAFE_NO_PAD.encode(id)),
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        });
    }
    Ok(people)
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
    tx: &mut Tx,
) -> Result<Option<(PersonId, Vec<String>, bool)>, LedgerError> {
    let row = sqlx::query!(
        r#"select id, roles, ended_at is null as "is_there!" from people where name = $1 for update"#,
        name.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| (row.id.into(), row.roles, row.is_there)))
}

pub(super) async fn insert(id: PersonId, new: &NewPerson, tx: &mut Tx) -> Result<(), LedgerError> {
    let roles: Vec<String> = new.roles.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "insert into people (id, name, roles) values ($1, $2, $3)",
        id.uuid(),
        new.name.as_str(),
        &roles,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn set_roles(
    id: PersonId,
    roles: &[Name],
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "update people set roles = $2 where id = $1",
        id.uuid(),
        &roles
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn end(id: PersonId, tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "update people set ended_at = now() where id = $1",
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn insert_key(
    (id, person): (ApproverKeyId, PersonId),
    name: &Name,
    key: &ApproverKey,
    tx: &mut Tx,
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
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn revoke_key(
    person: &Name,
    key: ApproverKeyId,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
    let revoked = sqlx::query!(
        "update approver_keys k set revoked_at = now() from people p
         where k.id = $2 and p.id = k.person_id and p.name = $1 and k.revoked_at is null",
        person.as_str(),
        key.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(revoked.rows_affected() == 1)
}
