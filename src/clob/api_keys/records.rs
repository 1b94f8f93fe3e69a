//! `nonce_searches`.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::credentials::CredentialNonce;
use crate::id::{CallerId, WalletId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// A search for nonces that made API keys.
#[derive(Clone, Debug)]
pub struct Search {
    /// Its id.
    pub id: Uuid,
    /// For which wallet's address.
    pub wallet: WalletId,
    /// The first nonce.
    pub first: CredentialNonce,
    /// The last.
    pub last: CredentialNonce,
    /// The one that is tried next; none when all were.
    pub next: Option<CredentialNonce>,
    /// How many had made an API key.
    pub found: u32,
    /// Who began it.
    pub started_by: CallerId,
    /// When.
    pub started_at: OffsetDateTime,
    /// When the last nonce was tried.
    pub stepped_at: OffsetDateTime,
}

pub(super) async fn insert(
    id: Uuid,
    wallet: WalletId,
    first: CredentialNonce,
    last: CredentialNonce,
    by: CallerId,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into nonce_searches (id, wallet_id, first, last, next, started_by)
         values ($1, $2, $3::text::numeric, $4::text::numeric, $3::text::numeric, $5)",
        id,
        wallet.uuid(),
        first.to_string(),
        last.to_string(),
        by.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Puts on record that a nonce was tried. Nothing, if somebody else did so before.
pub(super) async fn advance(
    id: Uuid,
    tried: CredentialNonce,
    found: bool,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "update nonce_searches set next = next + 1, found = found + $3, stepped_at = now()
         where id = $1 and next = $2::text::numeric",
        id,
        tried.to_string(),
        i32::from(found),
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

pub(super) async fn find(id: Uuid, ledger: &Ledger) -> Result<Option<Search>, LedgerError> {
    let row = sqlx::query!(
        r#"select wallet_id, first::text as "first!", last::text as "last!", next::text as "next!",
                  next > last as "over!", found, started_by, started_at, stepped_at
         from nonce_searches where id = $1"#,
        id,
    )
    .fetch_optional(ledger.pool())
    .await?;
    let nonce = |text: &str| {
        let corrupt = |_| LedgerError::Corrupt("nonce_searches", format!("nonce of {id}"));
        text.parse::<CredentialNonce>().map_err(corrupt)
    };
    row.map(|row| {
        Ok(Search {
            id,
            wallet: row.wallet_id.into(),
            first: nonce(&row.first)?,
            last: nonce(&row.last)?,
            next: (!row.over).then(|| nonce(&row.next)).transpose()?,
            found: row.found.unsigned_abs(),
            started_by: row.started_by.into(),
            started_at: row.started_at,
            stepped_at: row.stepped_at,
        })
    })
    .transpose()
}
