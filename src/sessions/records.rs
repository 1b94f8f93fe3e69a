//! `sessions`.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit::Change;
use crate::ledger::{Ledger, LedgerError};

/// A session as its row has it, with how its credential is known.
pub(super) struct Row {
    pub(super) credential: Uuid,
    pub(super) proof: Vec<u8>,
    pub(super) ends_at: OffsetDateTime,
    pub(super) is_old: bool,
    pub(super) kind: String,
    pub(super) token_hash: Vec<u8>,
}

/// The session of a secret, if it is neither over nor was idle for too long.
pub(super) async fn find(
    hash: &[u8; 32],
    idle_minutes: i32,
    ledger: &Ledger,
) -> Result<Option<Row>, LedgerError> {
    let row = sqlx::query_as!(
        Row,
        r#"select s.credential_id as credential, s.proof, s.ends_at, t.kind, t.token_hash,
                  s.used_at < now() - interval '1 minute' as "is_old!"
           from sessions s join caller_tokens t on t.id = s.credential_id
           where s.hash = $1 and s.ended_at is null and s.ends_at > now()
             and s.used_at > now() - make_interval(mins => $2)"#,
        hash.as_slice(),
        idle_minutes,
    );
    Ok(row.fetch_optional(ledger.pool()).await?)
}

/// It was used now.
pub(super) async fn touch(hash: &[u8; 32], ledger: &Ledger) -> Result<(), LedgerError> {
    let touched = sqlx::query!(
        "update sessions set used_at = now() where hash = $1 and ended_at is null and used_at < now()",
        hash.as_slice(),
    );
    touched.execute(ledger.pool()).await?;
    Ok(())
}

/// Begins one, and removes some of those that have been over for a while.
pub(super) async fn insert(
    hash: &[u8; 32],
    credential: Uuid,
    proof: &[u8],
    ends_at: OffsetDateTime,
    change: &mut Change,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "delete from sessions where hash in (
             select hash from sessions where ends_at < now() - interval '7 days' limit 100 for update skip locked)"
    )
    .execute(change.tx().connection())
    .await?;
    sqlx::query!(
        "insert into sessions (hash, credential_id, proof, ends_at) values ($1, $2, $3, $4)",
        hash.as_slice(),
        credential,
        proof,
        ends_at,
    )
    .execute(change.tx().connection())
    .await?;
    Ok(())
}

/// Ends one, unless it is over already.
pub(super) async fn end(hash: &[u8; 32], change: &mut Change) -> Result<bool, LedgerError> {
    let ended = sqlx::query!(
        "update sessions set ended_at = now() where hash = $1 and ended_at is null and ends_at > now()",
        hash.as_slice(),
    );
    let done = ended.execute(change.tx().connection()).await?;
    Ok(done.rows_affected() == 1)
}

/// How many were begun with a credential within the last hour.
pub(super) async fn begun(credential: Uuid, change: &mut Change) -> Result<i64, LedgerError> {
    let begun = sqlx::query_scalar!(
        r#"select count(*) as "count!" from sessions
           where credential_id = $1 and created_at > now() - interval '1 hour'"#,
        credential,
    );
    Ok(begun.fetch_one(change.tx().connection()).await?)
}
