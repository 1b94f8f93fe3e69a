//! Access tokens: exchanged once however many ask, replaced in time, never dead and never too many.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::oauth_server::OAuthServer;
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller, invariants};

pub(crate) const AUDIENCE: &str = "https://api.ex.polymarketexchange.com";
const TOKENS: &str = "/v1/clients/ex-c/tokens";

/// A service, and the authorization server that its client `ex-c` is registered at.
pub(crate) struct Exchange {
    pub(crate) stand: Stand,
    pub(crate) server: OAuthServer,
}

impl Exchange {
    /// With these scopes granted, and these settings of the environment and after it. `None`: it
    /// cannot run here, and that was said.
    pub(crate) async fn new(granted: &[&str], settings: &str) -> Option<Self> {
        let server = OAuthServer::start()?;
        let stand = Stand::new(&format!(
            "[oauth.environments.ex]\nissuer = \"{}\"\ntoken_endpoint = \"{}\"\ntoken_audience = \"{AUDIENCE}\"\n{settings}\n",
            server.issuer, server.token_endpoint
        ))
        .await?;
        let exchange = Self { stand, server };
        exchange.key("ex-k").await;
        let client =
            json!({ "name": "ex-c", "owner": "d", "key": "ex-k", "client_id": "ex-client" });
        let made = exchange.stand.operator.post("/v1/clients", &client).await;
        assert_eq!(made.status, 201, "{}", made.text);
        exchange.register("ex-k", granted).await;
        Some(exchange)
    }

    /// Makes a client key and activates it.
    pub(crate) async fn key(&self, name: &str) {
        let key = json!({
            "name": name, "purpose": "client", "backend": "soft", "environment": "ex", "owner": "d",
        });
        let made = self.stand.operator.post("/v1/keys", &key).await;
        assert_eq!(made.status, 201, "{}", made.text);
        self.step(name, "active").await;
    }

    /// Moves a key to another state.
    pub(crate) async fn step(&self, key: &str, to: &str) {
        let step = json!({ "to": to, "reason": "test" });
        let path = format!("/v1/keys/{key}/steps");
        let moved = self.stand.operator.post(&path, &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
    }

    /// Has the server know this key, and no other, and grant these scopes.
    pub(crate) async fn register(&self, key: &str, granted: &[&str]) {
        let shown = self.stand.operator.get(&format!("/v1/keys/{key}")).await;
        let client =
            json!({ "grants": { AUDIENCE: granted }, "keys": [{ "pem": shown.json["pem"] }] });
        let registered = self
            .server
            .admin(Method::PUT, "clients/ex-client", &client)
            .await;
        assert!(registered["keys"][0]["kid"].is_string(), "{registered}");
    }

    /// Somebody who may have tokens of the client.
    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        self.stand.trader.post(TOKENS, body).await
    }

    /// A token that is expected to come.
    pub(crate) async fn token(&self) -> Value {
        let answer = self.ask(&json!({ "scope": "read:orders" })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// What the server saw, one entry for each exchange.
    pub(crate) async fn log(&self) -> Vec<Value> {
        let log = self.server.admin(Method::GET, "log", &json!({})).await;
        log.as_array().unwrap().clone()
    }

    /// What goes wrong with the next exchanges.
    pub(crate) async fn fault(&self, fault: &Value) {
        self.server.admin(Method::POST, "faults", fault).await;
    }

    pub(crate) async fn set(&self, settings: &Value) {
        self.server.admin(Method::PATCH, "settings", settings).await;
    }

    /// No `jti` was seen twice, and the ledger is whole.
    pub(crate) async fn check(&self) {
        let log = self.log().await;
        let jtis: Vec<_> = log.iter().filter_map(|it| it["jti"].as_str()).collect();
        let distinct: BTreeSet<_> = jtis.iter().collect();
        assert_eq!(distinct.len(), jtis.len(), "a jti was sent twice");
        invariants::check(&self.stand.database, &self.stand.deployment, &[]).await;
    }
}

/// Many ask at once; what they get.
async fn at_once(callers: &[Caller], count: usize, body: &Value) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    let body = Arc::new(body.clone());
    for n in 0..count {
        let (caller, body) = (callers[n % callers.len()].clone(), body.clone());
        tasks.spawn(async move {
            loop {
                let answer = caller.post(TOKENS, &body).await;
                // On a slow machine it is not everybody's turn in time, and they are told to come back.
                if answer.status != 429 {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_token_is_what_the_api_takes_and_is_remembered() {
    let Some(exchange) = Exchange::new(&["read:orders", "write:orders"], "").await else {
        return;
    };
    let first = exchange
        .ask(&json!({ "scope": "write:orders read:orders" }))
        .await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.headers["cache-control"], "no-store");
    for (member, value) in [
        ("token_type", json!("Bearer")),
        ("scope", json!("read:orders write:orders")),
        ("audience", json!(AUDIENCE)),
        ("environment", json!("ex")),
    ] {
        assert_eq!(first.json[member], value, "{member}");
    }
    let left = first.json["expires_in"].as_u64().unwrap();
    assert!((170..180).contains(&left), "{left} seconds are left");
    let token = first.json["access_token"].as_str().unwrap();
    let api = exchange
        .server
        .token_endpoint
        .replace("/oauth/token", "/v1/trading/orders/open");
    let api_says = reqwest::Client::new()
        .get(api)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(api_says.status().as_u16(), 200);

    // The order of scopes does not count, and who asks for others gets others.
    let again = exchange
        .ask(&json!({ "scope": "read:orders write:orders" }))
        .await;
    assert_eq!(again.json["id"], first.json["id"]);
    assert_eq!(again.json["access_token"], first.json["access_token"]);
    let less = exchange.token().await;
    assert_ne!(less["id"], first.json["id"]);
    assert_eq!(less["scope"], "read:orders");
    assert_eq!(exchange.log().await.len(), 2);

    // Each that was handed out is on record, those from memory too.
    let leaves = "select count(*) from leaves where kind = 'token'";
    assert_eq!(exchange.stand.database.count(leaves).await, 3);
    let fetch = first.json["id"].as_str().unwrap();
    let shown = exchange
        .stand
        .trader
        .get(&format!("/v1/signatures/{fetch}"))
        .await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    exchange.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_cold_callers_make_one_exchange() {
    // All come with one token.
    let limits = "[http]\nlisten = \"127.0.0.1:0\"\nrequests_per_caller = 1024";
    let Some(exchange) = Exchange::new(&["read:orders"], limits).await else {
        return;
    };
    let callers = [exchange.stand.trader.clone()];
    let start = std::time::Instant::now();
    let answers = at_once(&callers, 1_000, &json!({})).await;
    println!("1,000 cold callers in {:?}", start.elapsed());
    let ids: BTreeSet<_> = answers.iter().map(|it| it.json["id"].to_string()).collect();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(ids.len(), 1, "all have the same token");
    assert_eq!(exchange.log().await.len(), 1);
    let leaves = "select count(*) from leaves where kind = 'token'";
    assert_eq!(exchange.stand.database.count(leaves).await, 1_000);
    exchange.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_exchange_one_after_the_other() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let (second, third) = tokio::join!(
        exchange.stand.deployment.serve(&[]),
        exchange.stand.deployment.serve(&[])
    );
    let trader = &exchange.stand.trader;
    let callers = [
        trader.clone(),
        second.caller(&trader.token),
        third.caller(&trader.token),
    ];
    // So slow that two at a time would be seen.
    exchange
        .fault(&json!({ "delay_ms": 400, "times": 3 }))
        .await;
    for answer in at_once(&callers, 300, &json!({ "scope": "read:orders" })).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let log = exchange.log().await;
    assert!((1..=3).contains(&log.len()), "{log:#?}");
    let mut at: Vec<_> = log
        .iter()
        .map(|it| at_ms(it["at"].as_str().unwrap()))
        .collect();
    at.sort_unstable();
    for pair in at.windows(2) {
        assert!(
            pair[1] - pair[0] >= 400,
            "two were under way at a time: {at:?}"
        );
    }
    exchange.check().await;
}

/// Milliseconds since 1970.
fn at_ms(text: &str) -> i128 {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    time.unwrap().unix_timestamp_nanos() / 1_000_000
}

#[tokio::test]
async fn a_scope_that_is_not_permitted_is_named() {
    let Some(exchange) = Exchange::new(&["read:orders", "write:funding"], "").await else {
        return;
    };
    let denied = exchange
        .ask(&json!({ "scope": "read:orders write:funding" }))
        .await;
    refused("money", &denied, 403, "scope-denied", "scope write:funding");
    assert!(exchange.log().await.is_empty(), "nobody was asked");
    let neighbour = exchange.stand.another("n", "other", "trader").await;
    let hidden = neighbour.post(TOKENS, &json!({})).await;
    refused("another desk", &hidden, 404, "not-found", "client");
    for bad in ["", " ", "a  b", "a\"b"] {
        let answer = exchange.ask(&json!({ "scope": bad })).await;
        refused(bad, &answer, 422, "invalid-scope", "scope");
    }

    // Who names none gets what is both granted and permitted; the token with more goes nowhere.
    for _ in 0..2 {
        let all = exchange.ask(&json!({})).await;
        assert_eq!(all.status, 200, "{}", all.text);
        assert_eq!(all.json["scope"], "read:orders");
    }
    assert_eq!(exchange.log().await.len(), 2);
    let treasurer = exchange.stand.another("t", "d", "treasurer").await;
    let all = treasurer.post(TOKENS, &json!({})).await;
    assert_eq!(all.json["scope"], "write:funding", "{}", all.text);
    let onboarder = exchange.stand.another("o", "d", "onboarder").await;
    let none = onboarder.post(TOKENS, &json!({})).await;
    refused(
        "no scope is both",
        &none,
        403,
        "scope-not-granted",
        "read:orders",
    );
    exchange.check().await;
}
