//! The table `sealed_keys`.

use uuid::Uuid;

use crate::custody::{Algorithm, ResealedKey};
use crate::id::KeyId;
use crate::ledger::{Ledger, LedgerError, Tx};

/// How many bytes in front of a sealed key name its master key.
const HEAD: i32 = 9;

/// A key's row.
pub(super) struct SealedKey {
    pub(super) sealed: Vec<u8>,
    /// SPKI DER.
    pub(super) public_key: Vec<u8>,
    /// Whether the key existed before it was brought here.
    pub(super) imported: bool,
}

/// Inserts a key. `false`: the id is taken, and nothing was changed.
pub(super) async fn insert(
    id: KeyId,
    algorithm: Algorithm,
    key: &SealedKey,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "insert into sealed_keys (key_id, algorithm, sealed, public_key, imported)
         values ($1, $2, $3, $4, $5) on conflict (key_id) do nothing",
        id.uuid(),
        algorithm.name(),
        key.sealed,
        key.public_key,
        key.imported,
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
        "select sealed, public_key, imported from sealed_keys where key_id = $1 and algorithm = $2",
        id.uuid(),
        algorithm.name(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(found)
}

/// Deletes a key for good. `false`: there was none.
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

/// The newest key of a backend: its id, algorithm, and sealed bytes. Keys that are on no record count for
/// every backend.
pub(super) async fn newest(
    backend: &str,
    ledger: &Ledger,
) -> Result<Option<(KeyId, Algorithm, Vec<u8>)>, LedgerError> {
    let row = sqlx::query!(
        "select s.key_id, s.algorithm, s.sealed
         from sealed_keys s left join keys k on k.id = s.key_id
         where k.backend is null or k.backend = $1 order by s.key_id desc limit 1",
        backend,
    )
    .fetch_optional(ledger.pool())
    .await?;
    row.map(|row| Ok((row.key_id.into(), algorithm(&row.algorithm)?, row.sealed)))
        .transpose()
}

/// How many keys of a backend rest under each head.
pub(super) async fn count_by_head(
    backend: &str,
    ledger: &Ledger,
) -> Result<Vec<(Vec<u8>, i64)>, LedgerError> {
    let rows = sqlx::query!(
        r#"select substring(s.sealed from 1 for $2) as "head!", count(*) as "keys!"
         from sealed_keys s left join keys k on k.id = s.key_id
         where k.backend is null or k.backend = $1 group by 1"#,
        backend,
        HEAD,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows.into_iter().map(|row| (row.head, row.keys)).collect())
}

/// Keys of a backend that rest under another head than this one, in the order of their ids.
pub(super) async fn under_others(
    backend: &str,
    head: &[u8],
    after: Option<Uuid>,
    at_most: i64,
    ledger: &Ledger,
) -> Result<Vec<(KeyId, Algorithm, SealedKey)>, LedgerError> {
    let rows = sqlx::query!(
        "select s.key_id, s.algorithm, s.sealed, s.public_key, s.imported
         from sealed_keys s left join keys k on k.id = s.key_id
         where (k.backend is null or k.backend = $1) and substring(s.sealed from 1 for $5) <> $2
           and s.key_id > $3
         order by s.key_id limit $4",
        backend,
        head,
        after.unwrap_or_default(),
        at_most,
        HEAD,
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = SealedKey {
                sealed: row.sealed,
                public_key: row.public_key,
                imported: row.imported,
            };
            Ok((row.key_id.into(), algorithm(&row.algorithm)?, key))
        })
        .collect()
}

/// Replaces sealed keys whose rows are still as they were read.
pub(super) async fn replace(resealed: &[ResealedKey], tx: &mut Tx) -> Result<u64, LedgerError> {
    let ids: Vec<Uuid> = resealed.iter().map(|it| it.id).collect();
    let was: Vec<Vec<u8>> = resealed.iter().map(|it| it.was.clone()).collect();
    let sealed: Vec<Vec<u8>> = resealed.iter().map(|it| it.sealed.clone()).collect();
    let done = sqlx::query!(
        "update sealed_keys s set sealed = row.sealed
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as row (id, was, sealed)
         where s.key_id = row.id and s.sealed = row.was",
        &ids,
        &was,
        &sealed,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

fn algorithm(name: &str) -> Result<Algorithm, LedgerError> {
    let corrupt = || LedgerError::Corrupt("sealed_keys", format!("algorithm {name}"));
    Algorithm::from_name(name).ok_or_else(corrupt)
}
