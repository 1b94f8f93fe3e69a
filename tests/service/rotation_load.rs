//! Rotations under load: callers of two replicas notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::rotations::World;
use crate::support::Caller;

/// What callers got so far.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    assertions: AtomicUsize,
    tokens: AtomicUsize,
    taken: AtomicUsize,
}

impl Seen {
    /// Waits for so many more answers of each kind.
    async fn go_on(&self) {
        let (assertions, tokens) = (
            self.assertions.load(Ordering::Relaxed),
            self.tokens.load(Ordering::Relaxed),
        );
        let more = async {
            while self.assertions.load(Ordering::Relaxed) < assertions + 40
                || self.tokens.load(Ordering::Relaxed) < tokens + 40
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_mins(1), more).await;
        waited.expect("callers get answers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_and_a_way_back_fail_no_request_on_any_replica() {
    let Some(world) = World::open().await else {
        return;
    };
    let second = world.stand.deployment.serve(&[]).await;
    let seen = Arc::new(Seen::default());
    let mut callers = JoinSet::new();
    for replica in [&world.stand.server, &second] {
        for number in 0..3 {
            let caller = replica.caller(&world.stand.trader.token);
            callers.spawn(ask_assertions(
                caller,
                seen.clone(),
                world.server.token_endpoint.clone(),
                number,
            ));
            let caller = replica.caller(&world.stand.trader.token);
            callers.spawn(ask_tokens(caller, seen.clone()));
        }
    }
    seen.go_on().await;
    let id = world.registered("k2").await;
    seen.go_on().await;
    assert_eq!(world.step(&id, "switch").await, "switched");
    seen.go_on().await;
    assert_eq!(world.probe(&id, "old").await, "succeeded");
    assert_eq!(world.step(&id, "roll-back").await, "rolled-back");
    seen.go_on().await;
    world.age().await;
    world.step(&id, "ask-removal").await;
    world.remove("k2").await;
    world.probe(&id, "new").await;
    world.probe(&id, "old").await;
    world.step(&id, "prove-removal").await;
    let id = world.registered("k3").await;
    world.step(&id, "switch").await;
    seen.go_on().await;
    seen.stop.store(true, Ordering::Relaxed);
    while let Some(done) = callers.join_next().await {
        done.unwrap(); // every request was answered with 200
    }
    println!(
        "3 switches: {} assertions, {} tokens, {} exchanged by callers, 0 failed",
        seen.assertions.load(Ordering::Relaxed),
        seen.tokens.load(Ordering::Relaxed),
        seen.taken.load(Ordering::Relaxed),
    );
    let doubled = "select count(*) - count(distinct jti) from jtis";
    assert_eq!(world.stand.database.count(doubled).await, 0);
    // The key that went signed nothing but probes afterwards.
    let after = "select count(*) from signatures i
                 join rotation_steps s on s.step in ('switch', 'roll-back')
                 join rotations r on r.id = s.rotation_id
                 where i.key_id = case s.step when 'switch' then r.old_key_id else r.new_key_id end
                   and i.outcome = 'released' and i.errand <> 'probe'
                   and i.created_at > s.at + interval '3 s' -- the gate is waited for at most so long
                   and not exists (
                       select from rotation_steps later join rotations o on o.id = later.rotation_id
                       where later.at > s.at and later.step in ('switch', 'roll-back')
                         and i.key_id = case later.step when 'switch' then o.new_key_id else o.old_key_id end)";
    assert_eq!(world.stand.database.count(after).await, 0);
    assert_eq!(world.works().await, "k3");
}

async fn ask_assertions(caller: Caller, seen: Arc<Seen>, endpoint: String, number: usize) {
    let http = reqwest::Client::new();
    for n in number.. {
        let issued = caller.post("/v1/clients/c/assertions", &json!({})).await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        seen.assertions.fetch_add(1, Ordering::Relaxed);
        if n % 10 == 0 {
            let mut body = issued.json.clone();
            body.as_object_mut().unwrap().retain(|name, _| {
                [
                    "client_assertion",
                    "client_assertion_type",
                    "client_id",
                    "grant_type",
                    "audience",
                ]
                .contains(&name.as_str())
            });
            let answer = http.post(&endpoint).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            seen.taken.fetch_add(1, Ordering::Relaxed);
        }
        if seen.stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

async fn ask_tokens(caller: Caller, seen: Arc<Seen>) {
    loop {
        let token = caller
            .post("/v1/clients/c/tokens", &json!({ "scope": "read:orders" }))
            .await;
        assert_eq!(token.status, 200, "{}", token.text);
        seen.tokens.fetch_add(1, Ordering::Relaxed);
        if seen.stop.load(Ordering::Relaxed) {
            return;
        }
    }
}
