//! A replica that stands still beyond its leases comes back too late.

use std::time::Duration;

use crate::Stand;
use crate::support::load::{Load, settled};
use crate::support::{Postgres, count, invariants};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_abandoned_is_never_released() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let short = "[signing]\nlease_ms = 700\ndeadline_ms = 600";
    let stand = Stand::new(&postgres, short).await;
    let _twin = stand.deployment.serve(&[]).await; // ends what the other leaves behind
    let load = Load::start(&stand.trader, 16);
    let rounds = count(8, 200);
    let abandoned = "select count(*) from signatures where reason = 'lease-ran-out'";
    let mut caught = 0;
    for round in 0..rounds {
        load.go_on().await;
        tokio::time::sleep(Duration::from_millis(round as u64 * 13 % 40)).await;
        let before = stand.database.count(abandoned).await;
        stand.server.freeze();
        tokio::time::sleep(Duration::from_millis(1_500)).await; // its leases run out
        caught += i64::from(stand.database.count(abandoned).await > before);
        stand.server.resume();
    }
    let given = load.stop().await;
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!(
        "{rounds} rounds, {caught} with work under way, {} answers, {counts:?}",
        given.len()
    );
    assert!(caught > 0, "at least once there was something to abandon");
}
