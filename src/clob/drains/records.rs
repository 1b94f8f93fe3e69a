//! `drains`, and the orders that count as open.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::approvals::Approval;
use crate::clob::wallets::Wallet;
use crate::id::{CallerId, KeyId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// Orders of a wallet that count as open.
#[derive(Clone, Debug)]
pub struct OpenOrders {
    /// Of which wallet.
    pub wallet: String,
    /// How many.
    pub count: i64,
    /// When the last of them was released.
    pub last: OffsetDateTime,
}

/// A drain that is put on record.
pub(super) struct NewDrain<'a> {
    pub(super) id: Uuid,
    pub(super) wallet: &'a Wallet,
    pub(super) how: &'a str,
    pub(super) began_at: OffsetDateTime,
    pub(super) evidence: &'a serde_json::Value,
    pub(super) author: CallerId,
    pub(super) approval: Approval,
}

/// The database's clock.
pub(super) async fn now(ledger: &Ledger) -> Result<OffsetDateTime, LedgerError> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#);
    Ok(now.fetch_one(ledger.pool()).await?)
}

pub(super) async fn insert(drain: &NewDrain<'_>, tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into drains (id, key_id, key_epoch, chain_id, wallet_id, how, began_at, evidence,
                             actor_id, approval)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        drain.id,
        drain.wallet.key.id.uuid(),
        drain.wallet.key.epoch,
        i64::try_from(drain.wallet.profile.chain().id()).unwrap_or_default(),
        drain.wallet.id.uuid(),
        drain.how,
        drain.began_at,
        drain.evidence,
        drain.author.uuid(),
        drain.approval.to_string(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Orders that may rest at the venue, by the wallet that they were signed for. A minute is left for
/// clocks that lag.
pub(super) async fn open_orders(
    key: KeyId,
    now_s: i64,
    ledger: &Ledger,
) -> Result<Vec<OpenOrders>, LedgerError> {
    let rows = sqlx::query_as!(
        OpenOrders,
        r#"select w.name as wallet, count(*) as "count!", max(e.ended_at) as "last!"
           from intents i
           join ends e on e.intent_id = i.id and e.outcome = 'released'
           join wallets w on w.id = i.subject_id
           where i.key_id = $1 and i.operation = 'order'
             and not coalesce(
                 e.expires_at <= least(to_timestamp($2::bigint), now()) - interval '1 minute', false)
             and not exists (select from closings c where c.intent_id = i.id)
             and not exists (
                 select from drains d
                 where d.key_id = i.key_id and d.chain_id = w.chain_id and d.began_at > e.ended_at
                   and not exists (
                       select from key_transitions t
                       where t.key_id = d.key_id and t.to_state = 'active' and t.epoch > d.key_epoch))
           group by w.name order by w.name"#,
        key.uuid(),
        now_s,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(rows)
}
