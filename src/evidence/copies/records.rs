//! `log_copies`: how far servers have been told, and who tells them.

use uuid::Uuid;

use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;

/// Which leaf is next.
pub(super) async fn next(name: &Name, ledger: &Ledger) -> Result<u64, LedgerError> {
    let next = sqlx::query_scalar!("select next from log_copies where name = $1", name.as_str())
        .fetch_optional(ledger.pool())
        .await?;
    Ok(next.unwrap_or_default().cast_unsigned())
}

/// Takes the turn, for longer than a receiver may take; says which leaf is next. `None`: another replica has it.
pub(super) async fn take(
    name: &Name,
    me: Uuid,
    ledger: &Ledger,
) -> Result<Option<u64>, LedgerError> {
    let next = sqlx::query_scalar!(
        "insert into log_copies as it (name, holder, held_until) values ($1, $2, now() + interval '15 s')
         on conflict (name) do update set holder = $2, held_until = now() + interval '15 s'
         where it.holder = $2 or it.held_until < now()
         returning next",
        name.as_str(),
        me,
    )
    .fetch_optional(ledger.pool())
    .await?;
    Ok(next.map(i64::cast_unsigned))
}

/// Notes which leaf is next now, and keeps the turn; `false`: another replica has it.
pub(super) async fn advance(
    name: &Name,
    me: Uuid,
    before: u64,
    next: u64,
    ledger: &Ledger,
) -> Result<bool, LedgerError> {
    let done = sqlx::query!(
        "update log_copies set next = $4, held_until = now() + interval '15 s'
         where name = $1 and holder = $2 and next = $3",
        name.as_str(),
        me,
        before.cast_signed(),
        next.cast_signed(),
    )
    .execute(ledger.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}
