//! One replica after the other is replaced, and callers who ask again under the same key see no failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Stand;
use crate::support::invariants::{self, Given};
use crate::support::load::{Request, settled};
use crate::support::{Caller, Postgres, count};

/// The replicas that callers know of: those that serve, and for a moment one that does not any more.
type Replicas = Arc<Mutex<Vec<Caller>>>;

/// How long a caller waits for an answer, whatever happens in between.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks one replica after the other under one key, as a good caller does.
async fn ask(request: &Request, replicas: &Replicas, first: usize) -> (Given, Duration) {
    let asked = Instant::now();
    for n in first.. {
        let replica = {
            let replicas = replicas.lock().unwrap();
            replicas[n % replicas.len()].clone()
        };
        if let Ok(Some(given)) = request.attempt(&replica).await {
            return (given, asked.elapsed());
        }
        assert!(asked.elapsed() < PATIENCE, "a request failed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("it asks until it has an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_replaced_one_by_one_and_no_request_fails() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let stand = Stand::new(&postgres, "").await;
    let token = stand.trader.token.clone();
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(stand.deployment.serve(&[]).await);
    }
    let replicas = servers.iter().map(|server| server.caller(&token));
    let replicas: Replicas = Arc::new(Mutex::new(replicas.collect()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..9 {
        let (replicas, stop) = (replicas.clone(), stop.clone());
        clients.spawn(async move {
            let mut answered = Vec::new();
            for n in client.. {
                answered.push(ask(&Request::nth(n), &replicas, n).await);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            answered
        });
    }
    let rounds = count(1, 20);
    for _ in 0..rounds {
        for (n, server) in servers.iter_mut().enumerate() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let leaving = Instant::now();
            assert_eq!(server.terminate(), Some(0));
            assert!(leaving.elapsed() < PATIENCE, "it leaves in time");
            let log = server.log();
            assert!(
                !log.contains("cut off") && !log.contains("left behind"),
                "{log}"
            );
            *server = stand.deployment.serve(&[]).await;
            replicas.lock().unwrap()[n] = server.caller(&token);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (given, took): (Vec<_>, Vec<_>) = clients.join_all().await.into_iter().flatten().unzip();
    settled(&stand.database).await;
    let counts = invariants::check(&stand.database, &stand.deployment, &given).await;
    println!(
        "{} replicas replaced, {} answers, the slowest after {:?}, {counts:?}",
        rounds * 3,
        given.len(),
        took.iter().max().unwrap()
    );
}
