//! Whatever goes wrong at the token endpoint: no assertion is sent twice, callers with a token in
//! memory do not notice, and the others read what it was.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::refused;
use crate::support::Answer;
use crate::tokens::Exchange;

/// What a trader may have, for cold places of the cache.
const SCOPES: [&str; 10] = [
    "read:marketdata",
    "read:l2marketdata",
    "read:instruments",
    "read:orders",
    "write:orders",
    "read:reports",
    "read:positions",
    "read:dropcopy",
    "read:accounts",
    "read:funding",
];

const SHORT: &str = "timeout_ms = 600";

async fn ask(exchange: &Exchange, scope: &str) -> Answer {
    exchange.ask(&json!({ "scope": scope })).await
}

#[tokio::test]
async fn what_was_lost_is_tried_again_with_another_assertion() {
    let Some(exchange) = Exchange::new(&SCOPES, SHORT).await else {
        return;
    };
    for (fault, scope) in [
        json!({ "drop": true }),                  // delivered, and the answer cut off
        json!({ "delay_ms": 900 }),               // delivered, and a token that comes too late
        json!({ "delay_ms": 900, "drop": true }), // delivered, and nothing
        json!({ "status": 500 }),
        json!({ "status": 503, "raw": "down for maintenance" }),
        json!({ "status": 200, "raw": "<html>a proxy</html>" }),
        json!({ "status": 200, "raw": "{\"access_token\":\"a b\"}" }),
        json!({ "status": 200, "raw": "{}" }),
    ]
    .into_iter()
    .zip(SCOPES)
    {
        let before = exchange.log().await.len();
        exchange.fault(&fault).await;
        let answer = ask(&exchange, scope).await;
        assert_eq!(answer.status, 200, "{fault}: {}", answer.text);
        let log = exchange.log().await;
        let tried: BTreeSet<_> = log[before..]
            .iter()
            .map(|it| it["jti"].to_string())
            .collect();
        assert_eq!(
            (log.len() - before, tried.len()),
            (2, 2),
            "{fault}: {log:#?}"
        );
    }
    exchange.check().await;
}

/// The assertion that seemed to be lost may have been the one that the server refuses as used.
#[tokio::test]
async fn a_refusal_after_a_time_out_is_tried_once_more() {
    let Some(exchange) = Exchange::new(&SCOPES, SHORT).await else {
        return;
    };
    let refusal = json!({ "status": 401, "body": { "error": "invalid_client" } });
    exchange.fault(&json!({ "drop": true })).await;
    exchange.fault(&refusal).await;
    let answer = ask(&exchange, "read:orders").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(exchange.log().await.len(), 3);
    // Without a time-out before it, it is a refusal.
    exchange.fault(&refusal).await;
    let answer = ask(&exchange, "read:accounts").await;
    refused("at once", &answer, 502, "client-rejected", "invalid_client");
    assert_eq!(exchange.log().await.len(), 4);
    exchange.check().await;
}

#[tokio::test]
async fn every_refusal_has_its_problem_and_is_not_repeated_at_once() {
    let Some(exchange) = Exchange::new(&SCOPES, SHORT).await else {
        return;
    };
    let oauth = |status: u16, error: &str| json!({ "status": status, "body": { "error": error, "error_description": "why" } });
    let mut redirect = json!({ "status": 307, "body": {} });
    redirect["headers"] = json!({ "location": exchange.server.token_endpoint });
    let mut throttled = oauth(429, "too_many_requests");
    throttled["headers"] = json!({ "retry-after": "40" });
    let html = json!({ "status": 200, "raw": "<html>", "times": 3 });
    let down = json!({ "status": 502, "times": 3 });
    let late = json!({ "delay_ms": 900, "drop": true, "times": 3 });
    for ((fault, attempts, status, problem, detail), scope) in [
        (redirect, 1, 502, "token-endpoint-redirect", "307"),
        (throttled, 1, 503, "token-endpoint-throttled", "fewer"),
        (html, 3, 502, "token-endpoint-answer", "page"),
        (down, 3, 503, "token-endpoint-unavailable", "502"),
        (late, 3, 503, "token-endpoint-unavailable", "in time"),
        (
            oauth(400, "invalid_request"),
            1,
            502,
            "token-request-refused",
            "invalid_request: why",
        ),
        (
            oauth(403, "access_denied"),
            1,
            403,
            "scope-not-granted",
            "access_denied: why",
        ),
        (
            oauth(400, "invalid_scope"),
            1,
            403,
            "scope-not-granted",
            "invalid_scope",
        ),
        (
            oauth(400, "invalid_target"),
            1,
            403,
            "scope-not-granted",
            "invalid_target",
        ),
        // Last, for it closes the client's door for a while.
        (
            oauth(401, "invalid_client_assertion"),
            1,
            502,
            "assertion-rejected",
            "invalid_client_assertion",
        ),
    ]
    .into_iter()
    .zip(SCOPES)
    {
        let before = exchange.log().await.len();
        exchange.fault(&fault).await;
        for _ in 0..2 {
            let answer = ask(&exchange, scope).await;
            refused(problem, &answer, status, problem, detail);
            let wait: u32 = answer.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!(wait >= 1, "{wait}");
            if problem == "token-endpoint-throttled" {
                assert!((39..=42).contains(&wait), "{wait}");
            }
            diagnosed(&answer.json["exchange"], attempts);
        }
        let log = exchange.log().await;
        assert_eq!(log.len() - before, attempts, "{problem}");
    }
    let door = ask(&exchange, "read:orders write:orders").await;
    refused(
        "any scope",
        &door,
        502,
        "assertion-rejected",
        "invalid_client",
    );
    let alarm = "the authorization server does not take a client";
    exchange.stand.server.heard(alarm).await;
    exchange.check().await;
}

/// What was sent can be compared, and nothing of it can be spent.
fn diagnosed(about: &Value, attempts: usize) {
    assert_eq!(about["attempts"], attempts, "{about}");
    assert_eq!(about["assertion_aud"], "token-endpoint", "{about}");
    assert_eq!(about["environment"], "ex", "{about}");
    assert_eq!(about["claims"]["iss"], "ex-client", "{about}");
    assert_eq!(about["claims"]["aud"], about["token_endpoint"], "{about}");
    assert_eq!(
        about["key_fingerprint"].as_str().unwrap().len(),
        64,
        "{about}"
    );
    assert!(!about.to_string().contains("eyJ"), "no assertion: {about}");
}

#[tokio::test]
async fn a_scope_that_is_granted_later_is_had_by_asking_afresh() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let with = json!({ "scope": "read:orders read:reports" });
    for _ in 0..2 {
        let answer = exchange.ask(&with).await;
        refused(
            "not granted",
            &answer,
            403,
            "scope-not-granted",
            "access_denied",
        );
    }
    assert_eq!(exchange.log().await.len(), 1, "the refusal is remembered");
    exchange
        .register("ex-k", &["read:orders", "read:reports"])
        .await;
    let still = exchange.ask(&with).await;
    refused(
        "remembered",
        &still,
        403,
        "scope-not-granted",
        "access_denied",
    );
    let fresh = json!({ "scope": "read:orders read:reports", "refresh": true });
    let answer = exchange.ask(&fresh).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["scope"], "read:orders read:reports");
    let again = exchange.ask(&fresh).await;
    refused("at once", &again, 429, "token-refreshed", "moments ago");
    let wait: u32 = again.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    exchange.check().await;
}

#[tokio::test]
async fn a_wrong_clock_is_refused_and_forgotten_when_it_is_right_again() {
    let Some(exchange) = Exchange::new(&SCOPES, "").await else {
        return;
    };
    let kept = ask(&exchange, "read:instruments").await;
    for (hour, scope) in [(3_600, "read:orders"), (-3_600, "write:orders")] {
        exchange.set(&json!({ "clock_offset_s": hour })).await;
        let answer = ask(&exchange, scope).await;
        refused(
            scope,
            &answer,
            502,
            "assertion-rejected",
            "invalid_client_assertion",
        );
        let ahead = answer.json["exchange"]["clock_ahead_s"].as_i64().unwrap();
        assert!(ahead.abs() < 5, "by its Date the server is right: {ahead}");
        let meanwhile = ask(&exchange, "read:instruments").await;
        assert_eq!(
            meanwhile.json["id"], kept.json["id"],
            "a token in memory serves on"
        );
        exchange.set(&json!({ "clock_offset_s": 0 })).await;
        let fresh = json!({ "scope": scope, "refresh": true });
        let answer = exchange.ask(&fresh).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    exchange.check().await;
}

/// The answer is believed where it takes something away, and nowhere else.
#[tokio::test]
async fn a_token_is_worth_what_it_says_and_no_more_than_was_asked_for() {
    let Some(exchange) = Exchange::new(&SCOPES, "").await else {
        return;
    };
    let jwt = |claims: Value| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let answers = async |answer: Value, times: u32| {
        let fault = json!({ "status": 200, "body": answer, "times": times });
        exchange.fault(&fault).await;
    };
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let own = jwt(json!({ "iat": now, "exp": now + 90, "scope": "read:orders" }));
    answers(json!({ "access_token": own, "token_type": "Bearer", "expires_in": 86_400, "scope": "read:orders write:orders" }), 1).await;
    let narrowed = ask(&exchange, "read:orders write:orders").await;
    assert_eq!(narrowed.status, 200, "{}", narrowed.text);
    assert_eq!(narrowed.json["scope"], "read:orders");
    assert_eq!(narrowed.json["missing_scope"], json!(["write:orders"]));
    let left = narrowed.json["expires_in"].as_u64().unwrap();
    assert!((80..=90).contains(&left), "{left}");

    answers(
        json!({ "access_token": jwt(json!({ "iat": now, "exp": now + 100 })) }),
        1,
    )
    .await;
    let silent = ask(&exchange, "read:accounts").await;
    assert_eq!(silent.status, 200, "{}", silent.text);
    assert_eq!(
        silent.json["scope"], "read:accounts",
        "RFC 6749, section 5.1"
    );

    let more = jwt(json!({ "iat": now, "exp": now + 100, "scope": "read:reports write:funding" }));
    answers(
        json!({ "access_token": more, "expires_in": 100, "scope": "read:reports" }),
        1,
    )
    .await;
    let excess = ask(&exchange, "read:reports").await;
    refused(
        "more",
        &excess,
        502,
        "token-endpoint-answer",
        "write:funding",
    );

    for endless in [
        json!({ "access_token": "opaque" }),
        json!({ "access_token": "opaque", "expires_in": 0 }),
    ] {
        answers(endless, 3).await;
        let scope = SCOPES[exchange.log().await.len() % 3];
        let answer = ask(&exchange, scope).await;
        refused("no life", &answer, 502, "token-endpoint-answer", "it ");
    }
}

/// The API goes by the token's own words, so the answer around it cannot add to them.
#[tokio::test]
async fn a_token_lives_no_longer_and_is_for_nobody_else_than_it_says_itself() {
    let Some(exchange) = Exchange::new(&SCOPES, SHORT).await else {
        return;
    };
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let audience = crate::tokens::AUDIENCE;
    let jwt = |claims: Value| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let answer = |claims: Value, more: Value| {
        let mut body = json!({ "access_token": jwt(claims), "token_type": "Bearer" });
        let Value::Object(mut more) = more else {
            panic!("members are wanted")
        };
        body.as_object_mut().unwrap().append(&mut more);
        body
    };
    let whole = json!({ "aud": [audience, "https://issuer/userinfo"], "exp": now + 120 });
    let bom = format!(
        "\u{feff}{}",
        answer(whole.clone(), json!({ "expires_in": 120.0 }))
    );
    for ((what, fault), scope) in [
        (
            "exp before expires_in, and no iat",
            json!({ "body": answer(json!({ "exp": now + 120 }), json!({ "expires_in": 3_600 })) }),
        ),
        (
            "an iat long ago",
            json!({ "body": answer(json!({ "iat": now - 3_600, "exp": now + 120 }), json!({ "expires_in": 3_600 })) }),
        ),
        (
            "only exp, which has a fraction",
            json!({ "body": answer(json!({ "exp": 0.5 + f64::from(u32::try_from(now + 120).unwrap()) }), json!({})) }),
        ),
        ("a list of audiences", json!({ "body": answer(whole.clone(), json!({})) })),
        (
            "201, and scopes as a list",
            json!({ "status": 201, "body": answer(whole, json!({ "scope": SCOPES })) }),
        ),
        ("a byte order mark", json!({ "raw": bom })),
    ]
    .into_iter()
    .zip(SCOPES)
    {
        let mut fault = fault;
        fault["status"] = fault.get("status").cloned().unwrap_or(json!(200));
        exchange.fault(&fault).await;
        let got = exchange.ask(&json!({ "scope": if what.starts_with("201") { SCOPES.join(" ") } else { scope.to_owned() } })).await;
        assert_eq!(got.status, 200, "{what}: {}", got.text);
        let left = got.json["expires_in"].as_u64().unwrap();
        assert!((60..=120).contains(&left), "{what}: {left}");
    }
    let other = "https://api.other.polymarketexchange.com";
    for ((what, times, fault, detail), scope) in [
        (
            "a past exp",
            3,
            json!({ "body": answer(json!({ "iat": now - 200, "exp": now - 20 }), json!({ "expires_in": 180 })) }),
            "over on arrival",
        ),
        (
            "another API's",
            1,
            json!({ "body": answer(json!({ "aud": other, "exp": now + 120 }), json!({ "expires_in": 180 })) }),
            other,
        ),
        (
            "an empty 401",
            3,
            json!({ "status": 401, "raw": "" }),
            "401 and does not say why: it is empty",
        ),
        (
            "a text",
            3,
            json!({ "status": 403, "raw": "no" }),
            "403 and does not say why",
        ),
    ]
    .into_iter()
    .zip(["read:funding", "read:accounts", "read:dropcopy", "read:positions"])
    {
        let mut fault = fault;
        fault["status"] = fault.get("status").cloned().unwrap_or(json!(200));
        fault["times"] = json!(times);
        let before = exchange.log().await.len();
        exchange.fault(&fault).await;
        let got = exchange.ask(&json!({ "scope": scope, "refresh": true })).await;
        refused(what, &got, 502, "token-endpoint-answer", detail);
        assert!(!got.text.contains("firewall"), "{what}: {}", got.text);
        assert_eq!(exchange.log().await.len() - before, times, "{what}");
    }
    exchange.check().await;
}

/// From a minute before its end a token is replaced, here from four of twelve seconds. Nobody waits.
#[tokio::test]
async fn a_token_is_replaced_ahead_of_its_end_and_nobody_waits() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    exchange.set(&json!({ "token_ttl": 12 })).await;
    let first = exchange.token().await;
    exchange.fault(&json!({ "delay_ms": 1_500 })).await;
    while exchange.log().await.len() == 1 {
        exchange.token().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let meanwhile = exchange.token().await;
    let log = exchange.log().await;
    assert!(
        log[1]["status"].is_null(),
        "the exchange is under way: {log:#?}"
    );
    assert_eq!(meanwhile["id"], first["id"]);
    while exchange.token().await["id"] == first["id"] {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(exchange.log().await.len(), 2);
    exchange.check().await;
}

/// A quota that is used up is nobody's concern until the last token ends.
#[tokio::test]
async fn being_throttled_is_invisible_while_a_token_is_left() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    exchange.set(&json!({ "token_ttl": 6 })).await;
    let first = exchange.token().await;
    let mut throttled = json!({ "status": 429, "body": { "error": "too_many_requests" } });
    throttled["headers"] = json!({ "retry-after": "60" });
    exchange.fault(&throttled).await;
    let end = loop {
        let answer = ask(&exchange, "read:orders").await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.json["id"], first["id"]);
        assert!(
            answer.json["expires_in"].as_u64().unwrap() >= 1,
            "never past its end"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    refused(
        "the last one ended",
        &end,
        503,
        "token-endpoint-throttled",
        "fewer",
    );
    let wait: u32 = end.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((50..=62).contains(&wait), "{wait}");
    assert_eq!(exchange.log().await.len(), 2, "asked once, and left alone");
    exchange.check().await;
}

#[tokio::test]
async fn tokens_of_five_seconds_are_always_good_when_they_are_answered() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    exchange.set(&json!({ "token_ttl": 5 })).await;
    let api = exchange
        .server
        .token_endpoint
        .replace("/oauth/token", "/v1/trading/orders/open");
    let http = reqwest::Client::new();
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        let token = exchange.token().await;
        assert!(
            (1..=5).contains(&token["expires_in"].as_u64().unwrap()),
            "{token}"
        );
        let call = http
            .get(&api)
            .bearer_auth(token["access_token"].as_str().unwrap());
        assert_eq!(call.send().await.unwrap().status().as_u16(), 200);
        seen.insert(token["id"].to_string());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(exchange.log().await.len(), 3);
    exchange.check().await;
}

#[tokio::test]
async fn whoever_hangs_up_cancels_nothing() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    exchange.fault(&json!({ "delay_ms": 700 })).await;
    let trader = &exchange.stand.trader;
    let url = format!("{}/v1/clients/ex-c/tokens", trader.base);
    let body = json!({ "scope": "read:orders" });
    let hasty = trader
        .http
        .post(&url)
        .json(&body)
        .timeout(Duration::from_millis(200));
    trader.send(hasty).await.unwrap_err();
    let impatient = trader
        .http
        .post(&url)
        .json(&body)
        .header("chancery-deadline-ms", "20");
    let gone = trader.send(impatient).await.unwrap();
    refused("20 ms", &gone, 504, "deadline-exceeded", "deadline");
    exchange.token().await;
    assert_eq!(exchange.log().await.len(), 1, "one exchange for all three");
    exchange.check().await;
}

#[tokio::test]
async fn a_key_that_is_removed_in_mid_flight_is_told_apart_and_tokens_live_on() {
    let Some(exchange) = Exchange::new(&SCOPES, "kid = \"thumbprint\"").await else {
        return;
    };
    let kept = ask(&exchange, "read:accounts").await;
    exchange.fault(&json!({ "delay_ms": 500 })).await;
    let kid = exchange.log().await[0]["kid"].as_str().unwrap().to_owned();
    let removal = async {
        while exchange.log().await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let path = format!("clients/ex-client/keys/{kid}");
        exchange
            .server
            .admin(Method::DELETE, &path, &json!({}))
            .await;
    };
    let (answer, ()) = tokio::join!(ask(&exchange, "read:orders"), removal);
    refused("removed", &answer, 502, "client-rejected", "invalid_client");
    let live = ask(&exchange, "read:accounts").await;
    assert_eq!(live.json["id"], kept.json["id"], "its token lives on");
    exchange.register("ex-k", &SCOPES).await;
    let fresh = json!({ "scope": "read:orders", "refresh": true });
    let answer = exchange.ask(&fresh).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    exchange.check().await;
}
