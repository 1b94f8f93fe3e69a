//! `keys`, `key_transitions` and `key_cryptoperiods`.

use time::OffsetDateTime;

use super::{Adoption, Key, KeyState, NewKey, Origin, Purpose, Taken};
use crate::approvals::Approval;
use crate::audit::{Change, Effect};
use crate::authority::{Authority, Said, Version};
use crate::custody::{Algorithm, DeviceKey, DeviceRef, PublicKey};
use crate::id::{CallerId, KeyId};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// A row of `keys` as Postgres gives it, also for others that join the table.
pub(crate) struct Row {
    pub(crate) id: uuid::Uuid,
    pub(crate) name: String,
    pub(crate) purpose: String,
    pub(crate) algorithm: String,
    pub(crate) backend: String,
    pub(crate) device_ref: Option<String>,
    pub(crate) origin: String,
    pub(crate) environment: String,
    pub(crate) owner: String,
    pub(crate) state: String,
    pub(crate) epoch: i64,
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) attributes: Option<serde_json::Value>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) cryptoperiod_ends_at: OffsetDateTime,
}

/// The key in a row of another table that is joined with `keys`, whose columns begin with `key_` there.
macro_rules! joined {
    ($row:ident) => {
        crate::keys::Key::try_from(crate::keys::records::Row {
            id: $row.key_id,
            name: $row.key_name,
            purpose: $row.key_purpose,
            algorithm: $row.key_algorithm,
            backend: $row.key_backend,
            device_ref: $row.key_device_ref,
            origin: $row.key_origin,
            environment: $row.key_environment,
            owner: $row.key_owner,
            state: $row.key_state,
            epoch: $row.key_epoch,
            public_key: $row.key_public_key,
            attributes: $row.key_attributes,
            created_at: $row.key_created_at,
            cryptoperiod_ends_at: $row.key_cryptoperiod_ends_at,
        })
    };
}
pub(crate) use joined;

macro_rules! select {
    ($which:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            "select id, name, purpose, algorithm, backend, device_ref, origin, environment, owner, state, epoch,
                public_key, attributes, created_at, cryptoperiod_ends_at
         from keys " + $which
            $(, $argument)*
        )
    };
}

impl TryFrom<Row> for Key {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let corrupt = |what: &str| LedgerError::Corrupt("keys", format!("{what} of {}", row.id));
        let public_key = row
            .public_key
            .map(|der| PublicKey::from_spki_der(&der))
            .transpose()
            .map_err(|_| corrupt("public_key"))?;
        Ok(Self {
            id: row.id.into(),
            purpose: Purpose::from_name(&row.purpose).ok_or_else(|| corrupt("purpose"))?,
            algorithm: Algorithm::from_name(&row.algorithm).ok_or_else(|| corrupt("algorithm"))?,
            state: KeyState::from_name(&row.state).ok_or_else(|| corrupt("state"))?,
            attributes: row
                .attributes
                .map(serde_json::from_value)
                .transpose()
                .map_err(|_| corrupt("attributes"))?
                .unwrap_or_default(),
            name: Name::from_record("keys", row.name)?,
            backend: Name::from_record("keys", row.backend)?,
            environment: Name::from_record("keys", row.environment)?,
            owner: Name::from_record("keys", row.owner)?,
            device_ref: row
                .device_ref
                .map(DeviceRef::try_from)
                .transpose()
                .map_err(|_| corrupt("device_ref"))?,
            origin: Origin::from_name(&row.origin).ok_or_else(|| corrupt("origin"))?,
            epoch: row.epoch,
            public_key,
            created_at: row.created_at,
            cryptoperiod_ends_at: row.cryptoperiod_ends_at,
            stated: Version::default(),
        })
    }
}

/// All of them, as they are, whatever is stated.
pub(super) async fn as_they_are(ledger: &Ledger) -> Result<Vec<Key>, LedgerError> {
    let rows = select!("order by name").fetch_all(ledger.pool()).await?;
    rows.into_iter().map(Key::try_from).collect()
}

pub(super) async fn list(authority: &Authority) -> Result<Vec<Key>, LedgerError> {
    authority.read(|| as_they_are(authority.ledger())).await
}

/// Keys without a public half, the oldest first.
pub(super) async fn orphans(authority: &Authority) -> Result<Vec<Key>, LedgerError> {
    let look = move || async move {
        let rows = select!("where public_key is null and state <> 'destroyed' order by created_at")
            .fetch_all(authority.ledger().pool())
            .await?;
        rows.into_iter().map(Key::try_from).collect()
    };
    authority.read(look).await
}

pub(super) async fn find(name: &Name, authority: &Authority) -> Result<Option<Key>, LedgerError> {
    let look = move || async move {
        let row = select!("where name = $1", name.as_str())
            .fetch_optional(authority.ledger().pool())
            .await?;
        row.map(Key::try_from).transpose()
    };
    authority.read(look).await
}

pub(super) async fn find_named(
    name: &Name,
    change: &mut Change,
) -> Result<Option<Key>, LedgerError> {
    let row = select!("where name = $1", name.as_str())
        .fetch_optional(change.tx().connection())
        .await?;
    let mut key = row.map(Key::try_from).transpose()?;
    change.prove(&mut key).await?;
    Ok(key)
}

/// A key that nobody else changes before the transaction has ended.
pub(super) async fn find_within(
    id: KeyId,
    change: &mut Change,
) -> Result<Option<Key>, LedgerError> {
    let row = select!("where id = $1 for no key update", id.uuid())
        .fetch_optional(change.tx().connection())
        .await?;
    let mut key = row.map(Key::try_from).transpose()?;
    change.prove(&mut key).await?;
    Ok(key)
}

pub(super) async fn find_all(
    ids: &[KeyId],
    authority: &Authority,
) -> Result<Vec<Key>, LedgerError> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let ids = &ids;
    let look = move || async move {
        let rows = select!("where id = any($1)", ids)
            .fetch_all(authority.ledger().pool())
            .await?;
        rows.into_iter().map(Key::try_from).collect()
    };
    authority.read(look).await
}

/// What all rows say.
pub(crate) async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    let rows = select!("").fetch_all(tx.connection()).await?;
    rows.into_iter()
        .map(|row| Ok(Key::try_from(row)?.said()))
        .collect()
}

/// Changes a key's cryptoperiod if it is still the one that the caller saw, at the exclusive gate.
pub(super) async fn set_cryptoperiod(
    key: &Key,
    ends_at: OffsetDateTime,
    approval: Approval,
    reason: &str,
    change: &mut Change,
) -> Result<Option<Key>, LedgerError> {
    let Some(now) = find_within(key.id, change).await? else {
        return Ok(None);
    };
    let author = change.author();
    sqlx::query!(
        "insert into key_cryptoperiods (key_id, was, ends_at, actor_id, approval, reason)
         values ($1, $2, $3, $4, $5, $6)",
        key.id.uuid(),
        key.cryptoperiod_ends_at,
        ends_at,
        author.uuid(),
        approval.to_string(),
        reason,
    )
    .execute(change.tx().connection())
    .await?;
    let changed = sqlx::query!(
        "update keys set cryptoperiod_ends_at = $3
         where id = $1 and cryptoperiod_ends_at = $2 and epoch = $4 and cryptoperiod_ends_at > now()",
        key.id.uuid(),
        key.cryptoperiod_ends_at,
        ends_at,
        key.epoch,
    )
    .execute(change.tx().connection())
    .await?;
    if changed.rows_affected() != 1 {
        return Ok(None);
    }
    let moved = Key {
        cryptoperiod_ends_at: ends_at,
        ..now
    };
    change.state(moved.said(), Effect::Tightens)?;
    Ok(Some(moved))
}

/// Inserts the row of a key that its device does not hold yet. Its period is so many days by the
/// database's clock, which also ends it.
pub(super) async fn insert(
    (id, algorithm, origin, days): (KeyId, Algorithm, Origin, u16),
    new: &NewKey,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin,
                           cryptoperiod_ends_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(hours => 24 * $9::int))
         returning id, name, purpose, algorithm, backend, device_ref, origin, environment, owner,
                   state, epoch, public_key, attributes, created_at, cryptoperiod_ends_at",
        id.uuid(),
        new.name.as_str(),
        new.purpose.name(),
        algorithm.name(),
        new.backend.as_str(),
        new.environment.as_str(),
        new.owner.as_str(),
        origin.name(),
        i32::from(days),
    )
    .fetch_one(change.tx().connection())
    .await?;
    state(row.try_into()?, change).map(drop)
}

/// States what nothing was allowed with before.
fn state(key: Key, change: &mut Change) -> Result<Key, LedgerError> {
    change.state(key.said(), Effect::Loosens)?;
    Ok(key)
}

/// Inserts the row of a key that its device holds already.
pub(super) async fn insert_adopted(
    (id, algorithm, origin, days): (KeyId, Algorithm, Origin, u16),
    adoption: &Adoption,
    found: &DeviceKey,
    change: &mut Change,
) -> Result<Key, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin,
                           cryptoperiod_ends_at, public_key, attributes, device_ref)
         values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(hours => 24 * $9::int), $10, $11, $12)
         returning id, name, purpose, algorithm, backend, device_ref, origin, environment, owner,
                   state, epoch, public_key, attributes, created_at, cryptoperiod_ends_at",
        id.uuid(),
        adoption.name.as_str(),
        adoption.purpose.name(),
        algorithm.name(),
        adoption.backend.as_str(),
        adoption.environment.as_str(),
        adoption.owner.as_str(),
        origin.name(),
        i32::from(days),
        found.public_key.to_spki_der(),
        serde_json::json!(found.attributes),
        found.device_ref.as_ref().map(DeviceRef::as_str),
    )
    .fetch_one(change.tx().connection())
    .await?;
    state(row.try_into()?, change)
}

pub(super) async fn set_public_key(
    id: KeyId,
    made: &DeviceKey,
    change: &mut Change,
) -> Result<Key, LedgerError> {
    let gone = || LedgerError::Corrupt("keys", format!("{id} is missing"));
    let now = find_within(id, change).await?.ok_or_else(gone)?;
    sqlx::query!(
        "update keys set public_key = $2, attributes = $3, device_ref = $4 where id = $1",
        id.uuid(),
        made.public_key.to_spki_der(),
        serde_json::json!(made.attributes),
        made.device_ref.as_ref().map(DeviceRef::as_str),
    )
    .execute(change.tx().connection())
    .await?;
    let made = Key {
        public_key: Some(made.public_key.clone()),
        attributes: made.attributes.clone(),
        device_ref: made.device_ref.clone(),
        ..now
    };
    state(made, change)
}

/// Records the device's name for a key that is going to be brought.
pub(super) async fn set_device_ref(
    id: KeyId,
    device_ref: &DeviceRef,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let Some(now) = find_within(id, change).await? else {
        return Ok(());
    };
    let set = sqlx::query!(
        "update keys set device_ref = $2 where id = $1 and device_ref is null",
        id.uuid(),
        device_ref.as_str(),
    )
    .execute(change.tx().connection())
    .await?;
    if set.rows_affected() == 0 {
        return Ok(());
    }
    let named = Key {
        device_ref: Some(device_ref.clone()),
        ..now
    };
    state(named, change).map(drop)
}

/// Records the public half of a key that was brought. `None`: the key no longer waits for one.
pub(super) async fn set_brought(
    id: KeyId,
    brought: &DeviceKey,
    change: &mut Change,
) -> Result<Option<Key>, LedgerError> {
    let Some(now) = find_within(id, change).await? else {
        return Ok(None);
    };
    let set = sqlx::query!(
        "update keys set public_key = $2, attributes = $3
         where id = $1 and public_key is null and state = 'pre-activation' and origin = 'imported'",
        id.uuid(),
        brought.public_key.to_spki_der(),
        serde_json::json!(brought.attributes),
    )
    .execute(change.tx().connection())
    .await?;
    if set.rows_affected() == 0 {
        return Ok(None);
    }
    let brought = Key {
        public_key: Some(brought.public_key.clone()),
        attributes: brought.attributes.clone(),
        ..now
    };
    state(brought, change).map(Some)
}

/// The steps that a key has taken, the oldest first, as the table has them: what proves them is the log.
pub(super) async fn steps(id: KeyId, ledger: &Ledger) -> Result<Vec<Taken>, LedgerError> {
    let rows = sqlx::query!(
        r#"select t.epoch, t.from_state, t.to_state, c.name as "by?", t.approval, t.reason, t.at
           from key_transitions t left join callers c on c.id = t.actor_id
           where t.key_id = $1 order by t.epoch"#,
        id.uuid(),
    )
    .fetch_all(ledger.pool())
    .await?;
    let state = |name: &str| {
        let corrupt = || LedgerError::Corrupt("key_transitions", format!("a state of {id}"));
        KeyState::from_name(name).ok_or_else(corrupt)
    };
    let taken = rows.into_iter().map(|row| {
        Ok(Taken {
            epoch: row.epoch,
            from: state(&row.from_state)?,
            to: state(&row.to_state)?,
            by: row.by.unwrap_or_else(|| "service".to_owned()),
            approval: row.approval,
            reason: row.reason,
            at: row.at,
        })
    });
    taken.collect()
}

/// Takes the step if the key is still where it was seen, at the exclusive gate. Without an author it is the
/// service's own.
pub(super) async fn step(
    key: &Key,
    to: KeyState,
    author: Option<CallerId>,
    approval: Approval,
    reason: &str,
    change: &mut Change,
) -> Result<Option<Key>, LedgerError> {
    let Some(now) = find_within(key.id, change).await? else {
        return Ok(None);
    };
    sqlx::query!(
        "insert into key_transitions (key_id, epoch, from_state, to_state, actor_id, approval, reason)
         select $1, $2, $3, $4, $5, $6, $7
         on conflict (key_id, epoch) do nothing",
        key.id.uuid(),
        key.epoch + 1,
        key.state.name(),
        to.name(),
        author.map(CallerId::uuid),
        approval.to_string(),
        reason,
    )
    .execute(change.tx().connection())
    .await?;
    let moved = sqlx::query!(
        "update keys set state = $3, epoch = epoch + 1 where id = $1 and epoch = $2 and state = $4",
        key.id.uuid(),
        key.epoch,
        to.name(),
        key.state.name(),
    )
    .execute(change.tx().connection())
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(None);
    }
    let moved = Key {
        state: to,
        epoch: key.epoch + 1,
        ..now
    };
    let effect = match to {
        KeyState::Active => Effect::Loosens,
        _ => Effect::Tightens,
    };
    change.state(moved.said(), effect)?;
    Ok(Some(moved))
}
