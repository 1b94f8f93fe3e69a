//! One person halts, and from then on nothing more leaves that the halt is on.

use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::{Caller, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";
const BATCH: &str = "/v1/wallets/d-w/orders/batch";
const ASSERTIONS: &str = "/v1/clients/d-c/assertions";

async fn set(by: &Caller, halt: &Value) -> String {
    let set = by.post("/v1/halts", halt).await;
    assert_eq!(set.status, 201, "{}", set.text);
    set.json["id"].as_str().unwrap().to_owned()
}

async fn lift(by: &Caller, id: &str) {
    let path = format!("/v1/halts/{id}/lift");
    let lifted = by.post(&path, &json!({ "reason": "over" })).await;
    assert_eq!(lifted.status, 201, "{}", lifted.text);
}

#[tokio::test]
async fn a_halt_stops_what_it_is_on_and_nothing_else_on_every_replica_until_it_is_lifted() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let second = stand.deployment.serve(&[]).await;
    let trader = stand.trader.clone();
    let elsewhere = second.caller(&trader.token);
    let first = trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    let found = format!("/v1/signatures/{}", first.json["id"].as_str().unwrap());

    // What each stops: orders, assertions.
    for (halt, orders, assertions) in [
        (json!({ "on": "everything" }), true, true),
        (json!({ "on": "caller", "name": "d-trader" }), true, true),
        (json!({ "on": "wallet", "name": "d-w" }), true, false),
        (json!({ "on": "key", "name": "d-wk" }), true, false),
        (json!({ "on": "client", "name": "d-c" }), false, true),
        (
            json!({ "on": "market", "tokens": [order()["tokenID"]] }),
            true,
            false,
        ),
        (
            json!({ "on": "market", "tokens": ["1002", "7"] }),
            false,
            false,
        ),
    ] {
        let mut new = halt.clone();
        new["reason"] = "a stolen laptop".into();
        let before = stand.signed().await;
        let id = set(&stand.operator, &new).await;
        for caller in [&elsewhere, &trader] {
            let what = halt.to_string();
            let fresh = caller.post(ORDERS, &order()).await;
            let replayed = caller.post_as("k", ORDERS, &order()).await.unwrap();
            let batch = json!({ "orders": [order()] });
            let batch = caller.post(BATCH, &batch).await;
            let looked_up = caller.get(&found).await;
            if orders {
                refused(&what, &fresh, 403, "halted", "a stolen laptop");
                refused(&what, &fresh, 403, "halted", &id);
                refused(&what, &replayed, 403, "halted", &id);
                if batch.status == 200 {
                    let problem = &batch.json["orders"][0]["problem"]["type"];
                    assert_eq!(problem, "/problems/halted", "{}", batch.text);
                } else {
                    refused(&what, &batch, 403, "halted", &id);
                }
                assert_eq!(looked_up.json["withheld"], "halted", "{}", looked_up.text);
                assert!(looked_up.json.get("answer").is_none_or(Value::is_null));
            } else {
                assert_eq!(fresh.status, 200, "{what}: {}", fresh.text);
                assert_eq!((replayed.status, &replayed.text), (200, &first.text));
                assert_eq!(looked_up.json["answer"], first.json);
            }
            let assertion = caller.post(ASSERTIONS, &json!({})).await;
            if assertions {
                refused(&what, &assertion, 403, "halted", &id);
            } else {
                assert_eq!(assertion.status, 200, "{what}: {}", assertion.text);
            }
        }
        if orders && assertions {
            assert_eq!(stand.signed().await, before, "{halt}");
        }
        let listed = stand.operator.get("/v1/halts").await;
        assert_eq!(listed.json[0]["id"], *id, "{}", listed.text);
        assert_eq!(listed.json[0]["reason"], "a stolen laptop");
        lift(&stand.operator, &id).await;
        // What loosens is seen within a second elsewhere.
        while elsewhere.post(ORDERS, &order()).await.status != 200
            || elsewhere.post(ASSERTIONS, &json!({})).await.status != 200
        {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let listed = stand.operator.get("/v1/halts").await;
        assert_eq!(listed.json, json!([]));
        stand.still_signs().await;
        let path = format!("/v1/halts/{id}/lift");
        let again = stand.operator.post(&path, &json!({ "reason": "x" })).await;
        refused("lifted", &again, 404, "not-found", "halt");
    }
    let on_record = "select count(*) from leaves where kind = 'admin'
                     and position('set-halt'::bytea in leaf) > 0";
    assert_eq!(stand.database.count(on_record).await, 7);
}

#[tokio::test]
async fn one_person_halts_and_only_whoever_may_lifts_it() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let new = json!({ "on": "wallet", "name": "d-w", "reason": "to see" });
    let denied = stand.trader.post("/v1/halts", &new).await;
    refused("a trader", &denied, 403, "denied", "halt");
    let key_operator = stand.another("ko", "ops", "key-operator").await;
    let auditor = stand.another("au", "audit", "auditor").await;
    let id = set(&key_operator, &new).await;
    let listed = auditor.get("/v1/halts").await;
    assert_eq!(listed.json[0]["set_by_name"], "ko", "{}", listed.text);
    let path = format!("/v1/halts/{id}/lift");
    let reason = json!({ "reason": "over" });
    let denied = key_operator.post(&path, &reason).await;
    refused("a key-operator", &denied, 403, "denied", "lift_halt");

    lift(&stand.operator, &id).await;

    for (wrong, detail) in [
        (json!({ "on": "wallet", "name": "d-w" }), "reason"),
        (json!({ "on": "wallet", "reason": "r" }), "name"),
        (json!({ "on": "market", "reason": "r" }), "tokens"),
        (
            json!({ "on": "market", "tokens": ["0x1"], "reason": "r" }),
            "tokens",
        ),
        (
            json!({ "on": "market", "condition": "1001", "reason": "r" }),
            "condition",
        ),
        (
            json!({ "on": "key", "name": "d-wk", "condition": format!("0x{}", "07".repeat(32)), "reason": "r" }),
            "tokens",
        ),
        (
            json!({ "on": "key", "name": "d-wk", "tokens": ["1"], "reason": "r" }),
            "tokens",
        ),
        (
            json!({ "on": "everything", "name": "d-w", "reason": "r" }),
            "name",
        ),
    ] {
        let answer = stand.operator.post("/v1/halts", &wrong).await;
        assert!(
            [400, 422].contains(&answer.status),
            "{wrong}: {}",
            answer.text
        );
        assert!(answer.text.contains(detail), "{wrong}: {}", answer.text);
    }
    let missing = json!({ "on": "key", "name": "nobodys", "reason": "r" });
    let answer = stand.operator.post("/v1/halts", &missing).await;
    refused("missing", &answer, 404, "not-found", "key");
}

#[tokio::test]
async fn a_halted_caller_may_only_look() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let officer = stand.another("so", "ops", "security-officer").await;
    let halt = json!({ "on": "caller", "name": "operator", "reason": "who is this?" });
    let id = set(&officer, &halt).await;
    let path = format!("/v1/halts/{id}/lift");
    let reason = json!({ "reason": "it is me" });
    let own = stand.operator.post(&path, &reason).await;
    refused("own", &own, 403, "halted", "who is this?");
    let new = json!({ "name": "x", "owner": "d", "roles": ["trader"] });
    let made = stand.operator.post("/v1/callers", &new).await;
    refused("caller", &made, 403, "halted", &id);
    let seen = stand.operator.get("/v1/keys").await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    lift(&officer, &id).await;
    let made = stand.operator.post("/v1/callers", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn headers_for_an_order_of_a_halted_market_are_not_made() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let other = with("tokenID", json!("1002"));
    let tokens = [order()["tokenID"].clone()];
    let halt = json!({ "on": "market", "name": "who wins", "tokens": tokens, "reason": "test" });
    let id = set(&stand.operator, &halt).await;
    let stopped = stand.trader.post(ORDERS, &order()).await;
    refused("halted", &stopped, 403, "halted", "who wins");
    let signed = stand.trader.post(ORDERS, &other).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    lift(&stand.operator, &id).await;
}

#[tokio::test]
async fn a_market_is_halted_by_its_condition() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    // As the venue listed it.
    let condition = "0xdd22472e552920b8438158ea7238bfadfa4f736aa4cee91a6b86c39ead110917";
    let outcomes = [
        "21742633143463906290569050155826241533067272736897614950488156847949938836455",
        "48331043336612883890938759509493159234755048973500640148014422747788308965732",
    ];
    let halt = json!({ "on": "market", "condition": condition, "reason": "it is disputed" });
    let id = set(&stand.operator, &halt).await;
    for outcome in outcomes {
        let stopped = with("tokenID", json!(outcome));
        let stopped = stand.trader.post(ORDERS, &stopped).await;
        refused(outcome, &stopped, 403, "halted", condition);
    }
    stand.still_signs().await;
    lift(&stand.operator, &id).await;
}
