//! `key_imports`.

use time::OffsetDateTime;

use crate::custody::PublicKey;
use crate::id::{CallerId, KeyId};
use crate::ledger::{Ledger, LedgerError, Tx};

/// Why a key is not to be brought.
pub(super) enum Known {
    /// The key is on record, or is being brought, under this name.
    Here(String),
    /// The key was declared compromised, even if it has been destroyed since.
    Compromised,
}

/// The answer to a request that wants to call the device.
pub(super) enum Claim {
    /// The request may, with the announced public key and the ticket.
    Granted(PublicKey, Vec<u8>),
    /// Another request is calling the device.
    Busy,
    /// No offer stands.
    Over,
}

/// Why a public key is not to be brought as this key, if there is a reason.
pub(super) async fn known(
    public_key: &PublicKey,
    id: KeyId,
    tx: &mut Tx,
) -> Result<Option<Known>, LedgerError> {
    let row = sqlx::query!(
        r#"select
               (select k.name from keys k
                where k.state <> 'destroyed'
                  and (k.public_key = $1
                       or (k.id <> $2 and exists (
                           select from key_imports i
                           where i.key_id = k.id and i.announced = $1 and i.ended_at is null)))
                order by k.public_key is null, k.name limit 1) as here,
               exists (select from keys k join key_transitions t on t.key_id = k.id
                       where k.public_key = $1 and t.to_state = 'compromised') as "compromised!""#,
        public_key.to_spki_der(),
        id.uuid(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(match (row.compromised, row.here) {
        (true, _) => Some(Known::Compromised),
        (false, Some(name)) => Some(Known::Here(name)),
        (false, None) => None,
    })
}

/// Begins an import, and claims the device for it.
pub(super) async fn insert(
    id: KeyId,
    announced: &PublicKey,
    ends_at: OffsetDateTime,
    by: CallerId,
    tx: &mut Tx,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "insert into key_imports (key_id, announced, opened_by, ends_at, busy_until)
         values ($1, $2, $3, $4, now() + interval '3 minutes')",
        id.uuid(),
        announced.to_spki_der(),
        by.uuid(),
        ends_at,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Begins an import again. `None`: it was begun for another public key. `Some(false)`: another request is
/// calling the device.
pub(super) async fn claim_again(
    id: KeyId,
    announced: &PublicKey,
    ends_at: OffsetDateTime,
    by: CallerId,
    tx: &mut Tx,
) -> Result<Option<bool>, LedgerError> {
    let free = sqlx::query_scalar!(
        r#"select busy_until is null or busy_until < now() as "free!" from key_imports
           where key_id = $1 and announced = $2 and ended_at is null for update"#,
        id.uuid(),
        announced.to_spki_der(),
    )
    .fetch_optional(tx.connection())
    .await?;
    if free == Some(true) {
        sqlx::query!(
            "update key_imports set opened_by = $2, opened_at = now(), ends_at = $3, ticket = null,
                                    busy_until = now() + interval '3 minutes'
             where key_id = $1",
            id.uuid(),
            by.uuid(),
            ends_at,
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(free)
}

/// Puts the ticket on record and gives the claim up. Returns until when the offer stands. `None`: it is
/// over.
pub(super) async fn set_ticket(
    id: KeyId,
    ticket: &[u8],
    tx: &mut Tx,
) -> Result<Option<OffsetDateTime>, LedgerError> {
    let ends_at = sqlx::query_scalar!(
        "update key_imports set ticket = $2, busy_until = null
         where key_id = $1 and ended_at is null returning ends_at",
        id.uuid(),
        ticket,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(ends_at)
}

/// Claims the device for a request that brings the key. The claim of a process that died lasts some minutes.
pub(super) async fn claim(
    id: KeyId,
    now: OffsetDateTime,
    ledger: &Ledger,
) -> Result<Claim, LedgerError> {
    let claimed = sqlx::query!(
        r#"update key_imports set busy_until = now() + interval '3 minutes'
           where key_id = $1 and ended_at is null and ticket is not null
             and ends_at > greatest($2, now()) and (busy_until is null or busy_until < now())
           returning announced, ticket as "ticket!""#,
        id.uuid(),
        now,
    )
    .fetch_optional(ledger.pool())
    .await?;
    if let Some(row) = claimed {
        let announced = PublicKey::from_spki_der(&row.announced);
        let corrupt = |_| LedgerError::Corrupt("key_imports", format!("announced of {id}"));
        return Ok(Claim::Granted(announced.map_err(corrupt)?, row.ticket));
    }
    let busy = sqlx::query_scalar!(
        r#"select exists (select from key_imports
                          where key_id = $1 and ended_at is null and busy_until > now()) as "busy!""#,
        id.uuid(),
    )
    .fetch_one(ledger.pool())
    .await?;
    Ok(if busy { Claim::Busy } else { Claim::Over })
}

/// Gives the claim up.
pub(super) async fn release(id: KeyId, ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "update key_imports set busy_until = null where key_id = $1 and ended_at is null",
        id.uuid(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}

/// Ends an import whose key is in the device.
pub(super) async fn end(id: KeyId, tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "update key_imports set ended_at = now(), ticket = null, busy_until = null where key_id = $1",
        id.uuid(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Offers that ended without a key.
pub(super) async fn stale(now: OffsetDateTime, ledger: &Ledger) -> Result<Vec<KeyId>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select key_id from key_imports
         where ticket is not null and ends_at < least($1, now())
           and (busy_until is null or busy_until < now())
         order by ends_at limit 100",
        now,
    )
    .fetch_all(ledger.pool())
    .await?;
    Ok(ids.into_iter().map(KeyId::from).collect())
}

/// Deletes an offer that the device has forgotten. An offer made meanwhile stands.
pub(super) async fn forget(id: KeyId, ledger: &Ledger) -> Result<(), LedgerError> {
    sqlx::query!(
        "update key_imports set ticket = null
         where key_id = $1 and ends_at < now() and (busy_until is null or busy_until < now())",
        id.uuid(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(())
}
