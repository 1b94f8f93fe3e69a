//! Whether the database keeps what transactions here stand on: it is tried, not asked.
//!
//! There are engines that speak the same protocol and answer `true` to a lock that they do not take, and
//! poolers that give each transaction another session. With them two replicas would both hold what one
//! may hold, and nothing would say so.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Decode, Postgres, Row as _, Type};

use super::error::is_refusal;
use super::{Ledger, LedgerError, PATIENCE};

impl Ledger {
    /// Refuses an engine, or a pooler before it, under which the promises would not hold.
    pub async fn check_engine(&self) -> Result<(), LedgerError> {
        let trying = async {
            let (mut one, mut other) = (self.session().await?, self.session().await?);
            let missing = try_out(&mut one, &mut other).await;
            drop((one.close().await, other.close().await));
            match missing {
                Ok(None) => Ok(()),
                Ok(Some(what)) => Err(LedgerError::Engine(what.into())),
                Err(error) if is_refusal(&error) => Err(LedgerError::Engine(error.to_string())),
                Err(error) => Err(error.into()),
            }
        };
        let tried = tokio::time::timeout(3 * PATIENCE, trying).await;
        tried.unwrap_or_else(|_| Err(LedgerError::Unavailable("it does not answer".into())))
    }
}

/// What is missing, if anything is.
async fn try_out(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<Option<&'static str>, sqlx::Error> {
    // Nobody else's: another replica may be starting too.
    let (key, _) = uuid::Uuid::new_v4().as_u64_pair();
    let key = key.cast_signed();

    // What lends sessions for a transaction lends this one to the other now.
    let session: i32 = ask("select pg_backend_pid()", one).await?;
    let locking = format!("begin; select pg_advisory_xact_lock({key})");
    run(&locking, other).await?;
    let still: i32 = ask("select pg_backend_pid()", one).await?;
    let settings = "select current_setting('synchronous_commit') = 'on' and current_setting('lock_timeout') <> '0'";
    if session != still || !ask::<bool>(settings, one).await? {
        return Ok(Some(
            "a connection does not keep its session: a pooler in between has to be in session mode, or away",
        ));
    }

    let shared = format!("select pg_try_advisory_xact_lock_shared({key})");
    let passed = ask::<bool>(&shared, one).await?;
    run("rollback", other).await?;
    if passed || !ask::<bool>(&shared, one).await? {
        return Ok(Some(
            "advisory locks of transactions do not keep others out: the gate would be open",
        ));
    }
    let take = format!("select pg_try_advisory_lock({key})");
    let give = format!("select pg_advisory_unlock({key})");
    let held = ask::<bool>(&take, one).await?;
    let passed = ask::<bool>(&take, other).await?;
    let given = ask::<bool>(&give, one).await?;
    if !held || passed || !given || !ask::<bool>(&take, other).await? {
        return Ok(Some(
            "advisory locks of sessions do not keep others out: two replicas would make one key",
        ));
    }

    if !ask::<bool>(
        "select current_setting('transaction_isolation') = 'read committed'",
        one,
    )
    .await?
    {
        return Ok(Some(
            "transactions are not READ COMMITTED: they would not see what was decided while they waited",
        ));
    }
    let is_migrated = "select to_regclass('leaves') is not null";
    if ask::<bool>(is_migrated, one).await? {
        return guard(one).await;
    }
    Ok(None)
}

/// Whether what is evidence stays as it is.
async fn guard(session: &mut PgConnection) -> Result<Option<&'static str>, sqlx::Error> {
    // Nothing is changed, whatever comes of it.
    const LOG: &str = "leaves";
    let change = format!("begin; update {LOG} set leaf = leaf where false; rollback");
    let is_guarded = format!(
        "select exists (select 1 from pg_trigger
         where tgrelid = '{LOG}'::regclass and not tgisinternal and tgenabled in ('O', 'A'))"
    );
    match run(&change, session).await {
        Err(error) if is_refusal(&error) => run("rollback", session).await?,
        changed => {
            changed?;
            return Ok(Some("a leaf of the audit log can be changed"));
        }
    }
    if !ask::<bool>(&is_guarded, session).await? {
        return Ok(Some(
            "the triggers that guard the audit log are away or off",
        ));
    }
    Ok(None)
}

async fn ask<T>(question: &str, session: &mut PgConnection) -> Result<T, sqlx::Error>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    let question = sqlx::raw_sql(AssertSqlSafe(question.to_owned()));
    question.fetch_one(session).await?.try_get(0)
}

async fn run(statements: &str, session: &mut PgConnection) -> Result<(), sqlx::Error> {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    statements.execute(session).await.map(drop)
}
