//! Many orders in one request: one record for all, and an answer for each.

use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::order;

const BATCH: &str = "/v1/wallets/d-w/orders/batch";

fn batch(orders: &[Value]) -> Value {
    json!({ "orders": orders })
}

fn market() -> Value {
    json!({
        "tokenID": "1001", "side": "SELL", "amount": "100", "price": "0.5", "tickSize": "0.01",
        "negRisk": false, "orderType": "FAK",
    })
}

/// `size` hundredths of a share: orders that differ.
fn of_size(hundredths: usize) -> Value {
    with(
        "size",
        json!(format!("{}.{:02}", hundredths / 100, hundredths % 100)),
    )
}

fn statuses(answer: &Value) -> Vec<u64> {
    let outcomes = answer["orders"].as_array().unwrap();
    outcomes
        .iter()
        .map(|it| it["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_bad_order_takes_none_with_it_and_each_has_its_answer() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let mut neither = order();
    neither.as_object_mut().unwrap().remove("size");
    let mut both = market();
    both["size"] = json!("1");
    let orders = [
        order(),
        with("price", json!("0.565")),
        market(),
        neither,
        both,
        json!(["an", "array"]),
        with("price", json!(0.5)),
        with("tickSize", Value::Null),
        of_size(500),
    ];
    let first = stand
        .trader
        .post_as("k", BATCH, &batch(&orders))
        .await
        .unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(
        statuses(&first.json),
        [200, 422, 200, 422, 422, 400, 422, 422, 200]
    );
    assert!(!first.headers.contains_key("idempotency-replayed"));
    for (at, problem, detail) in [
        (1, "order-refused", "0.56 or 0.57"),
        (3, "invalid-field", "one of the two"),
        (4, "invalid-field", "one of the two"),
        (5, "malformed-body", "object"),
        (6, "invalid-field", "price"),
        (7, "venue-not-configured", "tickSize"),
    ] {
        let said = &first.json["orders"][at]["problem"];
        assert_eq!(said["type"], format!("/problems/{problem}"), "{at}");
        assert!(said["detail"].as_str().unwrap().contains(detail), "{said}");
        assert!(first.json["orders"][at].get("order").is_none());
    }
    let sold = &first.json["orders"][2]["order"];
    assert_eq!(sold["order"]["side"], "SELL");
    assert_eq!(sold["order"]["takerAmount"], "50000000");
    assert_eq!(stand.signed().await, (3, 3));
    let commits = "select count(distinct (run, batch)) from leaves where kind = 'intent'";
    assert_eq!(stand.database.count(commits).await, 1, "one durable step");

    // The same again brings the same, and signs nothing.
    let again = stand
        .trader
        .post_as("k", BATCH, &batch(&orders))
        .await
        .unwrap();
    assert_eq!(statuses(&again.json), statuses(&first.json));
    for at in [0, 2, 8] {
        let (first, again) = (&first.json["orders"][at], &again.json["orders"][at]);
        assert_eq!(again["order"], first["order"]);
        assert_eq!(
            (&first["replayed"], &again["replayed"]),
            (&json!(false), &json!(true))
        );
    }
    assert_eq!(stand.signed().await, (3, 3));

    // The parts are found by the key of the whole.
    let found = stand.trader.get("/v1/signatures?idempotency_key=k").await;
    assert_eq!(found.json.as_array().unwrap().len(), 3, "{}", found.text);
    stand.still_signs().await;
}

#[tokio::test]
async fn one_key_stands_for_one_batch_and_nothing_else() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let two = batch(&[of_size(500), of_size(501)]);
    let three = batch(&[of_size(500), of_size(501), of_size(502)]);
    let trader = &stand.trader;
    let signed = trader.post_as("a", BATCH, &two).await.unwrap();
    assert_eq!(statuses(&signed.json), [200, 200]);
    let all = trader.post_as("a", BATCH, &two).await.unwrap();
    assert_eq!(all.headers["idempotency-replayed"], "true");

    for (what, key, path, body) in [
        ("a longer batch", "a", BATCH, &three),
        ("a shorter batch", "a", BATCH, &batch(&[of_size(500)])),
        ("one order", "a", "/v1/wallets/d-w/orders", &order()),
    ] {
        let answer = trader.post_as(key, path, body).await.unwrap();
        refused(
            what,
            &answer,
            409,
            "idempotency-key-reused",
            "another request",
        );
    }
    assert_eq!(
        stand.signed().await,
        (2, 2),
        "nothing of a refused batch is signed"
    );

    let single = trader
        .post_as("b", "/v1/wallets/d-w/orders", &order())
        .await
        .unwrap();
    assert_eq!(single.status, 200);
    let answer = trader.post_as("b", BATCH, &two).await.unwrap();
    refused(
        "a batch under an order's key",
        &answer,
        409,
        "idempotency-key-reused",
        "another",
    );
    assert_eq!(stand.signed().await, (3, 3));

    // Two that come at the same time: one of them has the key.
    let (one, other) = tokio::join!(
        trader.post_as("c", BATCH, &two),
        trader.post_as("c", BATCH, &three)
    );
    let mut came: Vec<u16> = [one, other].map(|it| it.unwrap().status).into();
    came.sort_unstable();
    assert_eq!(came, [200, 409]);

    // An item's own key cannot be sent.
    let answer = trader
        .post_as("a 0", "/v1/wallets/d-w/orders", &order())
        .await
        .unwrap();
    refused(
        "a key below",
        &answer,
        400,
        "malformed-header",
        "Idempotency-Key",
    );
}

#[tokio::test]
async fn a_hundred_orders_fit_and_one_more_does_not() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let large = |number: usize| {
        let mut order = of_size(500 + number);
        let word = format!("0x{}", "ab".repeat(32));
        order["metadata"] = json!(word);
        order["builderCode"] = json!(word);
        order["owner"] = json!("6f1d1f3a-0000-4000-8000-000000000001");
        order
    };
    let hundred: Vec<Value> = (0..100).map(large).collect();
    let body = serde_json::to_string_pretty(&batch(&hundred)).unwrap();
    let body = body.replace('\n', &format!("\n{}", " ".repeat(64)));
    assert!(body.len() > 65_536, "more than other operations take");
    let request = stand
        .trader
        .http
        .post(format!("{}{BATCH}", stand.server.base));
    let request = request
        .header("idempotency-key", "hundred")
        .header("content-type", "application/json")
        .body(body);
    let answer = stand.trader.send(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(statuses(&answer.json), [200; 100]);
    for (at, outcome) in answer.json["orders"].as_array().unwrap().iter().enumerate() {
        let shares = (5_000_000 + at * 10_000).to_string();
        assert_eq!(
            outcome["order"]["order"]["takerAmount"], shares,
            "in their order"
        );
    }
    let commits = "select count(distinct (run, batch)) from leaves where kind = 'intent'";
    assert_eq!(stand.database.count(commits).await, 1, "one durable step");

    let more: Vec<Value> = (0..101).map(large).collect();
    for (what, body) in [("101", batch(&more)), ("none", batch(&[]))] {
        let answer = stand.trader.post(BATCH, &body).await;
        refused(what, &answer, 422, "invalid-field", "1 to 100");
    }
    let long = "k".repeat(253);
    let answer = stand
        .trader
        .post_as(&long, BATCH, &batch(&hundred))
        .await
        .unwrap();
    refused("a long key", &answer, 400, "malformed-header", "252");
    let huge = json!({ "orders": [order()], "x": "y".repeat(600_000) });
    let answer = stand.trader.post(BATCH, &huge).await;
    refused("huge", &answer, 413, "body-too-large", "8 times");
    assert_eq!(stand.signed().await, (100, 100));
    stand.still_signs().await;
}

#[tokio::test]
async fn what_is_not_done_in_time_is_said_for_each_and_found_later() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let orders: Vec<Value> = (0..20).map(|at| of_size(500 + at)).collect();
    let request = stand
        .trader
        .http
        .post(format!("{}{BATCH}", stand.server.base));
    let request = request
        .header("idempotency-key", "slow")
        .header("chancery-deadline-ms", "1")
        .json(&batch(&orders));
    let hurried = stand.trader.send(request).await.unwrap();
    assert_eq!(hurried.status, 200, "{}", hurried.text);
    for outcome in hurried.json["orders"].as_array().unwrap() {
        let problem = &outcome["problem"]["type"];
        let known = ["/problems/deadline-exceeded", "/problems/busy"];
        let unfinished = known.iter().any(|it| problem == it);
        assert!(outcome["status"] == 200 || unfinished, "{outcome}");
    }
    // The work goes on; whoever repeats the batch gets all of it, each order once.
    let mut waits = 0;
    let done = loop {
        let answer = stand
            .trader
            .post_as("slow", BATCH, &batch(&orders))
            .await
            .unwrap();
        if statuses(&answer.json).iter().all(|status| *status == 200) {
            break answer;
        }
        waits += 1;
        assert!(waits < 1000, "{}", answer.text);
    };
    assert_eq!(done.json["orders"].as_array().unwrap().len(), 20);
    assert_eq!(stand.signed().await, (20, 20));
}

#[tokio::test]
async fn a_batch_that_may_not_be_signed_leaves_its_key_free() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let answer = auditor.post(BATCH, &batch(&[order()])).await;
    refused("an auditor", &answer, 403, "denied", "sign_order");

    let step = |to: &str| json!({ "to": to, "reason": "test" });
    let moved = stand
        .operator
        .post("/v1/keys/d-wk/steps", &step("suspended"))
        .await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let answer = stand
        .trader
        .post_as("k", BATCH, &batch(&[order(), market()]))
        .await
        .unwrap();
    assert_eq!(statuses(&answer.json), [409, 409]);
    let problem = &answer.json["orders"][0]["problem"]["type"];
    assert_eq!(problem, "/problems/key-not-active");
    assert_eq!(stand.signed().await, (0, 0));

    let moved = stand
        .operator
        .post("/v1/keys/d-wk/steps", &step("active"))
        .await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let answer = stand
        .trader
        .post_as("k", BATCH, &batch(&[market()]))
        .await
        .unwrap();
    assert_eq!(
        statuses(&answer.json),
        [200],
        "another batch under the same key"
    );
}
