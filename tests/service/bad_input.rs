//! What is wrong with a request is said by name, nothing is signed, and the service lives on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::{Answer, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// What is sent, the status and problem that come back, and what the detail says.
type Case<T> = (T, u16, &'static str, &'static str);

/// Orders that are JSON and cannot be signed: what is sent, the problem, what its detail says.
#[rustfmt::skip]
fn orders() -> Vec<Case<Value>> {
    let past = json!({ "orderType": "GTD", "expiration": 1_600_000_000 });
    let mut table = vec![
        (with("sise", json!("1")), 422, "invalid-field", "sise"),
        (with("price", Value::Null), 422, "invalid-field", "price"),
        (with("tokenID", json!("-1")), 422, "invalid-field", "tokenID"),
        (with("tokenID", json!("x")), 422, "invalid-field", "tokenID"),
        (with("tokenID", json!(2_u64.pow(60))), 422, "invalid-field", "tokenID"),
        (with("tokenID", json!(format!("1{}", "0".repeat(78)))), 422, "invalid-field", "tokenID"),
        (with("tokenID", json!("115792089237316195423570985008687907853269984665640564039457584007913129639936")), 422, "invalid-field", "tokenID"),
        (with("side", json!("HOLD")), 422, "invalid-field", "side"),
        (with("side", json!("buy")), 422, "invalid-field", "side"),
        (with("tickSize", json!("0.02")), 422, "invalid-field", "tickSize"),
        (with("negRisk", json!("no")), 422, "invalid-field", "negRisk"),
        (with("negRisk", Value::Null), 422, "venue-not-configured", "negRisk"),
        (with("tickSize", Value::Null), 422, "venue-not-configured", "tickSize"),
        (with("postOnly", json!(1)), 422, "invalid-field", "postOnly"),
        (with("orderType", json!("GFD")), 422, "invalid-field", "orderType"),
        (with("version", json!(4)), 422, "invalid-field", "version"),
        (with("owner", json!("0x00")), 422, "invalid-field", "owner"),
        (with("builderCode", json!("0x00")), 422, "invalid-field", "builderCode"),
        (with("price", json!("0.565")), 422, "order-refused", "price"),
        (with("price", json!("0")), 422, "order-refused", "price"),
        (with("price", json!("1")), 422, "order-refused", "price"),
        (with("price", json!("1.01")), 422, "order-refused", "price"),
        (with("price", json!("0.001")), 422, "order-refused", "price"),
        (with("size", json!("0.009")), 422, "order-refused", "size"),
        (with("size", json!("0")), 422, "order-refused", "size"),
        (with("orderType", json!("GTD")), 422, "order-refused", "expiration"),
        (with("expiration", json!(4_000_000_000_u64)), 422, "order-refused", "expiration"),
        (with("expiration", json!(-1)), 422, "invalid-field", "expiration"),
        (with("nonce", json!("0")), 422, "order-refused", "nonce"),
    ];
    let mut gone = order();
    gone.as_object_mut()
        .unwrap()
        .extend(past.as_object().unwrap().clone());
    table.push((gone, 422, "order-refused", "expiration"));
    let mut in_ms = with("orderType", json!("GTD"));
    in_ms["expiration"] = json!(1_900_000_000_000_u64);
    table.push((in_ms, 422, "order-refused", "in milliseconds: write 1900000000"));
    let mut resting = with("orderType", json!("FOK"));
    resting["postOnly"] = json!(true);
    table.push((resting, 422, "order-refused", "postOnly"));
    for malformed in [
        "1e3", "+1", "-1", "0x1", " 1", "1 ", "", "1.", ".5", "1,5", "NaN", "Infinity", "٣",
        "1_000", "0.5.5", "1\u{0}",
    ] {
        for field in ["price", "size"] {
            table.push((with(field, json!(malformed)), 422, "invalid-field", field));
        }
    }
    for field in ["price", "size"] {
        table.push((with(field, json!(0.5)), 422, "invalid-field", field));
        table.push((with(field, json!(["0.5"])), 422, "invalid-field", field));
    }
    table
}

/// Bodies that are no order at all.
#[rustfmt::skip]
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str, &'static str)> {
    let good = order().to_string();
    let twice = good.replacen('{', r#"{"price":"0.55","#, 1);
    let deep = format!(r#"{{"price":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let list = json!(["1", "BUY", "0.56", "21.04", "0.01", false]).to_string();
    vec![
        ("empty", vec![], 400, "malformed-body", ""),
        ("truncated", good[..good.len() - 9].into(), 400, "malformed-body", ""),
        ("more after it", format!("{good}{good}").into(), 400, "malformed-body", ""),
        ("no JSON", "price=0.5".into(), 400, "malformed-body", ""),
        ("not UTF-8", b"{\"price\":\"\xff\"}".to_vec(), 400, "malformed-body", ""),
        ("NaN", good.replace("\"0.56\"", "NaN").into(), 400, "malformed-body", ""),
        ("deep", deep.into(), 400, "malformed-body", "recursion"),
        ("a member twice", twice.into(), 422, "invalid-field", "price"),
        ("a list", list.into(), 400, "malformed-body", "object"),
        ("null", "null".into(), 400, "malformed-body", "object"),
        ("text", "\"order\"".into(), 400, "malformed-body", "object"),
    ]
}

#[tokio::test]
async fn a_bad_request_is_refused_by_name_and_signs_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    for (body, status, problem, detail) in orders() {
        let answer = stand.trader.post(ORDERS, &body).await;
        refused(&body.to_string(), &answer, status, problem, detail);
    }
    for (what, body, status, problem, detail) in bodies() {
        let request = stand
            .trader
            .http
            .post(format!("{}{ORDERS}", stand.server.base));
        let request = request
            .header("idempotency-key", "k")
            .header("content-type", "application/json")
            .body(body);
        let answer = stand.trader.send(request).await.unwrap();
        refused(what, &answer, status, problem, detail);
    }
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

/// Headers that are wrong: what is sent, the problem, what its detail says.
#[rustfmt::skip]
fn headers(token: &str) -> Vec<Case<Vec<(&'static str, String)>>> {
    let auth = || ("authorization", format!("Bearer {token}"));
    let given = |value: &str| ("authorization", value.to_owned());
    let mistyped = format!("Bearer {}x", &token[..token.len() - 1]);
    let unknown = format!("Bearer {}", chancery::callers::Token::random().expose());
    let json = || ("content-type", "application/json".to_owned());
    let typed = |value: &str| ("content-type", value.to_owned());
    let named = |value: &str| ("idempotency-key", value.to_owned());
    let key = || named("k");
    let in_ms = |value: &str| ("chancery-deadline-ms", value.to_owned());
    let mut table = vec![
        (vec![json(), key()], 401, "not-authenticated", "bearer"),
        (vec![json(), key(), given(token)], 401, "not-authenticated", "bearer"),
        (vec![json(), key(), given(&format!("Basic {token}"))], 401, "not-authenticated", "bearer"),
        (vec![json(), key(), given(&mistyped)], 401, "not-authenticated", "token"),
        (vec![json(), key(), given(&unknown)], 401, "not-authenticated", "token"),
        (vec![json(), key(), given("Bearer ")], 401, "not-authenticated", ""),
        (vec![json(), key(), auth(), auth()], 401, "not-authenticated", "two"),
        (vec![auth(), key()], 415, "unsupported-media-type", "Content-Type"),
        (vec![auth(), key(), typed("application/x-www-form-urlencoded")], 415, "unsupported-media-type", "x-www-form"),
        (vec![auth(), key(), typed("text/json")], 415, "unsupported-media-type", "text/json"),
        (vec![auth(), json()], 400, "idempotency-key-missing", "Idempotency-Key"),
        (vec![auth(), json(), key(), named("l")], 400, "malformed-header", "idempotency-key"),
        (vec![auth(), json(), key(), in_ms("9"), in_ms("9")], 400, "malformed-header", "chancery-deadline-ms"),
    ];
    for wrong in ["", "a b", &"k".repeat(256)] {
        table.push((vec![auth(), json(), named(wrong)], 400, "malformed-header", "Idempotency-Key"));
    }
    for wrong in ["", "0", "-1", "1.5", "soon", "60001"] {
        table.push((vec![auth(), json(), key(), in_ms(wrong)], 400, "malformed-header", "Chancery-Deadline-Ms"));
    }
    table
}

#[tokio::test]
async fn a_bad_header_is_refused_by_name_and_signs_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let token = stand.trader.token.clone();
    for (headers, status, problem, detail) in headers(&token) {
        let body = order().to_string();
        let answer = send(&stand, Method::POST, ORDERS, &headers, body).await;
        let what = format!("{headers:?}");
        refused(&what, &answer, status, problem, detail);
        let asks = answer.headers.contains_key("www-authenticate");
        assert_eq!(asks, status == 401, "{what}");
    }
    let mut good = vec![
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
    ];
    let put = send(&stand, Method::PUT, ORDERS, &good, String::new()).await;
    refused("PUT", &put, 405, "method-not-allowed", "method");
    assert_eq!(put.headers["allow"], "POST");
    let gone = send(&stand, Method::GET, "/v1/nothing", &good, String::new()).await;
    refused("an unknown path", &gone, 404, "not-found", "");

    good.push(("idempotency-key", "k".to_owned()));
    let big = format!(r#"{{"price":"{}"}}"#, "0".repeat(10 * 1024 * 1024));
    let answer = send(&stand, Method::POST, ORDERS, &good, big).await;
    refused("10 MiB", &answer, 413, "body-too-large", "body_limit_bytes");

    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

#[tokio::test]
async fn a_token_that_ended_is_worth_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let revoked = stand.another("revoked", "d", "trader").await;
    let seen = revoked.get("/v1/wallets/d-w").await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    let path = "/v1/callers/revoked/revoke";
    let done = stand.operator.post(path, &json!({})).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let answer = revoked.post(ORDERS, &order()).await;
    refused("revoked", &answer, 401, "not-authenticated", "token");

    let expired = stand.another("expired", "d", "trader").await;
    sqlx::query(
        "update caller_tokens set expires_at = now() from callers c
         where c.id = caller_id and c.name = 'expired'",
    )
    .execute(&stand.database.pool)
    .await
    .unwrap();
    stand.deployment.restate().await;
    let answer = expired.post(ORDERS, &order()).await;
    refused("expired", &answer, 401, "not-authenticated", "token");

    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_yours_look_the_same() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let stranger = stand.another("stranger", "e", "trader").await;
    for (theirs, none) in [
        ("/v1/wallets/d-w", "/v1/wallets/nobody"),
        ("/v1/clients/d-c", "/v1/clients/nobody"),
        ("/v1/keys/d-wk", "/v1/keys/nobody"),
        ("/v1/keys/d-wk", "/v1/keys/NO%20NAME"),
    ] {
        let (theirs, none) = (stranger.get(theirs).await, stranger.get(none).await);
        refused("not yours", &theirs, 404, "not-found", "no such");
        assert_eq!(alike(&theirs), alike(&none));
    }
    for (theirs, none, body) in [
        (ORDERS, "/v1/wallets/nobody/orders", order()),
        (
            "/v1/clients/d-c/assertions",
            "/v1/clients/nobody/assertions",
            json!({}),
        ),
        (
            "/v1/keys/d-wk/steps",
            "/v1/keys/nobody/steps",
            json!({ "to": "suspended", "reason": "x" }),
        ),
    ] {
        let theirs = stranger.post(theirs, &body).await;
        let none = stranger.post(none, &body).await;
        refused("not yours", &theirs, 404, "not-found", "no such");
        assert_eq!(alike(&theirs), alike(&none));
    }
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

#[tokio::test]
async fn a_key_that_does_not_sign_is_named_and_spends_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let step = |to: &str| json!({ "to": to, "reason": "test" });
    let path = "/v1/keys/d-wk/steps";
    let moved = stand.operator.post(path, &step("suspended")).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let answer = stand.trader.post_as("k", ORDERS, &order()).await.unwrap();
    refused("suspended", &answer, 409, "key-not-active", "suspended");
    assert_eq!(stand.signed().await.1, 0);

    let moved = stand.operator.post(path, &step("active")).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let answer = stand.trader.post_as("k", ORDERS, &order()).await.unwrap();
    assert_eq!(answer.status, 200, "the key was not spent: {}", answer.text);
    let mut other = order();
    other["side"] = json!("SELL");
    let reused = stand.trader.post_as("k", ORDERS, &other).await.unwrap();
    refused(
        "another body",
        &reused,
        409,
        "idempotency-key-reused",
        "idempotency key",
    );
    assert_eq!(stand.signed().await.1, 1);
    stand.still_signs().await;
}

/// Administrative requests that are wrong: where and what is sent, the problem, what its detail says.
#[rustfmt::skip]
fn administrative() -> Vec<Case<(&'static str, Value)>> {
    let changed = |body: &Value, member: &str, value: Value| {
        let mut body = body.clone();
        body[member] = value;
        body
    };
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let key = |member, value| ("/v1/keys", changed(&key, member, value));
    let wallet = json!({ "name": "w", "owner": "d", "key": "d-wk", "chainId": 137 });
    let wallet = |member, value| ("/v1/wallets", changed(&wallet, member, value));
    let client = json!({ "name": "c", "owner": "d", "key": "d-ck", "client_id": "x" });
    let client = |member, value| ("/v1/clients", changed(&client, member, value));
    let caller = json!({ "name": "x", "owner": "d", "roles": ["trader"] });
    let caller = |member, value| ("/v1/callers", changed(&caller, member, value));
    let step = |to: &str, reason: &str| ("/v1/keys/d-wk/steps", json!({ "to": to, "reason": reason }));
    let mut table = vec![
        (key("backend", json!("none")), 422, "invalid-field", "no device is called none; there is soft"),
        (wallet("signatureType", json!(3)), 422, "invalid-field", "funder"),
        (step("destroyed", "x"), 409, "not-a-step", "destroyed"),
        (step("gone", "x"), 422, "invalid-field", "to"),
        (step("suspended", ""), 422, "invalid-field", "reason"),
        (step("suspended", "a\u{0}b"), 422, "invalid-field", "reason"),
    ];
    for (member, value) in [
        ("name", json!("No Name")),
        ("purpose", json!("both")),
        ("algorithm", json!("rsa2048")),
        ("cryptoperiod_days", json!(0)),
        ("cryptoperiod_days", json!(70_000)),
        ("private_key", json!("0x1")),
    ] {
        table.push((key(member, value), 422, "invalid-field", member));
    }
    for (member, value) in [
        ("chainId", json!(1)),
        ("signatureType", json!(4)),
        ("funder", json!("0x1")),
        ("funder", json!("0x0000000000000000000000000000000000000001")),
        ("key", json!("d-ck")),
    ] {
        table.push((wallet(member, value), 422, "invalid-field", member));
    }
    for (member, value) in [
        ("key", json!("d-wk")),
        ("client_id", json!("a b")),
        ("client_id", json!("")),
        ("client_id", json!("i".repeat(65))),
    ] {
        table.push((client(member, value), 422, "invalid-field", member));
    }
    for (member, value) in [
        ("roles", json!([""])),
        ("roles", json!([])),
        ("token_days", json!(0)),
        ("token_days", json!(91)),
        ("token", json!("mine")),
    ] {
        table.push((caller(member, value), 422, "invalid-field", member));
    }
    table
}

#[tokio::test]
async fn a_bad_administrative_request_is_refused_by_name() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    for ((path, body), status, problem, detail) in administrative() {
        let answer = stand.operator.post(path, &body).await;
        refused(&format!("{path} {body}"), &answer, status, problem, detail);
    }
    for query in [
        "",
        "?digest=0x12",
        "?digest=zz",
        "?orderHash=1",
        "?idempotency_key=%00",
        "?idempotency_key=",
        "?digest=1&idempotency_key=k",
        "?who=me",
    ] {
        let answer = stand.trader.get(&format!("/v1/signatures{query}")).await;
        refused(query, &answer, 400, "malformed-query", "");
    }
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

/// What two answers may not differ in.
fn alike(answer: &Answer) -> (u16, &str, Vec<(String, String)>) {
    let fresh = ["x-request-id", "date"];
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !fresh.contains(&name.as_str()));
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
    (
        answer.status,
        &answer.text,
        headers.map(|(n, v)| (n.to_string(), text(v))).collect(),
    )
}

async fn send(
    stand: &Stand,
    method: Method,
    path: &str,
    headers: &[(&str, String)],
    body: String,
) -> Answer {
    let url = format!("{}{path}", stand.server.base);
    let mut request = stand.trader.http.request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    Answer::of(request).await.unwrap()
}

/// All operations, each with what may stand in its path.
fn operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(chancery::http::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let parts = path.split('/').map(|part| match part.strip_prefix('{') {
            Some("version}" | "leaf}") => "1",
            Some(_) => "x",
            None => part,
        });
        let path = parts.collect::<Vec<_>>().join("/");
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes());
            all.push((method.unwrap(), path.clone()));
        }
    }
    all.retain(|(_, path)| path.starts_with("/v1/"));
    assert!(all.len() > 100, "{}", all.len());
    all
}

#[tokio::test]
async fn what_a_query_says_is_understood_or_refused_by_every_operation() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    for (method, path) in operations() {
        let url = format!("{}{path}?nonsense=1", stand.server.base);
        let request = stand.operator.http.request(method.clone(), url);
        let request = request
            .header("idempotency-key", "k")
            .header("content-type", "application/json")
            .body("{}");
        let answer = stand.operator.send(request).await.unwrap();
        let what = format!("{method} {path}");
        refused(&what, &answer, 400, "malformed-query", "");
    }
    let stranger = stand
        .trader
        .http
        .get(format!("{}/v1/keys?x=1", stand.server.base));
    let answer = stranger.send().await.unwrap();
    assert_eq!(answer.status(), 401, "who it is comes first");
    stand.still_signs().await;
}
