//! Postgres stops in the middle of requests, and comes back.

use std::time::{Duration, Instant};

use crate::Stand;
use crate::support::load::{Load, settled};
use crate::support::{Postgres, count, invariants, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_postgres_means_no_signature_until_it_is_back() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut stand = Stand::new(&postgres, "[signing]\nlease_ms = 3000\ndeadline_ms = 2500").await;
    let load = Load::start(&stand.trader, 8);
    let stops = count(4, 100);
    let mut slowest = Duration::ZERO;
    for n in 0..stops {
        load.go_on().await;
        tokio::time::sleep(Duration::from_millis(n as u64 * 7 % 50)).await;
        postgres.crash();
        let refused = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(refused.status / 100, 5, "{}", refused.text);
        assert!(
            ["ledger-unavailable", "deadline-exceeded"].contains(&refused.problem()),
            "{}",
            refused.text
        );
        let alive = stand.trader.get("/healthz").await;
        assert_eq!(alive.status, 200, "{}", alive.text);
        postgres.start_again();
        let back = Instant::now();
        load.go_on().await;
        slowest = slowest.max(back.elapsed());
    }
    assert!(
        slowest < Duration::from_secs(10),
        "signing after {slowest:?}"
    );
    assert!(stand.server.is_alive());
    let given = load.stop().await;
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!(
        "{stops} stops, signing again after {slowest:?} at the latest, {} answers, {counts:?}",
        given.len()
    );
}
