//! What decides has versions that prove themselves: what was decided before the last one that tightens is
//! decided again, by every replica, and what somebody wrote into the database is seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::doctor::doctor;
use crate::stand::{Stand, refused};
use crate::support::{Caller, count, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// Something is tightened that is about nobody here. Which halt it is.
async fn tighten(by: &Caller) -> String {
    let halt = json!({ "on": "market", "tokens": ["7"], "reason": "test" });
    let set = by.post("/v1/halts", &halt).await;
    assert_eq!(set.status, 201, "{}", set.text);
    set.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_was_tightened_a_moment_ago_elsewhere_stops_nobody_who_is_still_permitted() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let elsewhere = second.caller(&stand.operator.token);
    let trader = &stand.trader;
    let first = trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);

    tighten(&elsewhere).await;
    let again = trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!((again.status, &again.text), (200, &first.text));
    tighten(&elsewhere).await;
    let other = trader.post_as("l", ORDERS, &order()).await.unwrap();
    assert_eq!(other.status, 200, "{}", other.text);
    tighten(&elsewhere).await;
    let batch = json!({ "orders": [order(), order(), order()] });
    let path = "/v1/wallets/d-w/orders/batch";
    let signed = trader.post_as("b", path, &batch).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    for one in signed.json["orders"].as_array().unwrap() {
        assert_eq!(one["status"], 200, "{one}");
    }
    tighten(&elsewhere).await;
    let replayed = trader.post_as("b", path, &batch).await.unwrap();
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    let orders = |answer: &serde_json::Value| -> Vec<_> {
        let all = answer["orders"].as_array().unwrap();
        all.iter().map(|it| it["order"].clone()).collect()
    };
    assert_eq!(orders(&replayed.json), orders(&signed.json));
    tighten(&elsewhere).await;
    let assertion = trader.post("/v1/clients/d-c/assertions", &json!({})).await;
    assert_eq!(assertion.status, 200, "{}", assertion.text);
    tighten(&elsewhere).await;
    let found = trader.get("/v1/signatures?idempotency_key=k").await;
    assert_eq!(found.json[0]["answer"], first.json, "{}", found.text);

    // Administrative requests, too. The replica looks each second by itself, and may have been faster.
    let (path, new) = ("/v1/callers/d-trader/tokens", json!({ "token_days": 1 }));
    for key in ["t", "u", "v"] {
        tighten(&elsewhere).await;
        let made = stand.operator.post_as(key, path, &new).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
    }
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
    for _ in 0..count(20, 500) {
        tighten(&stand.operator).await;
        // Faster than people are: whoever is overtaken again and again is told so in the end.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    over.store(true, Ordering::SeqCst);
    let signed: i64 = loops.join_all().await.into_iter().sum();
    assert_eq!(stand.signed().await, (signed, signed));
    assert!(signed > 0);
}

/// What somebody with the database's owner's rights does to rows, and in which table.
const FALSIFICATIONS: [(&str, &str); 12] = [
    (
        "authority_head",
        "update authority_head set version = 1, tightened = 1",
    ),
    (
        "authority_head",
        "update authority_head set version = version + 1",
    ),
    ("authority_head", "update authority_head set tightened = 1"),
    (
        "authority_head",
        "update authority_head set link = sha256('x')",
    ),
    ("authority_head", "update authority_head set seal = null"),
    ("authority_head", "delete from authority_head"),
    (
        "authority",
        "delete from authority where version in (select min(version) from authority where kind = 'halt')",
    ),
    (
        "authority",
        "update authority set body = null where version in (select min(version) from authority where kind = 'halt')",
    ),
    (
        "authority",
        "update authority set tightens = false where version in (select min(version) from authority where kind = 'halt')",
    ),
    (
        "authority",
        "update authority set decided_at = decided_at - interval '1 day' where version = 1",
    ),
    (
        "authority",
        "update authority set id = gen_random_uuid() where version = 1",
    ),
    (
        "authority",
        "update authority set decided_by = gen_random_uuid() where version = 1",
    ),
];

#[tokio::test]
async fn whatever_of_what_decides_is_changed_added_or_deleted_in_the_database_is_seen() {
    let Some(mut stand) = Stand::durable("").await else {
        return;
    };
    let halt = json!({ "on": "client", "name": "d-c", "reason": "test" });
    let set = stand.operator.post("/v1/halts", &halt).await;
    assert_eq!(set.status, 201, "{}", set.text);
    tighten(&stand.operator).await;
    stand.still_signs().await;
    let is_sound = |stand: &Stand| {
        let (_, report) = doctor(&stand.deployment, &[]);
        let checks = report["checks"].as_array().unwrap().clone();
        let check = checks.iter().find(|it| it["what"] == "authority").unwrap();
        let detail = check["detail"].as_str().unwrap();
        let is_sound = check["verdict"] == "ok";
        assert!(
            is_sound || detail.contains("is not as this service wrote it"),
            "{check}"
        );
        is_sound
    };
    assert!(is_sound(&stand));
    for (table, falsified) in FALSIFICATIONS {
        let keep = format!("create table kept as table {table}");
        stand.database.run(&keep).await;
        stand.database.falsify(table, falsified).await;
        assert!(!is_sound(&stand), "{falsified}");
        let before = stand.signed().await;
        let answer = stand.trader.post(ORDERS, &order()).await;
        if table == "authority_head" && !falsified.contains("link") && !falsified.contains("seal") {
            // The gate reads it: nothing leaves.
            refused(falsified, &answer, 500, "falsified", "wrote");
            let after = stand.signed().await;
            assert!(
                before.1 == after.1 || falsified.contains("tightened"),
                "{falsified}"
            );
        }
        // What was loaded before goes on to hold.
        let halted = stand
            .trader
            .post("/v1/clients/d-c/assertions", &json!({}))
            .await;
        assert!(
            [403, 500].contains(&halted.status),
            "{falsified}: {}",
            halted.text
        );
        let back =
            format!("delete from {table}; insert into {table} select * from kept; drop table kept");
        stand.database.falsify(table, &back).await;
        assert!(is_sound(&stand), "{falsified}");
        stand.still_signs().await;
    }
    // A row of one's own, linked as it should be: it has no seal.
    let forged = "insert into authority (version, kind, id, body, tightens, decided_by, link)
                  select version + 1, 'halt', gen_random_uuid(), null, false, gen_random_uuid(), sha256('x') from authority_head;
                  update authority_head set version = version + 1, link = sha256('x')";
    stand.database.run(forged).await;
    assert!(!is_sound(&stand));
    let answer = stand.trader.post(ORDERS, &order()).await;
    refused("forged", &answer, 500, "falsified", "wrote");
}

#[tokio::test]
async fn an_answer_that_was_changed_in_the_database_is_not_told_again() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let first = stand.trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    let found = format!("/v1/signatures/{}", first.json["id"].as_str().unwrap());
    let other = first.text.replace("\"side\":\"BUY\"", "\"side\":\"SELL\"");
    assert_ne!(other, first.text);
    let changed = format!("update ends set answer = convert_to('{other}', 'UTF8')");
    stand.database.falsify("ends", &changed).await;
    let again = stand.trader.post_as("k", ORDERS, &order()).await.unwrap();
    refused("replay", &again, 500, "falsified", "wrote");
    refused(
        "look-up",
        &stand.trader.get(&found).await,
        500,
        "falsified",
        "wrote",
    );
    stand.still_signs().await;
}
