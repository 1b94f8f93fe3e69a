//! A commit that a standby never confirmed is not a commit, even if somebody cuts the wait short.

use std::time::Duration;

use crate::Stand;
use crate::support::load::{Load, Request, settled};
use crate::support::{Database, Postgres, invariants};

const WAITING: &str = "from pg_stat_activity where wait_event = 'SyncRep'";

async fn set(database: &Database, change: &'static str) {
    for sql in [change, "select pg_reload_conf()"] {
        sqlx::raw_sql(sql).execute(&database.pool).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_that_the_standby_may_not_have() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let database = &stand.database;
    let load = Load::start(&stand.trader, 8);
    load.go_on().await;

    let nobody = "alter system set synchronous_standby_names = 'nobody'";
    set(database, nobody).await;
    while database.count(&format!("select count(*) {WAITING}")).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Sessions hear of it one after the other: those that grow the tree may be before those that sign.
    let mut before = load.answers();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = load.answers();
        if now == before {
            break;
        }
        before = now;
    }
    // Whatever waits for the standby is told to wait no longer, and commits with a warning.
    let cancelling = {
        let pool = database.pool.clone();
        tokio::spawn(async move {
            let cancel = format!("select pg_cancel_backend(pid) {WAITING}");
            let mut cancelled = 0;
            loop {
                let rows = sqlx::query(sqlx::AssertSqlSafe(cancel.clone()));
                let rows = rows.fetch_all(&pool).await.unwrap();
                cancelled += rows.len();
                tokio::time::sleep(Duration::from_millis(20)).await;
                if cancelled > 100 {
                    return cancelled;
                }
            }
        })
    };
    let one = Request::nth(0);
    let mut problems = Vec::new();
    while !cancelling.is_finished() {
        let answer = one.send(&stand.trader).await.unwrap();
        assert_ne!(answer.status, 200, "{}", answer.text);
        problems.push(answer.problem().to_owned());
    }
    println!(
        "{} commits cut short, told: {problems:?}",
        cancelling.await.unwrap()
    );
    assert_eq!(load.answers(), before, "nobody was answered");
    assert!(problems.iter().any(|problem| problem == "outcome-unknown"));

    // Left alone, it waits, and does not line up more and more transactions that wait beside it.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let waiting = database.count(&format!("select count(*) {WAITING}")).await;
    // A group, a voucher, what lets the tree grow and what signs it.
    assert!((1..=4).contains(&waiting), "{waiting} wait");
    assert_eq!(load.answers(), before, "nobody was answered");

    set(database, "alter system reset synchronous_standby_names").await;
    let first = one.insist(&stand.trader).await.unwrap();
    let again = one.insist(&stand.trader).await.unwrap();
    assert_eq!(first.body, again.body);
    let mut given = load.stop().await;
    given.push(first);
    settled(database).await;
    let counts = invariants::check(database, &stand.deployment, &given).await;
    println!("{} answers, {counts:?}", given.len());
}
