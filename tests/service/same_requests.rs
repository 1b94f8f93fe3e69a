//! A client that lost its keys asks for the same order as if it were a new one.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::limited::set;
use crate::stand::{Stand, refused, with};
use crate::support::{Answer, Caller, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";
const MARKET: &str = "/v1/wallets/d-w/market-orders";
const BATCH: &str = "/v1/wallets/d-w/orders/batch";

async fn ask(by: &Caller, key: &str, path: &str, body: &Value) -> Answer {
    by.post_as(key, path, body).await.unwrap()
}

#[track_caller]
fn is_same(answer: &Answer, first: &Answer, key: &str) {
    refused(key, answer, 409, "same-request", key);
    assert_eq!(answer.json["same"]["idempotencyKey"], key);
    assert_eq!(answer.json["same"]["id"], first.json["id"]);
}

#[tokio::test]
async fn the_same_request_under_another_key_is_answered_with_the_first_ones() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let apart = json!({ "repeat_after_s": 60 });
    set(&stand, "wallet/d-w", apart).await;
    let (trader, plain) = (&stand.trader, order());
    let first = ask(trader, "one", ORDERS, &plain).await;
    assert_eq!(first.status, 200, "{}", first.text);
    is_same(&ask(trader, "two", ORDERS, &plain).await, &first, "one");
    // Nothing is left of it: not its key either, which may come to stand for something else.
    let other = ask(trader, "two", ORDERS, &with("size", json!("5"))).await;
    assert_eq!(other.status, 200, "{}", other.text);
    assert_eq!(stand.signed().await, (2, 2));
    let again = ask(trader, "one", ORDERS, &plain).await;
    assert_eq!((again.status, &again.text), (200, &first.text));

    // Who means a second one says so, as often as wanted.
    for key in ["three", "four"] {
        let meant = ask(trader, key, ORDERS, &with("again", json!(true))).await;
        assert_eq!(meant.status, 200, "{}", meant.text);
    }
    is_same(&ask(trader, "five", ORDERS, &plain).await, &first, "one");
    // Somebody else's is theirs.
    let another = stand.another("second", "d", "trader").await;
    let theirs = ask(&another, "one", ORDERS, &plain).await;
    assert_eq!(theirs.status, 200, "{}", theirs.text);
    is_same(&ask(&another, "two", ORDERS, &plain).await, &theirs, "one");

    // After a while it is a new one.
    let database = &stand.database;
    database
        .run("update recent_requests set until = now() - interval '1 s'")
        .await;
    let later = ask(trader, "six", ORDERS, &plain).await;
    assert_eq!(later.status, 200, "{}", later.text);
    is_same(&ask(trader, "seven", ORDERS, &plain).await, &later, "six");
    // Without the limit nothing is kept apart.
    let gone = stand.operator.delete("/v1/limits/wallet/d-w").await;
    assert_eq!(gone.status, 201, "{}", gone.text);
    let free = ask(trader, "eight", ORDERS, &plain).await;
    assert_eq!(free.status, 200, "{}", free.text);
}

#[tokio::test]
async fn market_orders_and_batches_are_requests_too() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let apart = json!({ "repeat_after_s": 3600 });
    set(&stand, "caller/d-trader", apart).await;
    let trader = &stand.trader;
    let market = json!({
        "tokenID": "1001", "side": "SELL", "amount": "100", "price": "0.5", "tickSize": "0.01",
        "negRisk": false,
    });
    let first = ask(trader, "m", MARKET, &market).await;
    assert_eq!(first.status, 200, "{}", first.text);
    is_same(&ask(trader, "n", MARKET, &market).await, &first, "m");

    // Twice within a batch is what a batch asks for; the batch again is not.
    let batch = json!({ "orders": [order(), order(), with("size", json!("7"))] });
    let first = ask(trader, "b", BATCH, &batch).await;
    let again = ask(trader, "c", BATCH, &batch).await;
    for (at, item) in again.json["orders"].as_array().unwrap().iter().enumerate() {
        assert_eq!(first.json["orders"][at]["status"], 200, "{}", first.text);
        assert_eq!(item["problem"]["type"], "/problems/same-request");
        let order = &first.json["orders"][at]["order"];
        assert_eq!(item["problem"]["same"]["id"], order["id"]);
    }
    let replayed = ask(trader, "b", BATCH, &batch).await;
    assert_eq!(replayed.headers["idempotency-replayed"], "true");
}

#[tokio::test]
async fn of_the_same_at_once_on_two_replicas_one_is_signed() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let apart = json!({ "repeat_after_s": 60 });
    set(&stand, "global/all", apart).await;
    let second = stand.deployment.serve(&[]).await;
    let elsewhere = second.caller(&stand.trader.token);
    let mut asking = JoinSet::new();
    for n in 0..24 {
        let by = if n % 2 == 0 {
            stand.trader.clone()
        } else {
            elsewhere.clone()
        };
        asking.spawn(async move {
            let key = format!("k{n}");
            let answer = ask(&by, &key, ORDERS, &order()).await;
            (key, answer)
        });
    }
    let (mut won, mut told) = (Vec::new(), Vec::new());
    for (key, answer) in asking.join_all().await {
        if answer.status == 200 {
            won.push(key);
        } else {
            refused(&key, &answer, 409, "same-request", "a moment ago");
            told.push(answer.json["same"]["idempotencyKey"].clone());
        }
    }
    assert_eq!((won.len(), told.len()), (1, 23));
    assert!(told.iter().all(|it| *it == won[0]), "{won:?} {told:?}");
    assert_eq!(stand.signed().await, (1, 1));
}

#[tokio::test]
async fn what_was_not_signed_is_no_first_one() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    // A limit that counts refuses in the same call in which requests are kept apart.
    let little = json!({ "repeat_after_s": 60, "notional_1h": "1" });
    set(&stand, "wallet/d-w", little).await;
    let plain = order();
    let full = ask(&stand.trader, "one", ORDERS, &plain).await;
    refused("full", &full, 403, "limit-exceeded", "notional_1h");
    let room = json!({ "repeat_after_s": 60, "notional_1h": "100000000" });
    set(&stand, "wallet/d-w", room).await;
    let signed = ask(&stand.trader, "two", ORDERS, &plain).await;
    assert_eq!(signed.status, 200, "{}", signed.text);

    // An intent that was given up is none either.
    let given_up = "update recent_requests set intent_id =
                        (select intent_id from ends where outcome = 'abandoned' limit 1)";
    let taken_over = "with lost as (
            insert into intents (id, caller_id, subject_id, key_id, key_epoch, batch, lease_until, created_at,
                                 run, operation, errand, digest)
            select gen_random_uuid(), caller_id, subject_id, key_id, key_epoch, batch, lease_until, created_at,
                   run, operation, errand, digest from intents limit 1
            returning id, batch, run)
        insert into ends (intent_id, ended_at, batch, run, attempt, outcome, reason, answer_is_sealed)
        select id, now(), batch, run, 1, 'abandoned', 'lease-ran-out', false from lost";
    stand.database.run(taken_over).await;
    stand.database.run(given_up).await;
    let signed = ask(&stand.trader, "three", ORDERS, &plain).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}
