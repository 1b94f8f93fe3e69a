//! The table `sealed_keys`.

use sqlx::PgPool;

use crate::custody::Algorithm;
use crate::id::KeyId;

/// A key as it is kept.
pub(super) struct SealedKey {
    pub(super) sealed: Vec<u8>,
    /// SPKI DER.
    pub(super) public_key: Vec<u8>,
}

/// Keeps a key. `false`: the id is taken, and nothing was changed.
pub(super) async fn insert(
    pool: &PgPool,
    id: KeyId,
    algorithm: Algorithm,
    key: &SealedKey,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into sealed_keys (key_id, algorithm, sealed, public_key) values ($1, $2, $3, $4)
         on conflict (key_id) do nothing",
        id.uuid(),
        algorithm.name(),
        key.sealed,
        key.public_key,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The key of this id and algorithm.
pub(super) async fn find(
    pool: &PgPool,
    id: KeyId,
    algorithm: Algorithm,
) -> Result<Option<SealedKey>, sqlx::Error> {
    sqlx::query_as!(
        SealedKey,
        "select sealed, public_key from sealed_keys where key_id = $1 and algorithm = $2",
        id.uuid(),
        algorithm.name(),
    )
    .fetch_optional(pool)
    .await
}

/// Forgets a key for good. `false`: there was none.
pub(super) async fn delete(
    pool: &PgPool,
    id: KeyId,
    algorithm: Algorithm,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from sealed_keys where key_id = $1 and algorithm = $2",
        id.uuid(),
        algorithm.name(),
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the table answers.
pub(super) async fn reach(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!("select key_id from sealed_keys limit 1")
        .fetch_optional(pool)
        .await
        .map(|_| ())
}
