//! `closings`, `expiring_orders` and `followed`: the orders that count as open exposure.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::id::{KeyId, WalletId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// An order that counts.
pub(super) struct Open {
    pub(super) id: Uuid,
    /// By which the venue knows it.
    pub(super) hash: [u8; 32],
}

/// The orders of a wallet that count, the oldest first.
pub(super) async fn open(
    wallet: WalletId,
    at_most: usize,
    ledger: &Ledger,
) -> Result<Vec<Open>, LedgerError> {
    let rows = sqlx::query!(
        r#"select i.id, coalesce(e.order_hash, i.digest) as "hash!"
         from intents i join ends e on e.intent_id = i.id and e.outcome = 'released'
         where i.subject_id = $1 and i.open_counters is not null
           and not exists (select from closings c where c.intent_id = i.id)
         order by i.id limit $2"#,
        wallet.uuid(),
        i64::try_from(at_most).unwrap_or(i64::MAX),
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash = row.hash.try_into();
            let hash = hash.map_err(|_| LedgerError::Corrupt("ends", row.id.to_string()))?;
            Ok(Open { id: row.id, hash })
        })
        .collect()
}

/// Those of a key on a chain that were signed before.
pub(super) async fn before(
    key: KeyId,
    chain_id: u64,
    at: OffsetDateTime,
    tx: &mut Tx,
) -> Result<Vec<Uuid>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select i.id from intents i
         join ends e on e.intent_id = i.id and e.outcome = 'released' and e.ended_at < $3
         join wallets w on w.id = i.subject_id and w.key_id = $1 and w.chain_id = $2
         where i.open_counters is not null and i.key_id = $1
           and not exists (select from closings c where c.intent_id = i.id)",
        key.uuid(),
        i64::try_from(chain_id).unwrap_or_default(),
        at,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ids)
}

/// They count no more; says how many did until now.
pub(super) async fn close(ids: &[Uuid], how: &str, tx: &mut Tx) -> Result<usize, LedgerError> {
    let closed = sqlx::query_scalar!(r#"select close_orders($1, $2) as "closed!""#, ids, how)
        .fetch_one(tx.connection())
        .await?;
    Ok(usize::try_from(closed).unwrap_or_default())
}

/// Takes note of the orders that end by themselves and whose leases ran out since the last time: they have
/// their ends by then. Whoever else does it at the same time does the same.
pub(super) async fn follow(ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "with fresh as (
             insert into expiring_orders (intent_id, expires_at)
             select i.id, e.expires_at
             from intents i
             join ends e on e.intent_id = i.id and e.outcome = 'released' and e.expires_at is not null
             where i.lease_until >= (select until from followed)
               and i.lease_until < (select until from swept)
               and coalesce(cardinality(i.open_counters), 0) > 0 -- not by the index of all that were ever limited
             on conflict (intent_id) do nothing)
         update followed f set until = s.until from swept s where f.until < s.until"
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Frees orders whose signed end is past, by the database's clock.
pub(super) async fn expire(at_most: i64, ledger: &Ledger) -> Result<usize, LedgerError> {
    let closed = sqlx::query_scalar!(
        r#"with due as materialized (
               select intent_id from expiring_orders where expires_at < clock_timestamp()
               order by expires_at limit $1 for update skip locked),
           gone as (delete from expiring_orders x using due where x.intent_id = due.intent_id)
           select close_orders(array(select intent_id from due), 'expired') as "closed!""#,
        at_most,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(usize::try_from(closed).unwrap_or_default())
}
