//! `clients`.

use uuid::Uuid;

use super::Client;
use crate::id::{ClientId, KeyId};
use crate::keys;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

struct Row {
    id: Uuid,
    name: String,
    owner: String,
    environment: String,
    client_id: String,
    key_id: Uuid,
    created_at: time::OffsetDateTime,
}

/// Reads the client's key and puts the two together.
async fn with_key(row: Row, ledger: &Ledger) -> Result<Client, LedgerError> {
    let key = keys::records::find_by_id(KeyId::from(row.key_id), ledger)
        .await?
        .ok_or_else(|| LedgerError::Corrupt("clients", format!("key of {}", row.id)))?;
    Ok(Client {
        id: row.id.into(),
        name: Name::from_record("clients", row.name)?,
        owner: Name::from_record("clients", row.owner)?,
        environment: Name::from_record("clients", row.environment)?,
        client_id: row.client_id,
        key,
        created_at: row.created_at,
    })
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Client>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, name, owner, environment, client_id, key_id, created_at
         from clients order by name"
    )
    .fetch_all(ledger.pool())
    .await?;
    let mut clients = Vec::with_capacity(rows.len());
    for row in rows {
        clients.push(with_key(row, ledger).await?);
    }
    Ok(clients)
}

pub(super) async fn find(name: &Name, ledger: &Ledger) -> Result<Option<Client>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, owner, environment, client_id, key_id, created_at
         from clients where name = $1",
        name.as_str(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    match row {
        Some(row) => with_key(row, ledger).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn find_by_id(
    id: ClientId,
    ledger: &Ledger,
) -> Result<Option<Client>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, owner, environment, client_id, key_id, created_at
         from clients where id = $1",
        id.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    match row {
        Some(row) => with_key(row, ledger).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn insert(client: &Client, tx: &mut Tx) -> Result<(), LedgerError> {
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
    .execute(tx.connection())
    .await?;
    Ok(())
}
