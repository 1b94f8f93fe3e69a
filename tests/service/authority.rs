//! What decides has versions: what was decided before the last one that tightens is decided again, by every
//! replica, and nobody notices who is still permitted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use crate::stand::{Stand, refused};
use crate::support::{count, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// A version that tightens and says nothing of anybody.
const TIGHTEN: &str = "with head as (
        update authority_head set version = version + 1, tightened = version + 1 returning version)
    insert into authority (version, kind, id, tightens, decided_by)
    select version, 'limit', gen_random_uuid(), true, gen_random_uuid() from head";

#[tokio::test]
async fn what_was_tightened_a_moment_ago_elsewhere_stops_nobody_who_is_still_permitted() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let (database, trader) = (&stand.database, &stand.trader);
    let first = trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);

    database.run(TIGHTEN).await;
    let again = trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!((again.status, &again.text), (200, &first.text));
    database.run(TIGHTEN).await;
    let other = trader.post_as("l", ORDERS, &order()).await.unwrap();
    assert_eq!(other.status, 200, "{}", other.text);
    database.run(TIGHTEN).await;
    let batch = json!({ "orders": [order(), order(), order()] });
    let path = "/v1/wallets/d-w/orders/batch";
    let signed = trader.post_as("b", path, &batch).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    for one in signed.json["orders"].as_array().unwrap() {
        assert_eq!(one["status"], 200, "{one}");
    }
    database.run(TIGHTEN).await;
    let replayed = trader.post_as("b", path, &batch).await.unwrap();
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    let orders = |answer: &serde_json::Value| -> Vec<_> {
        let all = answer["orders"].as_array().unwrap();
        all.iter().map(|it| it["order"].clone()).collect()
    };
    assert_eq!(orders(&replayed.json), orders(&signed.json));
    database.run(TIGHTEN).await;
    let assertion = trader.post("/v1/clients/d-c/assertions", &json!({})).await;
    assert_eq!(assertion.status, 200, "{}", assertion.text);
    database.run(TIGHTEN).await;
    let found = trader.get("/v1/signatures?idempotency_key=k").await;
    assert_eq!(found.json[0]["answer"], first.json, "{}", found.text);

    // Administrative requests are sent again by whoever made them. The replica looks each second by itself,
    // and may have been faster.
    let (path, new) = ("/v1/callers/d-trader/tokens", json!({ "token_days": 1 }));
    let mut was_overtaken = false;
    for key in ["t", "u", "v"] {
        database.run(TIGHTEN).await;
        let changed = stand.operator.post_as(key, path, &new).await.unwrap();
        if changed.status != 201 {
            was_overtaken = true;
            refused("token", &changed, 503, "authority-changed", "changed");
            let made = stand.operator.post_as(key, path, &new).await.unwrap();
            assert_eq!(made.status, 201, "{}", made.text);
        }
    }
    assert!(was_overtaken);
    stand.still_signs().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_permitted_signs_while_others_are_tightened_on_all_replicas() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let traders = [stand.trader.clone(), second.caller(&stand.trader.token)];
    let over = Arc::new(AtomicBool::new(false));
    let mut loops = JoinSet::new();
    for n in 0..8 {
        let (trader, over) = (traders[n % 2].clone(), over.clone());
        loops.spawn(async move {
            let mut signed = 0;
            while !over.load(Ordering::SeqCst) {
                let answer = trader.post(ORDERS, &order()).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                signed += 1;
            }
            signed
        });
    }
    for _ in 0..count(40, 1_000) {
        stand.database.run(TIGHTEN).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    over.store(true, Ordering::SeqCst);
    let signed: i64 = loops.join_all().await.into_iter().sum();
    let (intents, released) = stand.signed().await;
    assert_eq!((intents, released), (signed, signed));
    assert!(signed > 0);
}

#[tokio::test]
async fn where_versions_went_back_or_are_missing_nothing_is_signed() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    for _ in 0..2 {
        stand.database.run(TIGHTEN).await;
    }
    stand.still_signs().await;
    for (falsified, put_right) in [
        (
            "update authority_head set version = 1, tightened = 1",
            "update authority_head set version = 2, tightened = 2",
        ),
        (
            "update authority_head set version = 3, tightened = 3",
            "update authority_head set version = 2, tightened = 2",
        ),
        (
            "delete from authority_head",
            "insert into authority_head (version, tightened) values (2, 2)",
        ),
    ] {
        stand.database.falsify("authority_head", falsified).await;
        let before = stand.signed().await;
        let answer = stand.trader.post(ORDERS, &order()).await;
        refused(falsified, &answer, 500, "internal", "ledger");
        assert_eq!(stand.signed().await, before, "{falsified}");
        stand.database.falsify("authority_head", put_right).await;
        stand.still_signs().await;
    }
}
