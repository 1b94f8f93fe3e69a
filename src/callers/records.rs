//! `callers` and `caller_tokens`.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::credential::{Credential, Identity, Kind, Shown};
use super::{Caller, Entry, NewCaller};
use crate::approvals::records::caller_said;
use crate::audit::{Change, Effect};
use crate::authority::{Authority, Proved, Read, Said, Snapshot, Statement, Unlike, form};
use crate::id::{CallerId, PersonId};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// The caller who is known by what was shown; compared with what is stated.
pub(super) async fn find(
    shown: &Shown,
    authority: &Authority,
) -> Result<Option<Caller>, LedgerError> {
    let look = move || async move {
        let row = sqlx::query_as!(
            Row,
            "select c.id, c.name, c.owner, c.roles, c.person_id, t.id as credential, t.kind, t.identity,
                    t.token_hash, t.expires_at
             from caller_tokens t join callers c on c.id = t.caller_id
             where t.token_hash = $1 and t.kind = $2
               and t.revoked_at is null and t.expires_at > now() and c.revoked_at is null",
            shown.hash.as_slice(),
            shown.kind.name(),
        )
        .fetch_optional(authority.ledger().pool())
        .await?;
        row.map(Found::try_from).transpose()
    };
    Ok(authority.read(look).await?.map(|found| found.caller))
}

/// All of them, without the word of credentials, which only say when they end.
pub(super) async fn list(authority: &Authority) -> Result<Vec<Entry>, LedgerError> {
    let look = move || async move {
        let rows = sqlx::query!(
            r#"select c.id, c.name, c.owner, c.roles, c.person_id, c.created_at, c.revoked_at, p.name as "person?",
                max(t.expires_at) filter (where t.revoked_at is null) as token_expires_at
         from callers c left join caller_tokens t on t.caller_id = c.id left join people p on p.id = c.person_id
         group by c.id, p.name order by c.name"#
        )
        .fetch_all(authority.ledger().pool())
        .await?;
        let rows = rows.into_iter().map(|row| {
            let names = (row.name.clone(), row.owner.clone());
            let is_there = row.revoked_at.is_none();
            Read {
                said: vec![caller_said(
                    row.id,
                    names,
                    row.roles.clone(),
                    row.person_id,
                    is_there,
                )],
                value: Entry {
                    id: row.id.into(),
                    name: row.name,
                    owner: row.owner,
                    roles: row.roles,
                    person: row.person,
                    created_at: row.created_at,
                    revoked_at: row.revoked_at,
                    token_expires_at: row.token_expires_at,
                },
            }
        });
        Ok(rows.collect::<Vec<_>>())
    };
    let all = authority.read(look).await?;
    Ok(all.into_iter().map(|it| it.value).collect())
}

/// Callers with a credential of these kinds that works now, by name, each with the last of them.
pub(super) async fn live(
    kinds: &[String],
    on: impl sqlx::PgExecutor<'_>,
) -> Result<Vec<Found>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        "select distinct on (c.name) c.id, c.name, c.owner, c.roles, c.person_id, t.id as credential, t.kind,
                t.identity, t.token_hash, t.expires_at
         from callers c join caller_tokens t on t.caller_id = c.id
         where c.revoked_at is null and t.revoked_at is null and t.expires_at > now() and t.kind = any($1)
         order by c.name, t.expires_at desc",
        kinds,
    )
    .fetch_all(on)
    .await?;
    rows.into_iter().map(Found::try_from).collect()
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
    person_id: Option<Uuid>,
    credential: Uuid,
    kind: String,
    identity: Option<String>,
    token_hash: Vec<u8>,
    expires_at: OffsetDateTime,
}

/// A caller who has a credential, until it ends, and what both rows say.
pub(super) struct Found {
    pub(super) caller: Caller,
    pub(super) expires_at: OffsetDateTime,
    said: [Said; 2],
}

impl Proved for Found {
    fn prove(&mut self, by: &Snapshot) -> Result<(), Unlike> {
        for (said, statement) in self.said.iter().zip(&mut self.caller.stated) {
            let (kind, id) = said.thing();
            let version = by.proves(said)?;
            *statement = Statement { kind, id, version };
        }
        Ok(())
    }
}

impl TryFrom<Row> for Found {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let name_of = |text: &String| Name::from_record("callers", text.clone());
        let names = (row.name.clone(), row.owner.clone());
        let caller = Caller {
            id: row.id.into(),
            credential: row.credential,
            kind: kind(&row.kind)?,
            name: name_of(&row.name)?,
            owner: name_of(&row.owner)?,
            roles: row.roles.iter().map(name_of).collect::<Result<_, _>>()?,
            proposal: None,
            stated: Caller::unproven(row.id, row.credential),
        };
        let given = Given {
            id: row.credential,
            caller: row.id,
            kind: row.kind,
            identity: row.identity,
            token_hash: row.token_hash,
            expires_at: row.expires_at,
        };
        Ok(Self {
            said: [
                caller_said(row.id, names, row.roles, row.person_id, true),
                given.said(true),
            ],
            caller,
            expires_at: row.expires_at,
        })
    }
}

/// A row of `caller_tokens`.
struct Given {
    id: Uuid,
    caller: Uuid,
    kind: String,
    identity: Option<String>,
    token_hash: Vec<u8>,
    expires_at: OffsetDateTime,
}

impl Given {
    fn said(self, is_there: bool) -> Said {
        let form = form::Credential {
            caller: self.caller,
            kind: self.kind,
            identity: self.identity,
            hash: hex::encode(self.token_hash),
            expires_at: form::micros(self.expires_at),
        };
        Said::of(self.id, is_there.then_some(&form))
    }
}

/// What all rows of both tables say.
pub(crate) async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    let callers = sqlx::query!("select id, name, owner, roles, person_id, revoked_at from callers")
        .fetch_all(tx.connection())
        .await?;
    let callers = callers.into_iter().map(|row| {
        let is_there = row.revoked_at.is_none();
        caller_said(
            row.id,
            (row.name, row.owner),
            row.roles,
            row.person_id,
            is_there,
        )
    });
    let given = sqlx::query!(
        "select id, caller_id, kind, identity, token_hash, expires_at, revoked_at from caller_tokens"
    )
    .fetch_all(tx.connection())
    .await?;
    let given = given.into_iter().map(|row| {
        let it = Given {
            id: row.id,
            caller: row.caller_id,
            kind: row.kind,
            identity: row.identity,
            token_hash: row.token_hash,
            expires_at: row.expires_at,
        };
        it.said(row.revoked_at.is_none())
    });
    Ok(callers.chain(given).collect())
}

fn kind(word: &str) -> Result<Kind, LedgerError> {
    Kind::from_name(word).ok_or_else(|| LedgerError::Corrupt("caller_tokens", word.to_owned()))
}

/// The credentials of a caller, the newest first.
pub(super) async fn credentials(
    caller: CallerId,
    authority: &Authority,
) -> Result<Vec<Credential>, LedgerError> {
    let look = move || async move {
        let rows = sqlx::query!(
            "select id, kind, identity, token_hash, created_at, expires_at, revoked_at
             from caller_tokens where caller_id = $1 order by created_at desc, id desc",
            caller.uuid(),
        )
        .fetch_all(authority.ledger().pool())
        .await?;
        let rows = rows.into_iter().map(|row| {
            let given = Given {
                id: row.id,
                caller: caller.uuid(),
                kind: row.kind.clone(),
                identity: row.identity.clone(),
                token_hash: row.token_hash,
                expires_at: row.expires_at,
            };
            Ok(Read {
                said: vec![given.said(row.revoked_at.is_none())],
                value: Credential {
                    id: row.id,
                    kind: kind(&row.kind)?,
                    identity: row.identity,
                    created_at: row.created_at,
                    expires_at: row.expires_at,
                    revoked_at: row.revoked_at,
                },
            })
        });
        rows.collect::<Result<Vec<_>, LedgerError>>()
    };
    let all = authority.read(look).await?;
    Ok(all.into_iter().map(|it| it.value).collect())
}

/// Inserts a credential for which others vouch, for so many days by the database's clock.
pub(super) async fn insert_credential(
    id: Uuid,
    caller: CallerId,
    identity: &Identity,
    days: u16,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let life = Duration::days(days.into());
    let shown = identity.shown();
    give(id, caller, &shown, Some(identity.to_string()), life, change).await
}

/// Inserts a token that lives so long by the database's clock, which also ends it.
pub(super) async fn insert_token(
    id: Uuid,
    caller: CallerId,
    hash: &[u8; 32],
    life: Duration,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let shown = Shown {
        kind: Kind::Token,
        hash: *hash,
    };
    give(id, caller, &shown, None, life, change).await
}

async fn give(
    id: Uuid,
    caller: CallerId,
    shown: &Shown,
    identity: Option<String>,
    life: Duration,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let expires_at = sqlx::query_scalar!(
        "insert into caller_tokens (id, caller_id, kind, identity, token_hash, expires_at)
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) returning expires_at",
        id,
        caller.uuid(),
        shown.kind.name(),
        identity,
        shown.hash.as_slice(),
        life.as_seconds_f64(),
    )
    .fetch_one(change.tx().connection())
    .await?;
    let given = Given {
        id,
        caller: caller.uuid(),
        kind: shown.kind.name().to_owned(),
        identity,
        token_hash: shown.hash.to_vec(),
        expires_at,
    };
    change.state(given.said(true), Effect::Loosens)
}

/// Revokes one credential of a caller; whose it is, and its kind.
pub(super) async fn revoke_credential(
    name: &Name,
    credential: Uuid,
    change: &mut Change,
) -> Result<Option<(CallerId, Kind)>, LedgerError> {
    let row = sqlx::query!(
        "update caller_tokens t set revoked_at = coalesce(t.revoked_at, now()) from callers c
         where c.id = t.caller_id and t.id = $2 and (c.name = $1 or c.id::text = $1)
         returning c.id, t.kind",
        name.as_str(),
        credential,
    )
    .fetch_optional(change.tx().connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let gone = Said::of::<form::Credential>(credential, None);
    change.state(gone, Effect::Tightens)?;
    Ok(Some((row.id.into(), kind(&row.kind)?)))
}

pub(super) async fn any(tx: &mut Tx) -> Result<bool, LedgerError> {
    let any = sqlx::query_scalar!(r#"select exists (select from callers) as "any!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(any)
}

pub(super) async fn insert(
    id: CallerId,
    new: &NewCaller,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let roles: Vec<String> = new.roles.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "insert into callers (id, name, owner, roles) values ($1, $2, $3, $4)",
        id.uuid(),
        new.name.as_str(),
        new.owner.as_str(),
        &roles,
    )
    .execute(change.tx().connection())
    .await?;
    let names = (new.name.to_string(), new.owner.to_string());
    let said = caller_said(id.uuid(), names, roles, None, true);
    change.state(said, Effect::Loosens)
}

/// A caller who is not revoked, and their roles.
pub(super) async fn lock(
    name: &Name,
    change: &mut Change,
) -> Result<Option<(CallerId, Vec<String>)>, LedgerError> {
    let row = sqlx::query!(
        "select id, name, owner, roles, person_id from callers
         where (name = $1 or id::text = $1) and revoked_at is null for update",
        name.as_str(),
    )
    .fetch_optional(change.tx().connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let names = (row.name, row.owner);
    let mut said = caller_said(row.id, names, row.roles.clone(), row.person_id, true);
    change.prove(&mut said).await?;
    Ok(Some((row.id.into(), row.roles)))
}

/// Makes a caller who is nobody's yet, and not revoked, a person's.
pub(super) async fn assign(
    name: &Name,
    person: PersonId,
    change: &mut Change,
) -> Result<Option<CallerId>, LedgerError> {
    if lock(name, change).await?.is_none() {
        return Ok(None);
    }
    let row = sqlx::query!(
        "update callers set person_id = $2
         where (name = $1 or id::text = $1) and revoked_at is null and (person_id is null or person_id = $2)
         returning id, name, owner, roles",
        name.as_str(),
        person.uuid(),
    )
    .fetch_optional(change.tx().connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let names = (row.name, row.owner);
    let said = caller_said(row.id, names, row.roles, Some(person.uuid()), true);
    change.state(said, Effect::Loosens)?;
    Ok(Some(row.id.into()))
}

/// Revokes a caller with all their credentials.
pub(super) async fn revoke(
    name: &Name,
    change: &mut Change,
) -> Result<Option<CallerId>, LedgerError> {
    let row = sqlx::query!(
        r#"with revoked as (
             update callers set revoked_at = coalesce(revoked_at, now())
             where name = $1 or id::text = $1 returning id
         ), tokens as (
             update caller_tokens t set revoked_at = now() from revoked r
             where t.caller_id = r.id and t.revoked_at is null returning t.id
         )
         select id, array(select id from tokens) as "tokens!" from revoked"#,
        name.as_str(),
    )
    .fetch_optional(change.tx().connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    for token in row.tokens {
        let gone = Said::of::<form::Credential>(token, None);
        change.state(gone, Effect::Tightens)?;
    }
    let gone = Said::of::<form::Caller>(row.id, None);
    change.state(gone, Effect::Tightens)?;
    Ok(Some(row.id.into()))
}
