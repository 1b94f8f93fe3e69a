//! A replica has a fixed number of connections, whatever is asked of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use crate::Stand;
use crate::support::{Postgres, order};

const PATH: &str = "/v1/wallets/d-w/orders";

/// Eight for look-ups, one to write with, one to vouch with, and six that nothing here needs.
const OPENED_AT_MOST: i64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_replays_and_look_ups_at_once_share_one_voucher() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let first = stand.trader.post_as("once", PATH, &order()).await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);

    let over: Arc<AtomicBool> = Arc::default();
    let watch = {
        let (pool, over) = (stand.database.pool.clone(), over.clone());
        tokio::spawn(async move {
            let mut most = 0;
            while !over.load(Ordering::SeqCst) {
                let open: i64 = sqlx::query_scalar(
                    "select count(*) from pg_stat_activity
                     where datname = current_database() and application_name = 'chancery'",
                )
                .fetch_one(&pool)
                .await
                .unwrap();
                most = most.max(open);
            }
            most
        })
    };
    let mut asked = JoinSet::new();
    for n in 0..400 {
        let (trader, first) = (stand.trader.clone(), first.text.clone());
        asked.spawn(async move {
            if n % 2 == 0 {
                let again = trader.post_as("once", PATH, &order()).await.unwrap();
                assert_eq!((again.status, again.text), (200, first));
            } else {
                let found = trader.get("/v1/signatures?idempotency_key=once").await;
                assert_eq!(found.status, 200, "{}", found.text);
            }
        });
    }
    asked.join_all().await;
    over.store(true, Ordering::SeqCst);
    let most = watch.await.unwrap();
    assert!((2..=OPENED_AT_MOST).contains(&most), "{most}");
}
