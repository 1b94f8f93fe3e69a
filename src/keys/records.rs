//! `keys`, `key_transitions` and `key_cryptoperiods`.

use time::OffsetDateTime;

use super::{Adoption, Key, KeyState, NewKey, Origin, Purpose};
use crate::approvals::Approval;
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
        })
    }
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Key>, LedgerError> {
    let rows = select!("order by name").fetch_all(ledger.pool()).await?;
    rows.into_iter().map(Key::try_from).collect()
}

/// Keys without a public half, the oldest first.
pub(super) async fn orphans(ledger: &Ledger) -> Result<Vec<Key>, LedgerError> {
    let rows = select!("where public_key is null and state <> 'destroyed' order by created_at")
        .fetch_all(ledger.pool())
        .await?;
    rows.into_iter().map(Key::try_from).collect()
}

pub(super) async fn find(name: &Name, ledger: &Ledger) -> Result<Option<Key>, LedgerError> {
    let row = select!("where name = $1", name.as_str())
        .fetch_optional(ledger.pool())
        .await?;
    row.map(Key::try_from).transpose()
}

pub(super) async fn find_named(name: &Name, tx: &mut Tx) -> Result<Option<Key>, LedgerError> {
    let row = select!("where name = $1", name.as_str())
        .fetch_optional(tx.connection())
        .await?;
    row.map(Key::try_from).transpose()
}

pub(super) async fn find_within(id: KeyId, tx: &mut Tx) -> Result<Option<Key>, LedgerError> {
    let row = select!("where id = $1", id.uuid())
        .fetch_optional(tx.connection())
        .await?;
    row.map(Key::try_from).transpose()
}

pub(super) async fn find_all(ids: &[KeyId], ledger: &Ledger) -> Result<Vec<Key>, LedgerError> {
    let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
    let rows = select!("where id = any($1)", &ids)
        .fetch_all(ledger.pool())
        .await?;
    rows.into_iter().map(Key::try_from).collect()
}

/// Changes a key's cryptoperiod if it is still the one that the caller saw.
pub(super) async fn set_cryptoperiod(
    key: &Key,
    ends_at: OffsetDateTime,
    author: CallerId,
    approval: Approval,
    reason: &str,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
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
    .execute(tx.connection())
    .await?;
    let changed = sqlx::query!(
        "update keys set cryptoperiod_ends_at = $3
         where id = $1 and cryptoperiod_ends_at = $2 and epoch = $4 and cryptoperiod_ends_at > now()",
        key.id.uuid(),
        key.cryptoperiod_ends_at,
        ends_at,
        key.epoch,
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Inserts the row of a key that its device does not hold yet. Its period is so many days by the
/// database's clock, which also ends it.
pub(super) async fn insert(
    (id, algorithm, origin, days): (KeyId, Algorithm, Origin, u16),
    new: &NewKey,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin,
                           cryptoperiod_ends_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(hours => 24 * $9::int))",
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
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Inserts the row of a key that its device holds already.
pub(super) async fn insert_adopted(
    (id, algorithm, origin, days): (KeyId, Algorithm, Origin, u16),
    adoption: &Adoption,
    found: &DeviceKey,
    tx: &mut Tx,
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
    .fetch_one(tx.connection())
    .await?;
    row.try_into()
}

pub(super) async fn set_public_key(
    id: KeyId,
    made: &DeviceKey,
    tx: &mut Tx,
) -> Result<Key, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "update keys set public_key = $2, attributes = $3, device_ref = $4 where id = $1
         returning id, name, purpose, algorithm, backend, device_ref, origin, environment, owner, state, epoch,
                   public_key, attributes, created_at, cryptoperiod_ends_at",
        id.uuid(),
        made.public_key.to_spki_der(),
        serde_json::json!(made.attributes),
        made.device_ref.as_ref().map(DeviceRef::as_str),
    )
    .fetch_one(tx.connection())
    .await?;
    row.try_into()
}

/// Records the device's name for a key that is going to be brought.
pub(super) async fn set_device_ref(
    id: KeyId,
    device_ref: &DeviceRef,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update keys set device_ref = $2 where id = $1 and device_ref is null",
        id.uuid(),
        device_ref.as_str(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Records the public half of a key that was brought. `None`: the key no longer waits for one.
pub(super) async fn set_brought(
    id: KeyId,
    brought: &DeviceKey,
    tx: &mut Tx,
) -> Result<Option<Key>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "update keys set public_key = $2, attributes = $3
         where id = $1 and public_key is null and state = 'pre-activation' and origin = 'imported'
         returning id, name, purpose, algorithm, backend, device_ref, origin, environment, owner, state, epoch,
                   public_key, attributes, created_at, cryptoperiod_ends_at",
        id.uuid(),
        brought.public_key.to_spki_der(),
        serde_json::json!(brought.attributes),
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(Key::try_from).transpose()
}

/// Takes the step if the key is still where it was seen. Without an author it is the service's own.
pub(super) async fn step(
    key: &Key,
    to: KeyState,
    author: Option<CallerId>,
    approval: Approval,
    reason: &str,
    tx: &mut Tx,
) -> Result<bool, LedgerError> {
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
    .execute(tx.connection())
    .await?;
    let moved = sqlx::query!(
        "update keys set state = $3, epoch = epoch + 1 where id = $1 and epoch = $2 and state = $4",
        key.id.uuid(),
        key.epoch,
        to.name(),
        key.state.name(),
    )
    .execute(tx.connection())
    .await?;
    Ok(moved.rows_affected() == 1)
}
