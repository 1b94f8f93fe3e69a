//! One replica after the other is replaced, and callers who ask again under the same key see no failure.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Stand;
use crate::support::invariants::{self, Given};
use crate::support::load::{Request, settled};
use crate::support::{Caller, Database, Deployment, Postgres, Server, count, desk};

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

/// Nine callers who ask one thing after the other.
struct Asking {
    replicas: Replicas,
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<Vec<(Given, Duration)>>>,
    clients: JoinSet<()>,
}

impl Asking {
    fn of(servers: &[Server], token: &str) -> Self {
        let replicas = servers.iter().map(|server| server.caller(token));
        let mut asking = Self {
            replicas: Arc::new(Mutex::new(replicas.collect())),
            stop: Arc::default(),
            answered: Arc::default(),
            clients: JoinSet::new(),
        };
        for client in 0..9 {
            let (replicas, stop) = (asking.replicas.clone(), asking.stop.clone());
            let answered = asking.answered.clone();
            asking.clients.spawn(async move {
                for n in client.. {
                    let answer = ask(&Request::nth(n), &replicas, n).await;
                    answered.lock().unwrap().push(answer);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        asking
    }

    /// Waits for some more answers.
    async fn goes_on(&self) {
        let answers = || self.answered.lock().unwrap().len();
        let goal = answers() + 30;
        let wait = async {
            while answers() < goal {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.expect("callers are answered");
    }

    /// Has today's program in the place of a replica.
    async fn replace(&self, deployment: &Deployment, n: usize, server: &mut Server, token: &str) {
        let leaving = Instant::now();
        assert_eq!(server.terminate(), Some(0));
        assert!(leaving.elapsed() < PATIENCE, "it leaves in time");
        let log = server.log();
        assert!(
            !log.contains("cut off") && !log.contains("left behind"),
            "{log}"
        );
        *server = deployment.serve(&[]).await;
        self.replicas.lock().unwrap()[n] = server.caller(token);
    }

    /// Ends, and holds what was answered against what is on record.
    async fn end(self, what: &str, database: &Database, deployment: &Deployment) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        let answered = std::mem::take(&mut *self.answered.lock().unwrap());
        let (given, took): (Vec<_>, Vec<_>) = answered.into_iter().unzip();
        settled(database).await;
        let counts = invariants::check(database, deployment, &given).await;
        println!(
            "{what}, {} answers, the slowest after {:?}, {counts:?}",
            given.len(),
            took.iter().max().unwrap()
        );
    }
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
    let asking = Asking::of(&servers, &token);
    let rounds = count(1, 20);
    for _ in 0..rounds {
        for (n, server) in servers.iter_mut().enumerate() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            asking.replace(&stand.deployment, n, server, &token).await;
        }
    }
    let what = format!("{} replicas replaced", rounds * 3);
    asking.end(&what, &stand.database, &stand.deployment).await;
}

/// The way of an upgrade: the schema first, while the replicas of before go on; then these, one by one. Which release
/// that was, `tests/run --long` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_the_release_before_go_on_while_the_schema_moves_on() {
    let Ok(before) = std::env::var("CHANCERY_BEFORE") else {
        println!("not looked at: CHANCERY_BEFORE names no program of a release before");
        return;
    };
    let before = Path::new(&before);
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.empty_database().await;
    let deployment = Deployment::new(&database.url);
    deployment.run_by(before, &["migrate"]).unwrap();
    let migrations = "select count(*) from _sqlx_migrations";
    let known = database.count(migrations).await;
    let operator = deployment.run_by(before, &["callers", "bootstrap"]);
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(deployment.serve_by(before, None, &[]).await);
    }
    let operator = servers[0].caller(operator.unwrap().trim());
    let token = desk(&operator, "d", "soft").await;
    let asking = Asking::of(&servers, &token);
    asking.goes_on().await;
    deployment.run(&["migrate"]).unwrap();
    asking.goes_on().await;
    for (n, server) in servers.iter_mut().enumerate() {
        asking.replace(&deployment, n, server, &token).await;
        asking.goes_on().await; // old and new beside each other
    }
    let more = database.count(migrations).await - known;
    let what = format!("3 replicas replaced, {more} migrations later");
    asking.end(&what, &database, &deployment).await;
}
