//! The primary dies, and its standby takes its place: the service finds it by itself.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Stand;
use crate::support::load::{Load, settled};
use crate::support::{Deployment, Postgres, count, invariants, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_the_place_of_a_killed_primary() {
    let Some(mut primary) = Postgres::start() else {
        return;
    };
    let mut standby = primary.standby().await;
    let mut database = primary.database().await;
    let deployment = Deployment::new(&primary.or(&standby, &database));
    let more = format!(
        "[evidence]\ncheckpoint_file = \"{}\"\n[signing]\nlease_ms = 3000\ndeadline_ms = 2500",
        deployment.file("checkpoint").display()
    );
    let mut stand = Stand::start(primary.copy_of(&database).await, deployment, &more).await;
    let load = Load::start(&stand.trader, 8);
    let trials = count(2, 40);
    let mut gaps = Vec::new();
    for trial in 0..trials {
        load.go_on().await;
        tokio::time::sleep(Duration::from_millis(trial as u64 * 7 % 50)).await;
        primary.kill();
        let refused = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        let problem = refused.problem();
        let unavailable =
            ["ledger-unavailable", "deadline-exceeded", "outcome-unknown"].contains(&problem);
        assert!(unavailable, "{}", refused.text);
        standby.promote().await;
        let promoted = Instant::now();
        load.go_on().await;
        gaps.push(promoted.elapsed());
        database = standby.copy_of(&database).await;
        std::mem::swap(&mut primary, &mut standby);
        if trial + 1 < trials {
            standby.follow(&primary).await;
        }
    }
    let slowest = gaps.iter().max().unwrap();
    assert!(*slowest < Duration::from_secs(20), "{gaps:?}");
    assert!(stand.server.is_alive());
    let given = load.stop().await;
    settled(&database).await;
    let counts = invariants::check(&database, &stand.deployment, &given).await;
    println!(
        "{trials} promotions, signing again {slowest:?} later at most, {} answers, {counts:?}",
        given.len()
    );

    // Whoever was left behind and comes back as a primary, because nobody fenced it, is not written to.
    standby.start_with(&["synchronous_standby_names="]);
    let left_behind = standby.copy_of(&database).await;
    primary.kill();
    let leaves = "select count(*) from leaves";
    let before = left_behind.count(leaves).await;
    for _ in 0..5 {
        let refused = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(refused.status / 100, 5, "{}", refused.text);
    }
    assert_eq!(left_behind.count(leaves).await, before);
    primary.start_again();
    let signs = async {
        while stand
            .trader
            .post("/v1/wallets/d-w/orders", &order())
            .await
            .status
            != 200
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), signs)
        .await
        .expect("it finds the primary again");
    drop(left_behind);
    standby.kill();

    // And the log goes on from where it was published.
    assert_eq!(stand.server.terminate(), Some(0));
    let report = stand.deployment.run(&["doctor", "--json"]).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let log = checks.iter().find(|it| it["what"] == "audit log").unwrap();
    assert_eq!(log["verdict"], "ok", "{log}");
}

/// With an asynchronous standby the end can be lost. The service says so, and does not go on as if nothing was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_lacks_the_end_is_no_ledger() {
    let Some(mut primary) = Postgres::start() else {
        return;
    };
    let mut standby = primary.standby().await;
    let database = primary.database().await;
    database
        .run("alter system set synchronous_standby_names = ''")
        .await;
    database.run("select pg_reload_conf()").await;
    let deployment = Deployment::new(&primary.or(&standby, &database));
    let more = format!(
        "[evidence]\ncheckpoint_file = \"{}\"\ncheckpoint_every_ms = 200",
        deployment.file("checkpoint").display()
    );
    let mut stand = Stand::start(primary.copy_of(&database).await, deployment, &more).await;
    let copy = standby.copy_of(&database).await;
    let there = "select count(*) from leaves";
    copy.becomes(there, database.count(there).await).await;
    drop(copy);
    standby.kill(); // and what comes next it does not get
    for _ in 0..20 {
        let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    assert_eq!(stand.server.terminate(), Some(0)); // what was signed is published then
    primary.kill();
    standby.start_again();
    standby.promote().await;
    let error = stand.deployment.run(&["serve"]).unwrap_err();
    assert!(error.contains("audit-rollback"), "{error}");
}
