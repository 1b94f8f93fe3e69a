//! What a request leaves out of its market is looked up; what it gives is compared.

use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::venue::{ClobServer, always};
use crate::support::{Answer, Caller};

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// An order that says nothing of its market.
fn bare(token: &str) -> Value {
    json!({ "tokenID": token, "side": "BUY", "price": "0.5", "size": "10" })
}

fn with(mut order: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("changes are fields")
    };
    order.as_object_mut().unwrap().extend(changes);
    order
}

/// An order that says all of its market.
fn complete(token: &str) -> Value {
    with(
        bare(token),
        json!({ "tickSize": "0.01", "negRisk": false, "version": 2 }),
    )
}

fn warned(answer: &Answer, code: &str) -> bool {
    let warnings = answer.json["warnings"].as_array().unwrap();
    warnings.iter().any(|it| it["code"] == code)
}

async fn signed(caller: &Caller, order: &Value) -> Answer {
    let answer = caller.post(ORDERS, order).await;
    assert_eq!(answer.status, 200, "{order}: {}", answer.text);
    answer
}

/// Asks anew, as one does after `order_version_mismatch`.
async fn afresh(caller: &Caller, order: &Value) -> Answer {
    let request = caller.http.post(format!("{}{ORDERS}", caller.base));
    let key = uuid::Uuid::new_v4().to_string();
    let request = request.header("idempotency-key", key).json(order);
    let request = request.header("cache-control", "no-cache");
    caller.send(request).await.unwrap()
}

#[tokio::test]
async fn what_is_left_out_is_looked_up_once() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    // 2001 has a tick of 0.001 and settles on the neg-risk exchange.
    let fine = with(bare("2001"), json!({ "price": "0.501" }));
    for _ in 0..3 {
        let answer = signed(&stand.trader, &fine).await;
        assert_eq!(answer.json["version"], 2);
        let id = answer.json["id"].as_str().unwrap();
        let found = stand.trader.get(&format!("/v1/signatures/{id}")).await;
        let contract = &found.json["record"]["domain"]["verifyingContract"];
        assert_eq!(contract, "0xe2222d279d744050d28e00520010520000310F59");
    }
    for path in ["/tick-size", "/neg-risk", "/version"] {
        assert_eq!(clob.asked(path).await, 1, "{path}");
    }
    assert_eq!(clob.asked("/fee-rate").await, 0, "version 2 has no fee");

    // Version 1 signs the market's fee: 3001 takes 1000.
    let old = with(bare("3001"), json!({ "version": 1 }));
    let answer = signed(&stand.trader, &old).await;
    assert_eq!(answer.json["order"]["feeRateBps"], "1000");
    assert_eq!(clob.asked("/fee-rate").await, 1);
}

#[tokio::test]
async fn a_request_that_contradicts_the_market_is_refused_with_both_words() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    for (order, detail) in [
        (
            with(complete("1001"), json!({ "negRisk": true })),
            "negRisk is true in the request, and false",
        ),
        (
            with(complete("2001"), json!({ "negRisk": false })),
            "negRisk is false in the request, and true",
        ),
        (
            with(complete("1001"), json!({ "tickSize": "0.001" })),
            "tickSize is 0.001 in the request, and 0.01",
        ),
        (
            with(complete("3001"), json!({ "version": 1, "feeRateBps": 0 })),
            "feeRateBps is 0 in the request, and 1000",
        ),
    ] {
        let answer = stand.trader.post(ORDERS, &order).await;
        refused(
            &order.to_string(),
            &answer,
            422,
            "venue-contradicts",
            detail,
        );
    }
    assert_eq!(stand.signed().await, (0, 0));
    signed(
        &stand.trader,
        &with(complete("1001"), json!({ "tickSize": "0.1" })),
    )
    .await;
    let answer = signed(
        &stand.trader,
        &with(complete("1001"), json!({ "version": 1, "feeRateBps": 7 })),
    )
    .await;
    assert_eq!(answer.json["order"]["feeRateBps"], "0");
    assert!(warned(&answer, "fee-rate-replaced"));

    // What is remembered is asked for again before somebody is told that they are wrong.
    let coarse = json!({ "minimum_tick_size": 0.1 });
    clob.fault(json!({ "path": "/tick-size", "status": 200, "body": coarse }))
        .await;
    assert_eq!(
        signed(&stand.trader, &bare("1002")).await.json["version"],
        2
    );
    let asked = clob.asked("/tick-size").await;
    let answer = signed(&stand.trader, &complete("1002")).await;
    assert!(!warned(&answer, "not-verified"));
    assert_eq!(clob.asked("/tick-size").await, asked + 1);
}

#[tokio::test]
async fn a_clob_that_fails_stops_only_those_who_need_it() {
    let Some(mut clob) = ClobServer::start(&[]) else {
        return;
    };
    let more = format!("{}timeout_ms = 400\nversion = 2\n", clob.section("polygon"));
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let html = "<html>Attention required</html>";
    for (what, fault, status, problem) in [
        (
            "a page",
            json!({ "status": 200, "body": html }),
            502,
            "venue-edge",
        ),
        (
            "a firewall",
            json!({ "status": 403, "body": html }),
            502,
            "venue-edge",
        ),
        (
            "a fault",
            json!({ "status": 500 }),
            503,
            "venue-unavailable",
        ),
        ("cut", json!({ "drop": true }), 503, "venue-unavailable"),
        (
            "slow",
            json!({ "delay_ms": 5000 }),
            503,
            "venue-unavailable",
        ),
        ("busy", json!({ "status": 429 }), 503, "venue-unavailable"),
        (
            "moved",
            json!({ "status": 302, "body": "", "headers": { "location": "http://127.0.0.1:1/" } }),
            502,
            "venue-edge",
        ),
        (
            "no tick",
            json!({ "status": 200, "body": {} }),
            502,
            "venue-answer",
        ),
        (
            "a new tick",
            json!({ "status": 200, "body": { "minimum_tick_size": 0.05 } }),
            502,
            "venue-answer",
        ),
        (
            "an exponent",
            json!({ "status": 200, "body": "{\"minimum_tick_size\":1e-2}" }),
            502,
            "venue-answer",
        ),
        (
            "unknown",
            json!({ "status": 404, "body": { "error": "no such market" } }),
            502,
            "venue-refused",
        ),
    ] {
        clob.fault(always("/tick-size", fault)).await;
        let answer = stand.trader.post(ORDERS, &bare("1001")).await;
        refused(what, &answer, status, problem, "tickSize");
        let answer = signed(&stand.trader, &complete("1001")).await;
        assert!(warned(&answer, "not-verified"), "{what}: {}", answer.text);
        clob.heal().await;
    }
    clob.fault(always(
        "/neg-risk",
        json!({ "status": 200, "body": { "neg_risk": "false" } }),
    ))
    .await;
    let answer = stand.trader.post(ORDERS, &bare("1002")).await;
    refused("text for a flag", &answer, 502, "venue-answer", "negRisk");
    clob.heal().await;

    clob.stop();
    let answer = stand.trader.post(ORDERS, &bare("2001")).await;
    refused(
        "down",
        &answer,
        503,
        "venue-unavailable",
        "cannot be reached",
    );
    assert!(warned(
        &signed(&stand.trader, &complete("2002")).await,
        "not-verified"
    ));
    clob.start_again();
    signed(&stand.trader, &bare("2001")).await;
    assert_eq!(clob.asked("/version").await, 0, "it is pinned");
}

#[tokio::test]
async fn nonsense_about_one_market_leaves_the_others_checked() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let more = format!("{}version = 2\n", clob.section("polygon"));
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let odd = json!({ "asset_id": "1001" }); // no levels
    let page = json!("<html>Attention required</html>");
    // 2001 settles on the neg-risk exchange.
    let wrong = with(complete("2001"), json!({ "negRisk": false }));
    for (path, status, body) in [
        ("/book", 200, &odd),
        ("/book", 200, &page),
        ("/book", 500, &odd),
        ("/book", 429, &odd),
    ] {
        clob.fault(json!({ "path": path, "status": status, "body": body }))
            .await;
        let market = json!({ "tokenID": "1001", "side": "BUY", "amount": "10" });
        let answer = stand
            .trader
            .post("/v1/wallets/d-w/market-orders", &market)
            .await;
        assert!(answer.status >= 500, "{status} {body}: {}", answer.text);
        let answer = stand.trader.post(ORDERS, &wrong).await;
        let detail = "negRisk is false in the request, and true";
        refused(&body.to_string(), &answer, 422, "venue-contradicts", detail);
    }

    // One that is only compared is named, with the call that answered so.
    let fault = json!({ "path": "/neg-risk", "status": 200, "body": { "neg_risk": "no" } });
    clob.fault(fault).await;
    let answer = signed(&stand.trader, &complete("1002")).await;
    let warnings = answer.json["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|it| it["code"] == "not-verified");
    let text = warning.unwrap()["text"].as_str().unwrap();
    assert!(
        text.starts_with("negRisk ") && text.contains("/neg-risk"),
        "{text}"
    );
    let answer = stand.trader.post(ORDERS, &wrong).await;
    refused("after it", &answer, 422, "venue-contradicts", "negRisk");
}

#[tokio::test]
async fn a_tick_in_memory_refuses_nothing_and_is_named_where_it_is_used() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let more = format!("{}tick_size_ttl_s = 3600\n", clob.section("polygon"));
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let tick = |tick: f64| json!({ "status": 200, "body": { "minimum_tick_size": tick } });
    let at = |price: &str| with(bare("1001"), json!({ "price": price, "negRisk": false }));
    signed(&stand.trader, &at("0.55")).await;

    // The venue refined it: what was off the grid is looked at again, also in a batch.
    clob.fault(always("/tick-size", tick(0.001))).await;
    let batch = json!({ "orders": [at("0.555"), at("0.999"), at("0.5555")] });
    let answer = stand
        .trader
        .post("/v1/wallets/d-w/orders/batch", &batch)
        .await;
    let orders = answer.json["orders"].as_array().unwrap();
    let statuses: Vec<_> = orders.iter().map(|it| it["status"].as_u64()).collect();
    assert_eq!(
        statuses,
        [Some(200), Some(200), Some(422)],
        "{}",
        answer.text
    );
    assert_eq!(clob.asked("/tick-size").await, 2, "once for all of them");
    let given = with(at("0.5555"), json!({ "tickSize": "0.0001" }));
    for order in [at("0.5555"), given] {
        let answer = stand.trader.post(ORDERS, &order).await;
        assert_eq!(answer.status, 422, "{order}: {}", answer.text);
    }
    assert!(clob.asked("/tick-size").await <= 4, "at most once a second");

    // It made it coarser: memory signs, and says that it was memory.
    clob.heal().await;
    clob.fault(always("/tick-size", tick(0.1))).await;
    let remembered = loop {
        let answer = signed(&stand.trader, &at("0.555")).await;
        if warned(&answer, "remembered") {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let text = remembered.json["warnings"].to_string();
    assert!(text.contains("tickSize 0.001 ("), "{text}");
    let answer = afresh(&stand.trader, &at("0.555")).await;
    refused("afresh", &answer, 422, "order-refused", "tickSize 0.1");
    assert!(!warned(
        &signed(&stand.trader, &at("0.5")).await,
        "remembered"
    ));
}

#[tokio::test]
async fn a_change_of_the_order_version_is_followed_without_a_restart() {
    let Some(mut clob) = ClobServer::start(&[]) else {
        return;
    };
    let more = format!("{}version_ttl_s = 3600\n", clob.section("polygon"));
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let auto = with(
        bare("3001"),
        json!({ "tickSize": "0.01", "negRisk": false }),
    );
    assert_eq!(signed(&stand.trader, &auto).await.json["version"], 2);
    clob.configure(json!({ "order_version": "1" })).await;
    assert_eq!(
        signed(&stand.trader, &auto).await.json["version"],
        2,
        "as remembered"
    );
    let answer = afresh(&stand.trader, &auto).await;
    assert_eq!((answer.status, &answer.json["version"]), (200, &json!(1)));
    assert_eq!(answer.json["order"]["feeRateBps"], "1000");
    assert_eq!(signed(&stand.trader, &auto).await.json["version"], 1);

    for unknown in [7, 3] {
        clob.fault(json!({ "path": "/version", "status": 200, "body": { "version": unknown } }))
            .await;
        let answer = afresh(&stand.trader, &auto).await;
        let detail = format!("version {unknown}");
        refused("unknown", &answer, 502, "venue-version", &detail);
        signed(&stand.trader, &with(auto.clone(), json!({ "version": 2 }))).await;
        assert_eq!(afresh(&stand.trader, &auto).await.json["version"], 1);
    }

    // While it is away, what it took last; the fee is said.
    clob.stop();
    let auto = with(auto, json!({ "feeRateBps": 1000 }));
    let answer = afresh(&stand.trader, &auto).await;
    assert_eq!(
        (answer.status, &answer.json["version"]),
        (200, &json!(1)),
        "{}",
        answer.text
    );
    assert!(warned(&answer, "version-not-verified") && warned(&answer, "not-verified"));
}

#[tokio::test]
async fn a_short_memory_follows_the_version_by_itself() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let more = format!("{}version_ttl_s = 0\n", clob.section("polygon"));
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    for version in [2, 1, 2] {
        clob.configure(json!({ "order_version": version.to_string() }))
            .await;
        assert_eq!(
            signed(&stand.trader, &bare("1001")).await.json["version"],
            version
        );
    }
}

#[tokio::test]
async fn a_thousand_who_look_up_at_once_ask_once() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let slow = ["/version", "/tick-size", "/neg-risk"];
    let slow = slow.map(|path| always(path, json!({ "delay_ms": 500 })));
    clob.fault(json!(slow)).await;
    let orders = json!({ "orders": vec![bare("1001"); 100] });
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (trader, orders) = (stand.trader.clone(), orders.clone());
        asking.spawn(async move { trader.post("/v1/wallets/d-w/orders/batch", &orders).await });
    }
    while let Some(answer) = asking.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        // Signed or still on its way, but never without its market.
        for outcome in answer.json["orders"].as_array().unwrap() {
            let status = &outcome["status"];
            let late = outcome["problem"]["type"] == "/problems/deadline-exceeded";
            assert!(*status == 200 || late || *status == 503, "{outcome}");
        }
    }
    for path in ["/version", "/tick-size", "/neg-risk"] {
        assert_eq!(clob.asked(path).await, 1, "{path}");
    }
}

#[tokio::test]
async fn nobody_looks_up_who_may_not_sign() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let answer = auditor.post(ORDERS, &bare("1001")).await;
    refused("an auditor", &answer, 403, "denied", "sign_order");
    let answer = stand.operator.post(ORDERS, &bare("1001")).await;
    assert!([403, 404].contains(&answer.status), "{}", answer.text);
    assert!(clob.requests().await.is_empty());
}
