//! `clients` and `assigned_key_ids`.

use uuid::Uuid;

use super::{AssignedKid, Client};
use crate::audit::{Change, Effect};
use crate::authority::{Authority, Said, Version};
use crate::id::{ClientId, KeyId, RotationId};
use crate::keys;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// A client and its key, in one row: both are read for every signature.
struct Row {
    id: Uuid,
    name: String,
    owner: String,
    environment: String,
    client_id: String,
    created_at: time::OffsetDateTime,
    kid: Option<String>,
    key_id: Uuid,
    key_name: String,
    key_purpose: String,
    key_algorithm: String,
    key_backend: String,
    key_device_ref: Option<String>,
    key_origin: String,
    key_environment: String,
    key_owner: String,
    key_state: String,
    key_epoch: i64,
    key_public_key: Option<Vec<u8>>,
    key_attributes: Option<serde_json::Value>,
    key_created_at: time::OffsetDateTime,
    key_cryptoperiod_ends_at: time::OffsetDateTime,
}

macro_rules! select {
    ($which:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            "select c.id, c.name, c.owner, c.environment, c.client_id, c.created_at,
                    (select kid from assigned_key_ids a where a.key_id = c.key_id
                     order by a.id desc limit 1) as kid,
                    k.id as key_id, k.name as key_name, k.purpose as key_purpose,
                    k.algorithm as key_algorithm, k.backend as key_backend,
                    k.device_ref as key_device_ref, k.origin as key_origin,
                    k.environment as key_environment, k.owner as key_owner, k.state as key_state,
                    k.epoch as key_epoch, k.public_key as key_public_key,
                    k.attributes as key_attributes, k.created_at as key_created_at,
                    k.cryptoperiod_ends_at as key_cryptoperiod_ends_at
             from clients c join keys k on k.id = c.key_id " + $which
            $(, $argument)*
        )
    };
}

impl TryFrom<Row> for Client {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let key = keys::records::joined!(row)?;
        Ok(Self {
            id: row.id.into(),
            name: Name::from_record("clients", row.name)?,
            owner: Name::from_record("clients", row.owner)?,
            environment: Name::from_record("clients", row.environment)?,
            client_id: row.client_id,
            key,
            kid: row.kid,
            created_at: row.created_at,
            stated: Version::default(),
        })
    }
}

pub(super) async fn list(authority: &Authority) -> Result<Vec<Client>, LedgerError> {
    let look = move || async move {
        let rows = select!("order by c.name")
            .fetch_all(authority.ledger().pool())
            .await?;
        rows.into_iter().map(Client::try_from).collect()
    };
    authority.read(look).await
}

pub(super) async fn find(
    name: &Name,
    authority: &Authority,
) -> Result<Option<Client>, LedgerError> {
    let look = move || async move {
        let row = select!("where c.name = $1", name.as_str())
            .fetch_optional(authority.ledger().pool())
            .await?;
        row.map(Client::try_from).transpose()
    };
    authority.read(look).await
}

pub(super) async fn find_by_id(
    id: ClientId,
    authority: &Authority,
) -> Result<Option<Client>, LedgerError> {
    let look = move || async move {
        let row = select!("where c.id = $1", id.uuid())
            .fetch_optional(authority.ledger().pool())
            .await?;
        row.map(Client::try_from).transpose()
    };
    authority.read(look).await
}

/// What all rows say.
pub(crate) async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    let rows = select!("").fetch_all(tx.connection()).await?;
    rows.into_iter()
        .map(|row| Ok(Client::try_from(row)?.said()))
        .collect()
}

/// What the counterparty calls a key, where it was recorded.
pub(super) async fn kid(key: KeyId, ledger: &Ledger) -> Result<Option<String>, LedgerError> {
    let kid = sqlx::query_scalar!(
        "select kid from assigned_key_ids where key_id = $1 order by id desc limit 1",
        key.uuid()
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(kid)
}

/// Records what the counterparty calls a key.
pub(super) async fn assign_kid(
    key: KeyId,
    kid: &AssignedKid,
    rotation: RotationId,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into assigned_key_ids (key_id, kid, rotation_id) values ($1, $2, $3)",
        key.uuid(),
        kid.as_str(),
        rotation.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Keys that may sign and have no kid of their own, with their environments.
pub(super) async fn without_kid(ledger: &Ledger) -> Result<Vec<(Name, Name)>, LedgerError> {
    let rows = sqlx::query!(
        "select environment, name from keys k
         where purpose = 'client' and public_key is not null
             and state in ('pre-activation', 'active', 'suspended', 'retiring')
             and not exists (select 1 from assigned_key_ids a where a.key_id = k.id)
         order by environment, name"
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let name = |text| Name::from_record("keys", text);
            Ok((name(row.environment)?, name(row.name)?))
        })
        .collect()
}

/// A client that nobody else changes before this transaction has ended.
pub(super) async fn lock(id: ClientId, change: &mut Change) -> Result<Option<Client>, LedgerError> {
    let row = select!("where c.id = $1 for update of c", id.uuid())
        .fetch_optional(change.tx().connection())
        .await?;
    let mut client = row.map(Client::try_from).transpose()?;
    change.prove(&mut client).await?;
    Ok(client)
}

/// The names of the clients that a key signs for.
pub(super) async fn with_key(key: KeyId, tx: &mut Tx) -> Result<Vec<Name>, LedgerError> {
    let names = sqlx::query_scalar!(
        "select name from clients where key_id = $1 order by name",
        key.uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    let name = |name| Name::from_record("clients", name);
    names.into_iter().map(name).collect()
}

/// Gives a client another key, if it still has the one that it was seen with, at the exclusive gate.
pub(super) async fn switch_key(
    client: &Client,
    to: KeyId,
    change: &mut Change,
) -> Result<bool, LedgerError> {
    let Some(now) = lock(client.id, change).await? else {
        return Ok(false);
    };
    let moved = sqlx::query!(
        "update clients set key_id = $3 where id = $1 and key_id = $2",
        client.id.uuid(),
        client.key.id.uuid(),
        to.uuid(),
    )
    .execute(change.tx().connection())
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    change.state(now.said_with(to), Effect::Tightens)?;
    Ok(true)
}

pub(super) async fn insert(client: &Client, change: &mut Change) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into clients (id, name, key_id, owner, environment, client_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        client.id.uuid(),
        client.name.as_str(),
        client.key.id.uuid(),
        client.owner.as_str(),
        client.environment.as_str(),
        client.client_id,
        client.created_at,
    )
    .execute(change.tx().connection())
    .await?;
    change.state(client.said(), Effect::Loosens)
}
