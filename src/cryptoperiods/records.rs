//! `key_alarms`, and rows of other tables that have an end.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Period;
use crate::ethereum::Address;
use crate::id::KeyId;
use crate::keys::{KeyState, Purpose};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::name::Name;

/// An API key that may be live.
#[derive(Clone, Debug)]
pub struct CredentialAge {
    /// The account's chain.
    pub chain_id: u64,
    /// The account's address.
    pub address: Address,
    /// The id that the venue gave it.
    pub api_key: String,
    /// When it is due to be replaced.
    pub ends_at: OffsetDateTime,
}

/// A token that works.
#[derive(Clone, Debug)]
pub struct TokenEnd {
    /// The caller's name.
    pub caller: String,
    /// The caller's desk or team.
    pub owner: String,
    /// When the token stops working.
    pub ends_at: OffsetDateTime,
}

/// The periods that operators have to know: of keys that sign or may sign again, and of keys that the
/// service deactivated while something still depends on them.
pub(super) async fn periods(ledger: &Ledger) -> Result<Vec<Period>, LedgerError> {
    let rows = sqlx::query!(
        r#"select k.id, k.name, k.purpose, k.state, k.cryptoperiod_ends_at,
                  (select min(a.hours_left) from key_alarms a
                   where a.key_id = k.id and a.ends_at = k.cryptoperiod_ends_at) as reminded,
                  array(select 'client ' || c.name from clients c where c.key_id = k.id
                        union all
                        select 'wallet ' || w.name from wallets w
                        where w.key_id = k.id and w.closed_at is null
                        order by 1) as "used_by!"
           from keys k
           where k.state in ('pre-activation', 'active', 'retiring', 'suspended')
              or (k.state = 'deactivated'
                  and exists (select from key_transitions t
                              where t.key_id = k.id and t.epoch = k.epoch and t.actor_id is null)
                  and (exists (select from clients c where c.key_id = k.id)
                       or exists (select from wallets w where w.key_id = k.id
                                  and w.closed_at is null and w.successor_id is null)))
           order by k.cryptoperiod_ends_at, k.id"#
    )
    .fetch_all(ledger.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let corrupt = |what| LedgerError::Corrupt("keys", format!("{what} of {}", row.id));
            Ok(Period {
                key: row.id.into(),
                name: Name::from_record("keys", row.name)?,
                purpose: Purpose::from_name(&row.purpose).ok_or_else(|| corrupt("purpose"))?,
                state: KeyState::from_name(&row.state).ok_or_else(|| corrupt("state"))?,
                ends_at: row.cryptoperiod_ends_at,
                reminded: row.reminded,
                used_by: row.used_by,
            })
        })
        .collect()
}

/// Keys in use whose period is over by this clock and by the database's.
pub(super) async fn at_their_end(
    now: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Vec<KeyId>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select k.id from keys k
         where k.cryptoperiod_ends_at <= least($1, now())
           and k.state in ('active', 'retiring', 'suspended')
           and not exists (
               select from rotations r
               where (r.old_key_id = k.id and r.state not in ('closed', 'abandoned', 'rolled-back'))
                  or (r.new_key_id = k.id and r.state = 'rolled-back' and not exists (
                      select from rotation_steps s
                      where s.rotation_id = r.id and s.step = 'prove-removal')))
         order by k.id",
        now,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(ids.into_iter().map(KeyId::from).collect())
}

/// Puts a reminder on record. `false`: it was there already.
pub(super) async fn raise(period: &Period, hours: i32, tx: &mut Tx) -> Result<bool, LedgerError> {
    let raised = sqlx::query!(
        "insert into key_alarms (key_id, ends_at, hours_left) values ($1, $2, $3)
         on conflict (key_id, ends_at, hours_left) do nothing",
        period.key.uuid(),
        period.ends_at,
        hours,
    )
    .execute(tx.connection())
    .await?;
    Ok(raised.rows_affected() == 1)
}

pub(super) async fn credentials(
    until: OffsetDateTime,
    period: Duration,
    ledger: &Ledger,
) -> Result<Vec<CredentialAge>, LedgerError> {
    let rows = sqlx::query!(
        "select c.id, a.chain_id, a.address, c.api_key, c.created_at
         from credentials c join accounts a on a.id = c.account_id
         where c.kind = 'trading' and c.state in ('live', 'unproven') and c.created_at <= $1
         order by c.created_at",
        until - period,
    )
    .fetch_all(ledger.pool())
    .await?;
    let corrupt = |id: Uuid| LedgerError::Corrupt("accounts", format!("address of {id}"));
    rows.into_iter()
        .map(|row| {
            let address = row.address.try_into().map_err(|_| corrupt(row.id))?;
            Ok(CredentialAge {
                chain_id: row.chain_id.unsigned_abs(),
                address: Address(address),
                api_key: row.api_key,
                ends_at: row.created_at + period,
            })
        })
        .collect()
}

pub(super) async fn tokens(
    until: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Vec<TokenEnd>, LedgerError> {
    // Only each caller's last token: earlier ones may well run out.
    let rows = sqlx::query!(
        r#"select c.name, c.owner, max(t.expires_at) as "ends_at!"
           from caller_tokens t join callers c on c.id = t.caller_id
           where t.revoked_at is null and c.revoked_at is null and t.expires_at > now()
           group by c.name, c.owner having max(t.expires_at) <= $1
           order by 3"#,
        until,
    )
    .fetch_all(ledger.pool())
    .await?;
    let rows = rows.into_iter().map(|row| TokenEnd {
        caller: row.name,
        owner: row.owner,
        ends_at: row.ends_at,
    });
    Ok(rows.collect())
}
