//! `signature_points`.

use super::Uses;
use crate::ledger::{LedgerError, Tx};

/// Inserts what is new; answers what was there already. The index decides between replicas: an insert
/// waits for one of the same (key, r) that is not committed yet, and then sees it.
pub(super) async fn insert(uses: &Uses, tx: &mut Tx) -> Result<Uses, LedgerError> {
    let keys: Vec<_> = uses.keys().map(|(key, _)| key.uuid()).collect();
    let rs: Vec<_> = uses.keys().map(|(_, r)| r.to_vec()).collect();
    let digests: Vec<_> = uses.values().map(|digest| digest.to_vec()).collect();
    let inserted = sqlx::query!(
        "insert into signature_points (key_id, r, digest)
         select * from unnest($1::uuid[], $2::bytea[], $3::bytea[])
         on conflict (key_id, r) do nothing",
        &keys,
        &rs,
        &digests,
    )
    .execute(tx.connection())
    .await?;
    if inserted.rows_affected() == uses.len() as u64 {
        return Ok(Uses::new());
    }
    // A statement of its own, which sees what the insert had to wait for.
    let rows = sqlx::query!(
        "select p.key_id, p.r, p.digest from signature_points p
         join unnest($1::uuid[], $2::bytea[]) as asked (key_id, r)
             on p.key_id = asked.key_id and p.r = asked.r",
        &keys,
        &rs,
    )
    .fetch_all(tx.connection())
    .await?;
    let corrupt = |what: &str| LedgerError::Corrupt("signature_points", what.to_owned());
    rows.into_iter()
        .map(|row| {
            let r = row.r.try_into().map_err(|_| corrupt("r"))?;
            let digest = row.digest.try_into().map_err(|_| corrupt("digest"))?;
            Ok(((row.key_id.into(), r), digest))
        })
        .collect()
}
