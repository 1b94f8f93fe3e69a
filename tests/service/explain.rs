//! An order that a CLOB refuses is explained, and what was signed here is compared with its record.

use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::{Caller, desk, order};

const EXPLAIN: &str = "/v1/explain";

async fn explain(caller: &Caller, question: Value) -> Value {
    let answer = caller.post(EXPLAIN, &question).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

fn changed(order: &Value, field: &str, value: Value) -> Value {
    let mut order = order.clone();
    order[field] = value;
    order
}

fn codes(answer: &Value) -> Vec<&str> {
    let findings = answer["findings"].as_array().unwrap().iter();
    findings.map(|it| it["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_change_of_an_order_signed_here_is_named() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let owner = with("owner", json!("6f1d1f3a-0000-4000-8000-000000000001"));
    let path = "/v1/wallets/d-w/orders";
    let bystander = stand.trader.post(path, &owner).await.json;
    for version in [1, 2, 3] {
        let mut request = owner.clone();
        request["version"] = json!(version);
        let signed = stand.trader.post(path, &request).await.json;
        let order = &signed["order"];
        for whole in [order, &signed["envelope"]] {
            let question =
                json!({ "order": whole, "chainId": 137, "negRisk": false, "tickSize": "0.01" });
            let answer = explain(&stand.trader, question).await;
            assert_eq!(answer["verdict"], "fits", "{answer}");
            assert_eq!(answer["record"]["id"], signed["id"]);
            assert_eq!(answer["record"]["wallet"], "d-w");
            assert_eq!(answer["record"]["changed"], json!([]));
            assert_eq!(answer["signedFor"]["version"], version);
        }
        for field in order.as_object().unwrap().keys() {
            for value in [json!("12"), bystander["order"][field].clone()] {
                if value.is_null() || value == order[field] {
                    continue;
                }
                let question = json!({ "order": changed(order, field, value.clone()) });
                let answer = explain(&stand.trader, question).await;
                if field == "signature" && value != "12" {
                    // It leads to the order that it belongs to.
                    assert_eq!(answer["record"]["id"], bystander["id"]);
                    continue;
                }
                assert_eq!(answer["record"]["id"], signed["id"], "{field}: {answer}");
                let named = answer["record"]["changed"].as_array().unwrap();
                assert_eq!(named.len(), 1, "{answer}");
                assert_eq!(named[0]["field"], field.as_str());
                assert_eq!(codes(&answer)[0], "changed");
            }
        }
        // Everything but the signature, and everything with its id.
        let mut other = bystander["order"].clone();
        other["signature"] = order["signature"].clone();
        let answer = explain(&stand.trader, json!({ "order": other })).await;
        assert_eq!(answer["record"]["id"], signed["id"]);
        let question = json!({ "order": bystander["order"], "id": signed["id"] });
        let answer = explain(&stand.trader, question).await;
        let named = answer["record"]["changed"].as_array().unwrap();
        assert!(named.iter().any(|it| it["field"] == "salt"), "{answer}");
        let high = json!({ "order": order, "negRisk": true });
        let answer = explain(&stand.trader, high).await;
        let wrong = if version == 3 {
            vec![]
        } else {
            vec!["neg-risk"]
        };
        assert_eq!(codes(&answer), wrong, "{answer}");
    }
}

/// What travels beside the signature is looked at too, and a refusal by its status alone.
#[tokio::test]
async fn a_body_that_no_client_posts_and_a_refusal_without_a_text_are_explained() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let owner = with("owner", json!("6f1d1f3a-0000-4000-8000-000000000001"));
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &owner).await;
    let posted = &signed.json["envelope"];
    for (member, value, code) in [
        ("orderType", json!("gtc"), "order-type"),
        ("orderType", json!("GTD"), "expiration"),
        ("owner", Value::Null, "form"),
        ("postOnly", json!("yes"), "form"),
    ] {
        let answer = explain(
            &stand.trader,
            json!({ "order": changed(posted, member, value) }),
        )
        .await;
        assert!(codes(&answer).contains(&code), "{member}: {answer}");
    }
    for (member, value, code) in [
        ("side", json!(0), "form"),
        ("expiration", json!("1900000000000"), "expiration-unit"),
        ("expiration", json!("1600000000"), "expiration"),
    ] {
        let mut posted = posted.clone();
        posted["order"][member] = value;
        let answer = explain(&stand.trader, json!({ "order": posted })).await;
        assert!(codes(&answer).contains(&code), "{member}: {answer}");
    }
    let restart = json!({ "order": posted, "status": 425 });
    let answer = explain(&stand.trader, restart).await;
    assert_eq!(answer["verdict"], "fits", "{answer}");
    let cause = answer["knownError"]["cause"].as_str().unwrap();
    assert!(cause.contains("restarting"), "{answer}");
    let limited = json!({
        "order": posted, "status": 429, "error": "Too Many Requests",
        "headers": { "Poly-RateLimit-Tier": "standard", "Retry-After": "3" },
    });
    let answer = explain(&stand.trader, limited).await;
    let cause = answer["knownError"]["cause"].as_str().unwrap();
    assert!(
        cause.contains("tier standard, retry after (s) 3"),
        "{answer}"
    );
}

#[tokio::test]
async fn who_may_not_see_the_record_has_a_stranger_s_order_explained() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let path = "/v1/wallets/d-w/orders";
    let signed = stand.trader.post(path, &order()).await.json;
    let neighbour = stand
        .server
        .caller(&desk(&stand.operator, "e", "soft").await);
    let side = changed(&signed["order"], "side", json!("SELL"));
    let answer = explain(&neighbour, json!({ "order": side })).await;
    assert_eq!(answer["record"], Value::Null);
    assert_eq!(codes(&answer), ["side"], "proven by the signature alone");
    let salt = changed(&signed["order"], "salt", json!(5));
    let answer = explain(
        &neighbour,
        json!({ "order": salt, "error": "invalid signature" }),
    )
    .await;
    assert_eq!(answer["verdict"], "none-of-these", "{answer}");
    assert_eq!(answer["knownError"]["text"], "invalid signature");

    let by_id = json!({ "order": salt, "id": signed["id"] });
    let answer = neighbour.post(EXPLAIN, &by_id).await;
    refused("id", &answer, 404, "not-found", "released order");
    let by_wallet = json!({ "order": salt, "wallet": "d-w" });
    let answer = neighbour.post(EXPLAIN, &by_wallet).await;
    refused("wallet", &answer, 404, "not-found", "wallet");
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let answer = explain(&auditor, json!({ "order": salt })).await;
    assert_eq!(answer["record"]["changed"][0]["field"], "salt");
    let (intents, _) = stand.signed().await;
    assert_eq!(intents, 1, "nothing was signed for an explanation");
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    for (question, status, problem, detail) in [
        (json!({}), 422, "invalid-field", "order"),
        (json!({ "order": [] }), 422, "invalid-field", "order"),
        (
            json!({ "order": {}, "chainId": 1 }),
            422,
            "invalid-field",
            "chainId",
        ),
        (
            json!({ "order": {}, "tickSize": "0.05" }),
            422,
            "invalid-field",
            "tickSize",
        ),
        (
            json!({ "order": {}, "version": 4 }),
            422,
            "invalid-field",
            "version",
        ),
        (
            json!({ "order": {}, "prize": 4 }),
            422,
            "invalid-field",
            "prize",
        ),
        (
            json!({ "order": { "salt": "1".repeat(1000) } }),
            422,
            "invalid-field",
            "too long",
        ),
    ] {
        let answer = stand.trader.post(EXPLAIN, &question).await;
        refused(&question.to_string(), &answer, status, problem, detail);
    }
    let empty = explain(&stand.trader, json!({ "order": {} })).await;
    assert!(
        codes(&empty).iter().all(|code| *code == "malformed"),
        "{empty}"
    );
    stand.still_signs().await;
}

#[tokio::test]
async fn the_command_keeps_every_digit_of_the_order() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order()).await;
    let exact = "123456789012345678901234567890";
    let salt = signed.json["order"]["salt"].to_string();
    let order = signed.json["order"].to_string().replace(&salt, exact);
    let file = stand.deployment.dir.write("order.json", &order);
    let token = stand.deployment.dir.write("token", &stand.trader.token);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["explain", file.to_str().unwrap(), "--chain-id", "137"])
        .args(["--neg-risk", "false", "--error", "invalid signature"])
        .args([
            "--url",
            &stand.server.base,
            "--token-file",
            token.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["record"]["changed"][0]["given"], exact);
}
