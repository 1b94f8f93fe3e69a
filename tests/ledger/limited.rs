//! Replicas that race for one limit, and die meanwhile, never overspend it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::Stand;
use crate::support::load::settled;
use crate::support::{Caller, Postgres, count, order};

const PATH: &str = "/v1/wallets/d-w/orders";
/// What an order is for, in base units.
const NOTIONAL: usize = 11_782_400;

async fn limit(stand: &Stand, of: &str, limits: &serde_json::Value) {
    let path = format!("/v1/limits/{of}");
    let answer = stand.operator.put(&path, limits).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_two_of_which_die_overspend_a_limit_by_nothing() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let short = "[signing]\nlease_ms = 1000\ndeadline_ms = 900";
    let stand = Stand::new(&postgres, short).await;
    let orders = count(600, 10_000);
    let fit = orders / 2;
    let most = (fit * NOTIONAL + NOTIONAL - 1).to_string();
    limit(&stand, "global/all", &json!({ "notional_24h": most })).await;
    limit(&stand, "key/d-wk", &json!({ "open_exposure": most })).await;
    let mut doomed = vec![
        stand.deployment.serve(&[]).await,
        stand.deployment.serve(&[]).await,
    ];
    let mut replicas = vec![stand.trader.clone()];
    replicas.extend(doomed.iter().map(|it| it.caller(&stand.trader.token)));

    let (begun, signed, refused) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut clients = JoinSet::new();
    for n in 0..48 {
        let mine: Vec<Caller> = (0..3).map(|k| replicas[(n + k) % 3].clone()).collect();
        let (begun, signed, refused) = (begun.clone(), signed.clone(), refused.clone());
        clients.spawn(async move {
            while begun.fetch_add(1, Ordering::SeqCst) < orders {
                let key = uuid::Uuid::new_v4().to_string();
                let mut tries = 0;
                loop {
                    let replica = &mine[tries % 3];
                    tries += 1;
                    match replica.post_as(&key, PATH, &order()).await {
                        Ok(answer) if answer.status == 200 => {
                            signed.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        Ok(answer) if answer.problem() == "limit-exceeded" => {
                            refused.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        Ok(answer) if answer.status < 500 && answer.problem() != "in-flight" => {
                            panic!("{} {}", answer.status, answer.text)
                        }
                        _ => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            }
        });
    }
    for share in [4, 3] {
        while signed.load(Ordering::SeqCst) < fit / share {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(doomed.pop()); // killed, whatever it is doing
    }
    clients.join_all().await;
    settled(&stand.database).await;

    let released = "select count(*) from ends where outcome = 'released'";
    let released = usize::try_from(stand.database.count(released).await).unwrap();
    println!("{orders} orders for {fit} places: {released} released");
    assert!(released <= fit, "{} too many", released - fit);
    // What was given back was given to others, so that all of it is used in the end.
    loop {
        let answer = stand.trader.post(PATH, &order()).await;
        match answer.status {
            200 => {}
            403 => break,
            other => panic!("{other} {}", answer.text),
        }
    }
    let sum = async |of: &str| stand.database.count(of).await;
    let all = "select count(*) from ends where outcome = 'released'";
    assert_eq!(sum(all).await, i64::try_from(fit).unwrap());
    let spent = i64::try_from(fit * NOTIONAL).unwrap();
    for counted in ["in_minute", "in_hour", "in_day"] {
        let of = format!("select {counted} from limit_counters where scope = 'global'");
        let counted = sum(&of).await;
        assert!(counted <= spent, "{of}: {counted}");
    }
    let of = "select in_day from limit_counters where scope = 'global'";
    assert_eq!(sum(of).await, spent);
    let of = "select open from limit_counters where scope = 'key'";
    assert_eq!(sum(of).await, spent);
}
