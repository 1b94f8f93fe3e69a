//! A token lives no longer than the right to it: keys that are suspended or replaced, callers who are
//! revoked, tokens that were reported; on every replica at once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stand::refused;
use crate::support::{Answer, Caller, Server};
use crate::tokens::Exchange;

const TOKENS: &str = "/v1/clients/ex-c/tokens";

fn orders() -> Value {
    json!({ "scope": "read:orders" })
}

async fn report(caller: &Caller, id: &Value) -> Answer {
    let path = format!("{TOKENS}/{}/invalidate", id.as_str().unwrap());
    caller.post(&path, &json!({})).await
}

/// One more replica, and the trader there.
async fn replica(exchange: &Exchange) -> (Server, Caller) {
    let server = exchange.stand.deployment.serve(&[]).await;
    let trader = server.caller(&exchange.stand.trader.token);
    (server, trader)
}

/// Waits until the server has seen so many exchanges begin.
async fn seen(exchange: &Exchange, count: usize) {
    while exchange.log().await.len() < count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Exchange {
    /// A second key, registered beside the first.
    async fn second_key(&self) {
        self.key("ex-k2").await;
        let shown = self.stand.operator.get("/v1/keys/ex-k2").await;
        let key = json!({ "pem": shown.json["pem"] });
        self.server
            .admin(reqwest::Method::POST, "clients/ex-client/keys", &key)
            .await;
    }

    /// The client has its second key from now on, and the first one signs nothing more. Without the
    /// rotation that the database wants to see: this is about what others notice of it.
    async fn switch(&self) {
        let switch = "set local session_replication_role = replica;
            update clients set key_id = (select id from keys where name = 'ex-k2') where name = 'ex-c';
            set local session_replication_role = origin";
        self.stand.deployment.restate_after(switch).await;
        self.step("ex-k", "retiring").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_report_the_same_dead_token_cause_one_exchange() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let trader = &exchange.stand.trader;
    let dead = exchange.token().await;
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (trader, id) = (trader.clone(), dead["id"].clone());
        tasks.spawn(async move {
            let reported = report(&trader, &id).await;
            assert_eq!(reported.status, 200, "{}", reported.text);
            let next = trader.post(TOKENS, &orders()).await;
            assert_eq!(next.status, 200, "{}", next.text);
            (
                reported.json["invalidated"] == true,
                next.json["id"].to_string(),
            )
        });
    }
    let done = tasks.join_all().await;
    assert_eq!(done.iter().filter(|(first, _)| *first).count(), 1);
    let next: BTreeSet<_> = done.into_iter().map(|(_, id)| id).collect();
    assert_eq!(next.len(), 1, "all have the same new one");
    assert!(!next.contains(&dead["id"].to_string()));
    assert_eq!(exchange.log().await.len(), 2);

    // Whoever reports the new one too has another problem.
    let new = exchange.token().await;
    let again = report(trader, &new["id"]).await;
    refused("at once", &again, 429, "token-refreshed", "moments ago");
    assert_eq!(exchange.token().await["id"], new["id"], "it serves on");
    let leaf = "select count(*) from leaves where kind = 'admin'
        and encode(leaf, 'escape') like '%invalidate-token%'";
    assert_eq!(exchange.stand.database.count(leaf).await, 1);
    exchange.check().await;
}

#[tokio::test]
async fn a_report_reaches_every_replica_and_what_is_on_its_way() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let (_server, elsewhere) = replica(&exchange).await;
    let here = exchange.token().await;
    let there = elsewhere.post(TOKENS, &orders()).await.json;
    assert_ne!(here["id"], there["id"], "each replica keeps its own");
    let reported = report(&elsewhere, &here["id"]).await;
    assert_eq!(reported.json["invalidated"], true, "{}", reported.text);
    for (trader, old) in [(&exchange.stand.trader, &here), (&elsewhere, &there)] {
        let next = trader.post(TOKENS, &orders()).await.json;
        assert_ne!(next["id"], old["id"]);
    }
    assert_eq!(exchange.log().await.len(), 4);

    // Who has no right to the token cannot tell it from one that never was.
    let reader = exchange.stand.another("o", "d", "onboarder").await;
    for (who, id) in [
        (&reader, &here["id"]),
        (&elsewhere, &json!(uuid::Uuid::now_v7())),
    ] {
        let unknown = report(who, id).await;
        refused("not theirs", &unknown, 404, "not-found", "token");
    }
    exchange.check().await;
}

/// A fetch that was begun before the report is not what anybody gets after it.
#[tokio::test]
async fn a_token_that_was_on_its_way_when_its_place_was_emptied_is_not_served() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let (_server, elsewhere) = replica(&exchange).await;
    let there = elsewhere.post(TOKENS, &orders()).await.json;
    exchange.fault(&json!({ "delay_ms": 800 })).await;
    let after = async {
        seen(&exchange, 2).await;
        assert_eq!(
            report(&elsewhere, &there["id"]).await.json["invalidated"],
            true
        );
        exchange.token().await
    };
    let (_before, after) = tokio::join!(exchange.token(), after);
    let sent = "select generation from token_fetches where id = '";
    let sent = format!("{sent}{}'", after["id"].as_str().unwrap());
    assert_eq!(
        exchange.stand.database.count(&sent).await,
        1,
        "fetched after it"
    );
    exchange.check().await;
}

#[tokio::test]
async fn a_suspended_key_takes_its_tokens_out_of_every_memory_at_once() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let (_server, elsewhere) = replica(&exchange).await;
    let traders = [&exchange.stand.trader, &elsewhere];
    let mut old = Vec::new();
    for trader in traders {
        old.push(trader.post(TOKENS, &orders()).await.json["id"].clone());
    }
    exchange.step("ex-k", "suspended").await;
    for trader in traders {
        let answer = trader.post(TOKENS, &orders()).await;
        refused("suspended", &answer, 409, "key-not-active", "suspended");
    }
    assert_eq!(exchange.log().await.len(), 2);
    exchange.step("ex-k", "active").await;
    for (trader, old) in traders.into_iter().zip(old) {
        let next = trader.post(TOKENS, &orders()).await;
        assert_eq!(next.status, 200, "{}", next.text);
        assert_ne!(next.json["id"], old, "of another epoch");
    }
    assert_eq!(exchange.log().await.len(), 4);
    exchange.check().await;
}

#[tokio::test]
async fn a_key_that_is_replaced_takes_its_tokens_along_and_nobody_is_refused() {
    let settings = "kid = \"thumbprint\"";
    let Some(exchange) = Exchange::new(&["read:orders"], settings).await else {
        return;
    };
    let (_server, elsewhere) = replica(&exchange).await;
    let traders = [&exchange.stand.trader, &elsewhere];
    let mut old = Vec::new();
    for trader in traders {
        old.push(trader.post(TOKENS, &orders()).await.json["id"].clone());
    }
    exchange.second_key().await;
    exchange.switch().await;
    for (trader, old) in traders.into_iter().zip(old) {
        let next = trader.post(TOKENS, &orders()).await;
        assert_eq!(next.status, 200, "{}", next.text);
        assert_ne!(next.json["id"], old);
    }
    let log = exchange.log().await;
    assert_eq!(log.len(), 4);
    assert_eq!(log[0]["kid"], log[1]["kid"]);
    assert_eq!(log[2]["kid"], log[3]["kid"]);
    assert_ne!(log[0]["kid"], log[2]["kid"], "the new key signs");
    exchange.check().await;
}

/// The exchange is under way while the client gets its other key; the caller waits a little longer.
#[tokio::test]
async fn a_token_that_was_on_its_way_when_the_key_was_replaced_is_fetched_once_more() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    exchange.second_key().await;
    exchange.fault(&json!({ "delay_ms": 800 })).await;
    let switch = async {
        seen(&exchange, 1).await;
        exchange.switch().await;
    };
    let (token, ()) = tokio::join!(exchange.token(), switch);
    assert_eq!(exchange.log().await.len(), 2);
    let key = "select count(*) from intents i join keys k on k.id = i.key_id where k.name = 'ex-k2' and i.id = '";
    let key = format!("{key}{}'", token["id"].as_str().unwrap());
    assert_eq!(
        exchange.stand.database.count(&key).await,
        1,
        "by the new key"
    );
    exchange.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assertions_and_tokens_flow_on_while_the_key_is_replaced() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let (_server, elsewhere) = replica(&exchange).await;
    exchange.second_key().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut tasks = JoinSet::new();
    for n in 0..8 {
        let trader = [&exchange.stand.trader, &elsewhere][n % 2].clone();
        let stopped = stopped.clone();
        let (path, body) = match n / 2 % 2 {
            0 => ("/v1/clients/ex-c/assertions", json!({})),
            _ => (TOKENS, orders()),
        };
        tasks.spawn(async move {
            let mut done = 0;
            while !*stopped.borrow() {
                let answer = trader.post(path, &body).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text);
                done += 1;
            }
            done
        });
    }
    exchange.stand.database.count("select 1").await;
    let count = "select count(*) from ends where outcome = 'released'";
    let more = async |more: i64| {
        let goal = exchange.stand.database.count(count).await + more;
        while exchange.stand.database.count(count).await < goal {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    more(20).await;
    exchange.switch().await;
    more(20).await;
    stop.send_replace(true);
    let done: Vec<u32> = tasks.join_all().await;
    println!("{} requests, none refused", done.iter().sum::<u32>());
    exchange.check().await;
}

#[tokio::test]
async fn a_revoked_caller_gets_no_token_from_any_memory_and_spoils_nobody_s() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let (elsewhere, _) = replica(&exchange).await;
    let leaver = exchange.stand.another("leaver", "d", "trader").await;
    let kept = leaver.post(TOKENS, &orders()).await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    // Revoked on another replica: this one still recognises the caller for a moment.
    let operator = elsewhere.caller(&exchange.stand.operator.token);
    let revoked = operator.post("/v1/callers/leaver/revoke", &json!({})).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    let warm = leaver.post(TOKENS, &orders()).await;
    let cold = json!({ "scope": "read:orders", "refresh": true });
    let cold = leaver.post(TOKENS, &cold);
    let (cold, other) = tokio::join!(cold, exchange.token());
    refused("from memory", &warm, 401, "not-authenticated", "");
    refused("cold", &cold, 401, "not-authenticated", "");
    assert_eq!(other["scope"], "read:orders");
    exchange.check().await;
}

/// Others wait for the lease of a replica that died, and then go on without it.
#[tokio::test]
async fn a_replica_that_dies_in_a_fetch_leaves_nothing_but_a_lease() {
    let Some(exchange) = Exchange::new(&["read:orders", "read:accounts", "read:reports"], "").await
    else {
        return;
    };
    let scopes = ["read:orders", "read:accounts", "read:reports"];
    for (point, scope) in chancery::fail::TOKEN_POINTS.into_iter().zip(scopes) {
        let armed = [("CHANCERY_FAIL_POINT", point)];
        let mut dying = exchange.stand.deployment.serve(&armed).await;
        let trader = dying.caller(&exchange.stand.trader.token);
        let body = json!({ "scope": scope });
        trader.post_as("k", TOKENS, &body).await.unwrap_err();
        assert!(dying.wait_killed(), "{point}");
        let held = "select count(*) from token_slots where lease_holder is not null";
        assert_eq!(exchange.stand.database.count(held).await, 1, "{point}");
        let answer = loop {
            let answer = exchange.ask(&body).await;
            if answer.status != 504 {
                break answer;
            }
        };
        assert_eq!(answer.status, 200, "{point}: {}", answer.text);
        assert_eq!(exchange.stand.database.count(held).await, 0, "{point}");
    }
    exchange.check().await;
}
