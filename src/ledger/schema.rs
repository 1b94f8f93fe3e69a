//! The schema: the migrations inside this program, and those that a database has seen.

use sqlx::Row;
use sqlx::migrate::Migrator;

use super::{Ledger, LedgerError};

static MIGRATIONS: Migrator = sqlx::migrate!();

impl Ledger {
    /// Brings the schema up to date; says which migrations it applied.
    pub async fn migrate(&self) -> Result<Vec<String>, LedgerError> {
        let before = self.applied().await?;
        let mut session = self.session().await?;
        MIGRATIONS
            .run(&mut session)
            .await
            .map_err(|e| LedgerError::Schema(e.to_string()))?;
        let fresh = MIGRATIONS.iter().filter(|m| !before.contains(&m.version));
        Ok(fresh
            .map(|m| format!("{} {}", m.version, m.description))
            .collect())
    }

    /// Refuses a schema that is not the one this program was built with, and a database that cannot keep
    /// what it is given.
    pub async fn check_schema(&self) -> Result<(), LedgerError> {
        let row = sqlx::query("select current_setting('server_encoding') as encoding")
            .fetch_one(self.pool())
            .await?;
        let encoding: String = row.try_get("encoding")?;
        if encoding != "UTF8" {
            return Err(LedgerError::Schema(format!(
                "the database's encoding is {encoding}, which does not keep every text: make it with encoding 'UTF8'"
            )));
        }
        let applied = self.applied().await?;
        let known: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).collect();
        if known.iter().any(|version| !applied.contains(version)) {
            return Err(LedgerError::Schema(
                "the database's schema is older than this program: run `chancery migrate`".into(),
            ));
        }
        if applied.iter().any(|version| !known.contains(version)) {
            return Err(LedgerError::Schema(
                "the database's schema is newer than this program: run the newer program".into(),
            ));
        }
        Ok(())
    }

    async fn applied(&self) -> Result<Vec<i64>, LedgerError> {
        let exists = sqlx::query("select to_regclass('_sqlx_migrations') is not null as is")
            .fetch_one(self.pool())
            .await?;
        if !exists.try_get::<bool, _>("is")? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query("select version from _sqlx_migrations where success order by 1")
            .fetch_all(self.pool())
            .await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?)
    }
}
