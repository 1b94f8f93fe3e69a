//! `wallets`.

use uuid::Uuid;

use super::Wallet;
use crate::clob::{Chain, Profile, SignatureType};
use crate::custody::PublicKey;
use crate::ethereum::Address;
use crate::id::{KeyId, WalletId};
use crate::keys;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

struct Row {
    id: Uuid,
    name: String,
    owner: String,
    key_id: Uuid,
    chain_id: i64,
    signature_type: i16,
    funder: Option<Vec<u8>>,
    session_key: bool,
    created_at: time::OffsetDateTime,
}

/// Reads the wallet's key and puts the two together.
async fn with_key(row: Row, ledger: &Ledger) -> Result<Wallet, LedgerError> {
    let corrupt = |what: &str| LedgerError::Corrupt("wallets", format!("{what} of {}", row.id));
    let key = keys::records::find_by_id(KeyId::from(row.key_id), ledger)
        .await?
        .ok_or_else(|| corrupt("key"))?;
    let signer = key
        .public_key
        .as_ref()
        .and_then(PublicKey::address)
        .ok_or_else(|| corrupt("the key's address"))?;
    let chain = u64::try_from(row.chain_id)
        .ok()
        .and_then(|id| Chain::try_from(id).ok());
    let kind = u8::try_from(row.signature_type)
        .ok()
        .and_then(|n| SignatureType::try_from(n).ok());
    let funder = row
        .funder
        .map(|bytes| bytes.try_into().map(Address))
        .transpose()
        .map_err(|_| corrupt("funder"))?;
    let profile = Profile::new(
        chain.ok_or_else(|| corrupt("chain_id"))?,
        kind.ok_or_else(|| corrupt("signature_type"))?,
        signer,
        funder,
        row.session_key,
    )
    .map_err(|_| corrupt("profile"))?;
    Ok(Wallet {
        id: row.id.into(),
        name: Name::from_record("wallets", row.name)?,
        owner: Name::from_record("wallets", row.owner)?,
        key,
        profile,
        created_at: row.created_at,
    })
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<Wallet>, LedgerError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, name, owner, key_id, chain_id, signature_type, funder, session_key, created_at
         from wallets order by name"
    )
    .fetch_all(ledger.pool())
    .await?;
    let mut wallets = Vec::with_capacity(rows.len());
    for row in rows {
        wallets.push(with_key(row, ledger).await?);
    }
    Ok(wallets)
}

pub(super) async fn find(name: &Name, ledger: &Ledger) -> Result<Option<Wallet>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, owner, key_id, chain_id, signature_type, funder, session_key, created_at
         from wallets where name = $1",
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
    id: WalletId,
    ledger: &Ledger,
) -> Result<Option<Wallet>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        "select id, name, owner, key_id, chain_id, signature_type, funder, session_key, created_at
         from wallets where id = $1",
        id.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    match row {
        Some(row) => with_key(row, ledger).await.map(Some),
        None => Ok(None),
    }
}

pub(super) async fn insert(wallet: &Wallet, tx: &mut Tx) -> Result<(), LedgerError> {
    let profile = &wallet.profile;
    sqlx::query!(
        "insert into wallets (id, name, key_id, owner, chain_id, signature_type, funder,
                              session_key, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        wallet.id.uuid(),
        wallet.name.as_str(),
        wallet.key.id.uuid(),
        wallet.owner.as_str(),
        i64::try_from(profile.chain().id()).unwrap_or_default(),
        i16::from(profile.signature_type().number()),
        profile.funder().map(|address| address.0.to_vec()),
        profile.session_key(),
        wallet.created_at,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
