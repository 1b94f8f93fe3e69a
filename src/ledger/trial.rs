//! Postgres's own speed, for `chancery bench`.

use std::time::{Duration, Instant};

use sqlx::Connection as _;

use super::{Ledger, LedgerError};

/// A table of the trial's own, gone after it.
const MAKE: &str = "create table bench_commits (id bigint generated always as identity primary key, leaf bytea not null)";

impl Ledger {
    /// Commits rows of the size of a leaf, one after the other, in a session as the service has it; how long
    /// each took. Makes a table for it, which the service's own role may not.
    pub async fn try_commits(&self, time: Duration) -> Result<Vec<Duration>, LedgerError> {
        let mut session = self.session().await?;
        sqlx::raw_sql(MAKE).execute(&mut session).await?;
        let until = Instant::now() + time;
        let mut latencies = Vec::new();
        loop {
            let start = Instant::now();
            sqlx::query("insert into bench_commits (leaf) values ($1)")
                .bind([7_u8; 400].as_slice())
                .execute(&mut session)
                .await?;
            latencies.push(start.elapsed());
            if Instant::now() >= until {
                break;
            }
        }
        sqlx::raw_sql("drop table bench_commits")
            .execute(&mut session)
            .await?;
        session.close().await?;
        Ok(latencies)
    }
}
