//! Many callers, two replicas, one idempotency key.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::Stand;
use crate::support::load::settled;
use crate::support::{Answer, Caller, Postgres, count, invariants, order};

const TASKS: usize = 64;
const PATH: &str = "/v1/wallets/d-w/orders";

/// All at once, in turn to each replica.
async fn all_at_once(replicas: &[Caller; 2], key: &str, bodies: Vec<Value>) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(bodies.len()));
    let mut tasks = JoinSet::new();
    for (n, body) in bodies.into_iter().enumerate() {
        let (caller, key, barrier) = (replicas[n % 2].clone(), key.to_owned(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            caller.post_as(&key, PATH, &body).await.unwrap()
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_order_whoever_races() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let replicas = [stand.trader.clone(), second.caller(&stand.trader.token)];
    let rounds = count(10, 500);
    let mut given = Vec::new();
    for round in 0..rounds {
        let key = format!("same-{round}");
        let answers = all_at_once(&replicas, &key, vec![order(); TASKS]).await;
        let mut bodies = BTreeSet::new();
        for answer in answers {
            match (answer.status, answer.problem()) {
                (200, _) => drop(bodies.insert(answer.text)),
                (409, "in-flight") => {}
                other => panic!("{other:?} {}", answer.text),
            }
        }
        assert_eq!(bodies.len(), 1, "one order under {key}");
        for body in bodies {
            given.push(invariants::Given {
                key: key.clone(),
                body,
            });
        }
    }
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!("{rounds} rounds of {TASKS}, {counts:?}");
    assert_eq!(counts.released, rounds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_request_whoever_races() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let second = stand.deployment.serve(&[]).await;
    let replicas = [stand.trader.clone(), second.caller(&stand.trader.token)];
    let rounds = count(10, 500);
    let bodies = (0..TASKS).map(|n| {
        let mut body = order();
        body["size"] = json!(format!("{}", 20 + n));
        body
    });
    let bodies: Vec<_> = bodies.collect();
    for round in 0..rounds {
        let answers = all_at_once(&replicas, &format!("other-{round}"), bodies.clone()).await;
        let winners = answers.iter().filter(|answer| answer.status == 200).count();
        let reused = answers
            .iter()
            .filter(|answer| answer.problem() == "idempotency-key-reused")
            .count();
        assert_eq!((winners, reused), (1, TASKS - 1), "{answers:#?}");
    }
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &[]).await;
    println!("{rounds} rounds of {TASKS}, {counts:?}");
    assert_eq!(counts.released, rounds);
}
