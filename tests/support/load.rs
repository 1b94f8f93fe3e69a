//! Clients that do not give up: each repeats its request under the same key until it is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::invariants::Given;
use super::{Answer, Caller, Database, order};

/// A request that has not been answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) key: String,
    path: &'static str,
    body: Value,
}

impl Request {
    /// The nth request of a client of desk `d`: mostly orders, every third an assertion.
    pub(crate) fn nth(n: usize) -> Self {
        let key = uuid::Uuid::new_v4().to_string();
        if n % 3 == 2 {
            let (path, body) = ("/v1/clients/d-c/assertions", json!({}));
            return Self { key, path, body };
        }
        let (path, body) = ("/v1/wallets/d-w/orders", order());
        Self { key, path, body }
    }

    /// One attempt. `None`: no answer that counts, and the request is to be repeated.
    pub(crate) async fn attempt(&self, trader: &Caller) -> reqwest::Result<Option<Given>> {
        let answer = self.send(trader).await?;
        let problem = answer.problem();
        match answer.status {
            200 => Ok(Some(Given {
                key: self.key.clone(),
                body: answer.text,
            })),
            503 | 504 => Ok(None),
            409 if problem == "in-flight" => Ok(None),
            _ => panic!("{} {}", answer.status, answer.text),
        }
    }

    /// One attempt, and whatever came of it.
    pub(crate) async fn send(&self, trader: &Caller) -> reqwest::Result<Answer> {
        trader.post_as(&self.key, self.path, &self.body).await
    }

    /// Attempts until there is an answer. An error: there is nobody to ask.
    pub(crate) async fn insist(&self, trader: &Caller) -> reqwest::Result<Given> {
        loop {
            if let Some(given) = self.attempt(trader).await? {
                return Ok(given);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Waits until every intent has its end.
pub(crate) async fn settled(database: &Database) {
    let wait = async {
        let open = "select count(*) from signatures where outcome is null";
        while database.count(open).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.expect("every intent ends");
}

/// Clients that ask one thing after the other until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    given: Arc<Mutex<Vec<Given>>>,
    clients: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(trader: &Caller, clients: usize) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            given: Arc::default(),
            clients: JoinSet::new(),
        };
        for client in 0..clients {
            let (trader, stop, given) = (trader.clone(), load.stop.clone(), load.given.clone());
            load.clients.spawn(async move {
                for n in client.. {
                    let answer = Request::nth(n).insist(&trader).await.unwrap();
                    given.lock().unwrap().push(answer);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        load
    }

    /// How many answers there have been.
    pub(crate) fn answers(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    /// Waits for some more answers.
    pub(crate) async fn go_on(&self) {
        let goal = self.answers() + 8;
        let wait = async {
            while self.answers() < goal {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        waited.expect("the service signs");
    }

    /// Lets every client get the answer it is waiting for.
    pub(crate) async fn stop(self) -> Vec<Given> {
        self.stop.store(true, Ordering::Relaxed);
        let all = tokio::time::timeout(Duration::from_mins(1), self.clients.join_all()).await;
        all.expect("every request is answered in the end");
        std::mem::take(&mut self.given.lock().unwrap())
    }
}
