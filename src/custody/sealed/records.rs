//! The table `sealed_keys`.

use crate::custody::Algorithm;
use crate::id::KeyId;
use crate::ledger::{Ledger, LedgerError};

/// A key as it is kept.
pub(super) struct SealedKey {
    pub(super) sealed: Vec<u8>,
    /// SPKI DER.
    pub(super) public_key: Vec<u8>,
}

/// Keeps a key. `false`: the id is taken, and nothing was changed.
pub(super) async fn insert(
    id: KeyId,
    algorithm: Algorithm,
    key: &SealedKey,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "insert into sealed_keys (key_id, algorithm, sealed, public_key) values ($1, $2, $3, $4)
         on conflict (key_id) do nothing",
        id.uuid(),
        algorithm.name(),
        key.sealed,
        key.public_key,
    )
    .execute(ledger.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The key of this id and algorithm.
pub(super) async fn find(
    id: KeyId,
    algorithm: Algorithm,
    ledger: &Ledger,
) -> Result<Option<SealedKey>, LedgerError> {
    let found = sqlx::query_as!(
        SealedKey,
        "select sealed, public_key from sealed_keys where key_id = $1 and algorithm = $2",
        id.uuid(),
        algorithm.name(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(found)
}

/// Forgets a key for good. `false`: there was none.
pub(super) async fn delete(
    id: KeyId,
    algorithm: Algorithm,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "delete from sealed_keys where key_id = $1 and algorithm = $2",
        id.uuid(),
        algorithm.name(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the table answers.
pub(super) async fn reach(ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!("select key_id from sealed_keys limit 1")
        .fetch_optional(ledger.pool())
        .await?;
    Ok(())
}
