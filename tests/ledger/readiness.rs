//! A replica is ready while it can write.

use std::time::Duration;

use crate::Stand;
use crate::support::{Postgres, order};

/// Makes every session from now on, of all that are open, one that only reads; or writes again.
async fn only_read(stand: &Stand, it: bool) {
    let sql = format!(
        "do $$ begin
           execute format('alter database %I set default_transaction_read_only = {it}', current_database());
           perform pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name = 'chancery';
         end $$"
    );
    let sql = sqlx::AssertSqlSafe(format!("begin read write; {sql}; commit"));
    sqlx::raw_sql(sql)
        .execute(&stand.database.pool)
        .await
        .unwrap();
}

/// Waits until it says of itself that it is ready, or is not.
async fn becomes(stand: &Stand, status: u16, ledger: &str) {
    for _ in 0..100 {
        let ready = stand.trader.get("/readyz").await;
        if ready.status == status {
            assert_eq!(ready.json["checks"]["ledger"], ledger, "{}", ready.text);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never said {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_nothing_is_no_readiness() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    becomes(&stand, 200, "ok").await;
    only_read(&stand, true).await;
    becomes(&stand, 503, "unavailable").await;
    let refused = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    only_read(&stand, false).await;
    becomes(&stand, 200, "ok").await;
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}
