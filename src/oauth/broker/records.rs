//! `token_slots` and `token_fetches`.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::place::Place;
use super::scope_set::ScopeSet;
use crate::id::{ClientId, IntentId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// How often a place of the cache is emptied on somebody's word.
pub(super) const FORCED_EVERY: Duration = Duration::from_secs(10);

/// The scopes of a client's tokens.
#[derive(Clone, Debug)]
pub struct LastGranted {
    /// The scopes.
    pub scopes: ScopeSet,
    /// Whether these are all that the application is granted; else it may have more.
    pub whole: bool,
    /// When the newest of these tokens was fetched.
    pub at: OffsetDateTime,
}

/// A place of the cache, as all replicas see it.
#[derive(Clone, Default)]
pub(super) struct Row {
    /// Tokens of earlier generations count no more.
    pub(super) generation: i64,
    /// What the application was granted an hour ago or later.
    pub(super) granted: Option<ScopeSet>,
}

pub(super) async fn find(place: &Place, ledger: &Ledger) -> Result<Row, LedgerError> {
    let slot = place.hash();
    let row = sqlx::query!(
        "select generation,
                case when granted_at > now() - interval '1 hour' then granted end as granted
         from token_slots where slot = $1",
        slot.as_slice(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map_or_else(Row::default, |row| Row {
        generation: row.generation,
        granted: row.granted.map(|it| it.into_iter().collect()),
    }))
}

/// Takes the lease of a place where nobody holds it; the generation that a fetch is for.
pub(super) async fn claim(
    place: &Place,
    holder: Uuid,
    lease: Duration,
    ledger: &Ledger,
) -> Result<Option<i64>, LedgerError> {
    let key = &place.client.key;
    let slot = place.hash();
    let generation = sqlx::query_scalar!(
        "insert into token_slots as s (slot, client_id, key_id, key_epoch, lease_holder, lease_until)
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
         on conflict (slot) do update
             set lease_holder = excluded.lease_holder, lease_until = excluded.lease_until,
                 touched_at = now()
             where s.lease_until is null or s.lease_until < now()
         returning generation",
        slot.as_slice(),
        place.client.id.uuid(),
        key.id.uuid(),
        key.epoch,
        holder,
        lease.as_secs_f64(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(generation)
}

/// Keeps a lease. Whether it was still held.
pub(super) async fn renew(
    place: &Place,
    holder: Uuid,
    lease: Duration,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let slot = place.hash();
    let renewed = sqlx::query!(
        "update token_slots set lease_until = now() + make_interval(secs => $3)
         where slot = $1 and lease_holder = $2",
        slot.as_slice(),
        holder,
        lease.as_secs_f64(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(renewed.rows_affected() > 0)
}

/// A token that was fetched.
pub(super) struct Fetched<'a> {
    pub(super) id: IntentId,
    pub(super) generation: i64,
    pub(super) granted: Option<&'a ScopeSet>,
    pub(super) lives: Duration,
}

/// Puts a fetched token on record and gives the lease back.
pub(super) async fn keep(
    place: &Place,
    holder: Uuid,
    fetched: &Fetched<'_>,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    let granted = fetched.granted.map(ScopeSet::to_vec);
    let slot = place.hash();
    sqlx::query!(
        "with kept as (
             insert into token_fetches (id, slot, generation, granted, expires_at)
             values ($3, $1, $4, $5, now() + make_interval(secs => $6))
         )
         update token_slots
         set lease_holder = case when lease_holder = $2 then null else lease_holder end,
             lease_until = case when lease_holder = $2 then null else lease_until end,
             granted = case when $7 then $5 else granted end,
             granted_at = case when $7 then now() else granted_at end,
             touched_at = now()
         where slot = $1",
        slot.as_slice(),
        holder,
        fetched.id.uuid(),
        fetched.generation,
        granted.as_deref(),
        fetched.lives.as_secs_f64(),
        place.scopes.is_none(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Gives the lease back.
pub(super) async fn give_back(
    place: &Place,
    holder: Uuid,
    ledger: &Ledger,
) -> Result<(), LedgerError> {
    let slot = place.hash();
    sqlx::query!(
        "update token_slots set lease_holder = null, lease_until = null
         where slot = $1 and lease_holder = $2",
        slot.as_slice(),
        holder,
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// What the application was granted is not known any more.
pub(super) async fn forget_granted(client: ClientId, ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "update token_slots set granted = null where client_id = $1 and granted is not null",
        client.uuid(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// What a client's tokens carried last.
pub(super) async fn last_granted(
    client: ClientId,
    ledger: &Ledger,
) -> Result<Option<LastGranted>, LedgerError> {
    let whole = sqlx::query!(
        r#"select granted as "granted!", granted_at as "at!" from token_slots
           where client_id = $1 and granted is not null and granted_at is not null
           order by granted_at desc limit 1"#,
        client.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    if let Some(row) = whole {
        return Ok(Some(LastGranted {
            scopes: row.granted.into_iter().collect(),
            whole: true,
            at: row.at,
        }));
    }
    let parts = sqlx::query!(
        r#"select f.granted as "granted!", f.fetched_at as at
           from token_fetches f join token_slots s using (slot)
           where s.client_id = $1 and f.granted is not null
             and f.fetched_at > now() - interval '1 day'
           order by f.fetched_at desc limit 100"#,
        client.uuid(),
    )
    .fetch_all(ledger.pool())
    .await?;
    let newest = parts.first().map(|row| row.at);
    Ok(newest.map(|at| LastGranted {
        scopes: parts.into_iter().flat_map(|row| row.granted).collect(),
        whole: false,
        at,
    }))
}

/// What was fetched under this id for a client: its scopes.
pub(super) async fn fetched(
    id: IntentId,
    client: ClientId,
    ledger: &Ledger,
) -> Result<Option<ScopeSet>, LedgerError> {
    let row = sqlx::query!(
        "select f.granted from token_fetches f join token_slots s using (slot)
         where f.id = $1 and s.client_id = $2",
        id.uuid(),
        client.uuid(),
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(row.map(|row| row.granted.unwrap_or_default().into_iter().collect()))
}

/// What became of a report.
pub(super) enum Forced {
    /// The place is empty now, on all replicas.
    Emptied,
    /// It had been emptied since the token was fetched.
    Already,
    /// It was emptied moments ago. In so many seconds it may be again.
    TooSoon(u32),
}

/// Empties the place that a token was fetched for, if that token still counts.
pub(super) async fn force(id: IntentId, tx: &mut Tx) -> Result<Forced, LedgerError> {
    let row = sqlx::query!(
        r#"select s.slot, s.client_id, s.generation > f.generation as "newer!",
                  ceil(extract(epoch from s.forced_at - now()) + $2)::int as wait_s
         from token_fetches f join token_slots s using (slot)
         where f.id = $1 for update of s"#,
        id.uuid(),
        FORCED_EVERY.as_secs_f64() as _,
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else {
        return Ok(Forced::Already);
    };
    match row.wait_s {
        _ if row.newer => Ok(Forced::Already),
        Some(wait_s) if wait_s > 0 => Ok(Forced::TooSoon(wait_s.unsigned_abs())),
        _ => {
            empty(&row.slot, row.client_id, tx).await?;
            Ok(Forced::Emptied)
        }
    }
}

/// Empties a place, whatever is in it.
pub(super) async fn force_place(place: &Place, tx: &mut Tx) -> Result<Forced, LedgerError> {
    let hash = place.hash();
    let row = sqlx::query!(
        r#"select ceil(extract(epoch from forced_at - now()) + $2)::int as wait_s
         from token_slots where slot = $1 for update"#,
        hash.as_slice(),
        FORCED_EVERY.as_secs_f64() as _,
    )
    .fetch_optional(tx.connection())
    .await?;
    match row {
        None => Ok(Forced::Already), // nobody ever fetched anything for it
        Some(row) if row.wait_s.is_some_and(|it| it > 0) => {
            Ok(Forced::TooSoon(row.wait_s.unwrap_or(1).unsigned_abs()))
        }
        Some(_) => {
            empty(&hash, place.client.id.uuid(), tx).await?;
            Ok(Forced::Emptied)
        }
    }
}

async fn empty(slot: &[u8], client: Uuid, tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "update token_slots
         set generation = case when slot = $1 then generation + 1 else generation end,
             forced_at = case when slot = $1 then now() else forced_at end,
             granted = null
         where slot = $1 or (client_id = $2 and granted is not null)",
        slot,
        client,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Forgets tokens that expired a day ago, and places where nothing happened for a week.
pub(super) async fn forget_old(ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "with old as (
             delete from token_fetches where id in (
                 select id from token_fetches where expires_at < now() - interval '1 day' limit 1000)
         )
         delete from token_slots where slot in (
             select slot from token_slots
             where touched_at < now() - interval '7 days' and lease_until is null limit 1000)"
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}
