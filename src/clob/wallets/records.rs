//! `wallets`.

use uuid::Uuid;

use super::Wallet;
use crate::audit::{Change, Effect};
use crate::authority::{Authority, Said, Version};
use crate::clob::{Chain, Profile, SignatureType};
use crate::custody::PublicKey;
use crate::ethereum::Address;
use crate::id::WalletId;
use crate::keys;
use crate::ledger::{LedgerError, Tx};
use crate::name::Name;

/// A wallet and its key, in one row: both are read for every signature.
struct Row {
    id: Uuid,
    name: String,
    owner: String,
    chain_id: i64,
    signature_type: i16,
    funder: Option<Vec<u8>>,
    session_key: bool,
    funder_unverified: bool,
    allow_replace: bool,
    created_at: time::OffsetDateTime,
    successor: Option<String>,
    closed_at: Option<time::OffsetDateTime>,
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
            "select w.id, w.name, w.owner, w.chain_id, w.signature_type, w.funder, w.session_key,
                    w.funder_unverified, w.allow_replace, w.created_at, w.closed_at,
                    (select s.name from wallets s where s.id = w.successor_id) as successor,
                    k.id as key_id, k.name as key_name, k.purpose as key_purpose,
                    k.algorithm as key_algorithm, k.backend as key_backend,
                    k.device_ref as key_device_ref, k.origin as key_origin,
                    k.environment as key_environment, k.owner as key_owner, k.state as key_state,
                    k.epoch as key_epoch, k.public_key as key_public_key,
                    k.attributes as key_attributes, k.created_at as key_created_at,
                    k.cryptoperiod_ends_at as key_cryptoperiod_ends_at
             from wallets w join keys k on k.id = w.key_id " + $which
            $(, $argument)*
        )
    };
}

impl TryFrom<Row> for Wallet {
    type Error = LedgerError;

    fn try_from(row: Row) -> Result<Self, LedgerError> {
        let corrupt = |what: &str| LedgerError::Corrupt("wallets", format!("{what} of {}", row.id));
        let key = keys::records::joined!(row)?;
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
        Ok(Self {
            id: row.id.into(),
            name: Name::from_record("wallets", row.name)?,
            owner: Name::from_record("wallets", row.owner)?,
            key,
            profile,
            funder_unverified: row.funder_unverified,
            allow_replace: row.allow_replace,
            created_at: row.created_at,
            successor: row
                .successor
                .map(|name| Name::from_record("wallets", name))
                .transpose()?,
            closed_at: row.closed_at,
            stated: Version::default(),
        })
    }
}

pub(super) async fn list(authority: &Authority) -> Result<Vec<Wallet>, LedgerError> {
    let look = move || async move {
        let rows = select!("order by w.name")
            .fetch_all(authority.ledger().pool())
            .await?;
        rows.into_iter().map(Wallet::try_from).collect()
    };
    authority.read(look).await
}

pub(super) async fn find(
    name: &Name,
    authority: &Authority,
) -> Result<Option<Wallet>, LedgerError> {
    let look = move || async move {
        let row = select!("where w.name = $1", name.as_str())
            .fetch_optional(authority.ledger().pool())
            .await?;
        row.map(Wallet::try_from).transpose()
    };
    authority.read(look).await
}

pub(super) async fn find_by_id(
    id: WalletId,
    authority: &Authority,
) -> Result<Option<Wallet>, LedgerError> {
    let look = move || async move {
        let row = select!("where w.id = $1", id.uuid())
            .fetch_optional(authority.ledger().pool())
            .await?;
        row.map(Wallet::try_from).transpose()
    };
    authority.read(look).await
}

/// What all rows say.
pub(crate) async fn said(tx: &mut Tx) -> Result<Vec<Said>, LedgerError> {
    let rows = select!("").fetch_all(tx.connection()).await?;
    rows.into_iter()
        .map(|row| Ok(Wallet::try_from(row)?.said()))
        .collect()
}

/// A wallet that nobody else changes before the transaction has ended.
async fn lock(id: WalletId, change: &mut Change) -> Result<Option<Wallet>, LedgerError> {
    let row = select!("where w.id = $1 for no key update of w", id.uuid())
        .fetch_optional(change.tx().connection())
        .await?;
    let mut wallet = row.map(Wallet::try_from).transpose()?;
    change.prove(&mut wallet).await?;
    Ok(wallet)
}

pub(super) async fn insert(wallet: &Wallet, change: &mut Change) -> Result<(), LedgerError> {
    let profile = &wallet.profile;
    sqlx::query!(
        "insert into wallets (id, name, key_id, owner, chain_id, signature_type, funder,
                              session_key, funder_unverified, allow_replace, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        wallet.id.uuid(),
        wallet.name.as_str(),
        wallet.key.id.uuid(),
        wallet.owner.as_str(),
        i64::try_from(profile.chain().id()).unwrap_or_default(),
        i16::from(profile.signature_type().number()),
        profile.funder().map(|address| address.0.to_vec()),
        profile.session_key(),
        wallet.funder_unverified,
        wallet.allow_replace,
        wallet.created_at,
    )
    .execute(change.tx().connection())
    .await?;
    change.state(wallet.said(), Effect::Loosens)
}

/// Puts on record that nothing is left of a wallet, at the exclusive gate. `false`: that was said before.
pub(super) async fn close(id: WalletId, change: &mut Change) -> Result<bool, LedgerError> {
    let Some(now) = lock(id, change).await? else {
        return Ok(false);
    };
    let closed_at = sqlx::query_scalar!(
        r#"update wallets set closed_at = now() where id = $1 and closed_at is null
         returning closed_at as "at!""#,
        id.uuid(),
    )
    .fetch_optional(change.tx().connection())
    .await?;
    if closed_at.is_none() {
        return Ok(false);
    }
    let closed = Wallet { closed_at, ..now };
    change.state(closed.said(), Effect::Tightens)?;
    Ok(true)
}

/// Names the wallet that takes another one's orders, or none any more.
pub(super) async fn set_successor(
    id: WalletId,
    successor: Option<WalletId>,
    change: &mut Change,
) -> Result<(), LedgerError> {
    let gone = || LedgerError::Corrupt("wallets", format!("{id} is missing"));
    let now = lock(id, change).await?.ok_or_else(gone)?;
    let name = sqlx::query_scalar!(
        r#"update wallets set successor_id = $2 where id = $1
         returning (select s.name from wallets s where s.id = $2) as name"#,
        id.uuid(),
        successor.map(WalletId::uuid),
    )
    .fetch_one(change.tx().connection())
    .await?;
    let successor = name
        .map(|it| Name::from_record("wallets", it))
        .transpose()?;
    let moved = Wallet { successor, ..now };
    change.state(moved.said(), Effect::Loosens)
}
