//! `closings`, and the orders that count as open exposure.

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
    at_most: i64,
    ledger: &Ledger,
) -> Result<Vec<Open>, LedgerError> {
    let rows = sqlx::query!(
        r#"select i.id, coalesce(e.order_hash, i.digest) as "hash!"
         from intents i join ends e on e.intent_id = i.id and e.outcome = 'released'
         where i.subject_id = $1 and i.open_counters is not null
           and not exists (select from closings c where c.intent_id = i.id)
         order by i.id limit $2"#,
        wallet.uuid(),
        at_most,
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

/// Frees orders whose signed end is past, by the database's clock.
pub(super) async fn expire(at_most: i64, ledger: &Ledger) -> Result<usize, LedgerError> {
    let closed = sqlx::query_scalar!(
        r#"select close_orders(array(
             select i.id from (select id from intents where open_counters is not null offset 0) i
             cross join lateral (
                 select e.expires_at from ends e where e.intent_id = i.id and e.outcome = 'released'
                 offset 0) e
             where e.expires_at < clock_timestamp()
               and not exists (select from closings c where c.intent_id = i.id)
             limit $1), 'expired') as "closed!""#,
        at_most,
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(usize::try_from(closed).unwrap_or_default())
}
