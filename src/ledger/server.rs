//! What the server is like: its settings, its clock, how many connections it takes.

use sqlx::Row;

use super::{Ledger, LedgerError};
use crate::clock::Clock;

impl Ledger {
    /// The role that we are connected as, and whether it owns the schema's tables, as whoever migrates does.
    pub async fn role(&self) -> Result<(String, bool), LedgerError> {
        let row = sqlx::query(
            "select current_user::text as role, pg_has_role(current_user, relowner, 'usage') as owns
             from pg_class where oid = 'callers'::regclass",
        )
        .fetch_one(self.pool())
        .await?;
        Ok((row.try_get("role")?, row.try_get("owns")?))
    }

    /// Settings under which the server may lose what it said was committed, each with its value.
    pub async fn careless_settings(&self) -> Result<Vec<String>, LedgerError> {
        let rows = sqlx::query(
            "select name || ' = ' || setting as it from pg_settings
             where (name in ('fsync', 'full_page_writes') and setting = 'off')
                or (name = 'synchronous_commit' and setting not in ('on', 'remote_apply'))
             order by name",
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get("it"))
            .collect::<Result<_, _>>()?)
    }

    /// How many connections the server has for the service's role, everybody else's included.
    pub async fn connections_there(&self) -> Result<u64, LedgerError> {
        // reserved_connections is new in Postgres 16.
        let row = sqlx::query(
            "select least(
                 current_setting('max_connections')::bigint
                     - current_setting('superuser_reserved_connections')::bigint
                     - coalesce(current_setting('reserved_connections', true)::bigint, 0),
                 (select nullif(datconnlimit, -1) from pg_database where datname = current_database()),
                 (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user)) as most",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(u64::try_from(row.try_get::<i64, _>("most")?).unwrap_or(0))
    }

    /// How far this computer's clock is ahead of the server's, in milliseconds: at least so far, for the
    /// server looked at its clock at some moment between the question and the answer.
    pub async fn clock_offset_ms(&self, clock: &Clock) -> Result<i64, LedgerError> {
        let asked = clock.unix_ms();
        let row =
            sqlx::query("select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms")
                .fetch_one(self.pool())
                .await?;
        let (theirs, answered) = (row.try_get("ms")?, clock.unix_ms());
        Ok(asked.max(answered.min(theirs)) - theirs)
    }
}
