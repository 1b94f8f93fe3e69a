//! What is wrong with a request is said by name, nothing is signed, and the service lives on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::{Answer, order};

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// Orders that are JSON and cannot be signed: what is sent, the problem, what its detail says.
#[rustfmt::skip]
fn orders() -> Vec<(Value, u16, &'static str, &'static str)> {
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
        (with("negRisk", Value::Null), 422, "invalid-field", "negRisk"),
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

type Headers<'a> = &'a [(&'a str, &'a str)];

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

#[tokio::test]
async fn a_bad_header_is_refused_by_name_and_signs_nothing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let bearer = format!("Bearer {}", stand.trader.token);
    let mistyped = format!("{}x", &bearer[..bearer.len() - 1]);
    let unknown = format!("Bearer {}", chancery::callers::Token::random().expose());
    let basic = bearer.replace("Bearer", "Basic");
    let json = ("content-type", "application/json");
    let auth = ("authorization", bearer.as_str());
    let key = ("idempotency-key", "k");
    let long = "k".repeat(256);
    let deadline = |value| ("chancery-deadline-ms", value);
    let table: Vec<(&str, Vec<(&str, &str)>, u16, &str, &str)> = vec![
        (
            "no token",
            vec![json, key],
            401,
            "not-authenticated",
            "bearer",
        ),
        (
            "no scheme",
            vec![json, key, ("authorization", &stand.trader.token)],
            401,
            "not-authenticated",
            "",
        ),
        (
            "another scheme",
            vec![json, key, ("authorization", &basic)],
            401,
            "not-authenticated",
            "",
        ),
        (
            "a mistyped token",
            vec![json, key, ("authorization", &mistyped)],
            401,
            "not-authenticated",
            "",
        ),
        (
            "an unknown token",
            vec![json, key, ("authorization", &unknown)],
            401,
            "not-authenticated",
            "",
        ),
        (
            "an empty token",
            vec![json, key, ("authorization", "Bearer ")],
            401,
            "not-authenticated",
            "",
        ),
        (
            "two credentials",
            vec![json, key, auth, auth],
            401,
            "not-authenticated",
            "two",
        ),
        (
            "no content type",
            vec![auth, key],
            415,
            "unsupported-media-type",
            "Content-Type",
        ),
        (
            "a form",
            vec![
                auth,
                key,
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            415,
            "unsupported-media-type",
            "x-www-form",
        ),
        (
            "text",
            vec![auth, key, ("content-type", "text/json")],
            415,
            "unsupported-media-type",
            "text/json",
        ),
        (
            "no key",
            vec![auth, json],
            400,
            "idempotency-key-missing",
            "Idempotency-Key",
        ),
        (
            "an empty key",
            vec![auth, json, ("idempotency-key", "")],
            400,
            "malformed-header",
            "Idempotency-Key",
        ),
        (
            "a long key",
            vec![auth, json, ("idempotency-key", &long)],
            400,
            "malformed-header",
            "Idempotency-Key",
        ),
        (
            "a key with a space",
            vec![auth, json, ("idempotency-key", "a b")],
            400,
            "malformed-header",
            "Idempotency-Key",
        ),
        (
            "two keys",
            vec![auth, json, key, ("idempotency-key", "l")],
            400,
            "malformed-header",
            "idempotency-key",
        ),
        (
            "deadline 0",
            vec![auth, json, key, deadline("0")],
            400,
            "malformed-header",
            "Chancery-Deadline-Ms",
        ),
        (
            "deadline -1",
            vec![auth, json, key, deadline("-1")],
            400,
            "malformed-header",
            "Chancery-Deadline-Ms",
        ),
        (
            "deadline 1.5",
            vec![auth, json, key, deadline("1.5")],
            400,
            "malformed-header",
            "Chancery-Deadline-Ms",
        ),
        (
            "deadline soon",
            vec![auth, json, key, deadline("soon")],
            400,
            "malformed-header",
            "Chancery-Deadline-Ms",
        ),
        (
            "deadline 60001",
            vec![auth, json, key, deadline("60001")],
            400,
            "malformed-header",
            "Chancery-Deadline-Ms",
        ),
        (
            "two deadlines",
            vec![auth, json, key, deadline("9"), deadline("9")],
            400,
            "malformed-header",
            "chancery-deadline-ms",
        ),
    ];
    for (what, headers, status, problem, detail) in &table {
        let body = order().to_string();
        let answer = send(&stand, Method::POST, ORDERS, headers, body).await;
        refused(what, &answer, *status, problem, detail);
        assert_eq!(
            answer.headers.get("www-authenticate").is_some(),
            *status == 401,
            "{what}"
        );
    }

    let put = send(&stand, Method::PUT, ORDERS, &[auth, json], String::new()).await;
    refused("PUT", &put, 405, "method-not-allowed", "method");
    assert_eq!(put.headers["allow"], "POST");
    let gone = send(&stand, Method::GET, "/v1/nothing", &[auth], String::new()).await;
    refused("an unknown path", &gone, 404, "not-found", "");

    let big = format!(r#"{{"price":"{}"}}"#, "0".repeat(10 * 1024 * 1024));
    let answer = send(&stand, Method::POST, ORDERS, &[auth, json, key], big).await;
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

/// Administrative bodies: the field is named here too.
#[tokio::test]
async fn a_bad_administrative_request_is_refused_by_name() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let wallet = json!({ "name": "w", "owner": "d", "key": "d-wk", "chainId": 137 });
    let client = json!({ "name": "c", "owner": "d", "key": "d-ck", "client_id": "x" });
    let caller = json!({ "name": "x", "owner": "d", "roles": ["trader"] });
    let changed = |body: &Value, member: &str, value: Value| {
        let mut body = body.clone();
        body[member] = value;
        body
    };
    let step = |to: Value, reason: Value| json!({ "to": to, "reason": reason });
    let table = [
        (
            "/v1/keys",
            changed(&key, "name", json!("No Name")),
            422,
            "invalid-field",
            "name",
        ),
        (
            "/v1/keys",
            changed(&key, "purpose", json!("both")),
            422,
            "invalid-field",
            "purpose",
        ),
        (
            "/v1/keys",
            changed(&key, "algorithm", json!("rsa2048")),
            422,
            "invalid-field",
            "algorithm",
        ),
        (
            "/v1/keys",
            changed(&key, "cryptoperiod_days", json!(0)),
            422,
            "invalid-field",
            "cryptoperiod_days",
        ),
        (
            "/v1/keys",
            changed(&key, "cryptoperiod_days", json!(70_000)),
            422,
            "invalid-field",
            "cryptoperiod_days",
        ),
        (
            "/v1/keys",
            changed(&key, "private_key", json!("0x1")),
            422,
            "invalid-field",
            "private_key",
        ),
        (
            "/v1/keys",
            changed(&key, "backend", json!("none")),
            503,
            "device-unavailable",
            "device",
        ),
        (
            "/v1/wallets",
            changed(&wallet, "chainId", json!(1)),
            422,
            "invalid-field",
            "chainId",
        ),
        (
            "/v1/wallets",
            changed(&wallet, "signatureType", json!(4)),
            422,
            "invalid-field",
            "signatureType",
        ),
        (
            "/v1/wallets",
            changed(&wallet, "signatureType", json!(3)),
            422,
            "invalid-field",
            "funder",
        ),
        (
            "/v1/wallets",
            changed(&wallet, "funder", json!("0x1")),
            422,
            "invalid-field",
            "funder",
        ),
        (
            "/v1/wallets",
            changed(&wallet, "key", json!("d-ck")),
            422,
            "invalid-field",
            "key",
        ),
        (
            "/v1/clients",
            changed(&client, "key", json!("d-wk")),
            422,
            "invalid-field",
            "key",
        ),
        (
            "/v1/clients",
            changed(&client, "client_id", json!("a b")),
            422,
            "invalid-field",
            "client_id",
        ),
        (
            "/v1/clients",
            changed(&client, "client_id", json!("")),
            422,
            "invalid-field",
            "client_id",
        ),
        (
            "/v1/callers",
            changed(&caller, "roles", json!([])),
            422,
            "invalid-field",
            "role",
        ),
        (
            "/v1/callers",
            changed(&caller, "roles", json!([""])),
            422,
            "invalid-field",
            "roles",
        ),
        (
            "/v1/callers",
            changed(&caller, "token_days", json!(91)),
            422,
            "invalid-field",
            "token_days",
        ),
        (
            "/v1/callers",
            changed(&caller, "token", json!("mine")),
            422,
            "invalid-field",
            "token",
        ),
        (
            "/v1/keys/d-wk/steps",
            step(json!("gone"), json!("x")),
            422,
            "invalid-field",
            "to",
        ),
        (
            "/v1/keys/d-wk/steps",
            step(json!("suspended"), json!("")),
            422,
            "invalid-field",
            "reason",
        ),
        (
            "/v1/keys/d-wk/steps",
            step(json!("suspended"), json!("a\u{0}b")),
            422,
            "invalid-field",
            "reason",
        ),
        (
            "/v1/keys/d-wk/steps",
            step(json!("destroyed"), json!("x")),
            409,
            "not-a-step",
            "destroyed",
        ),
    ];
    for (path, body, status, problem, detail) in &table {
        let answer = stand.operator.post(path, body).await;
        refused(&format!("{path} {body}"), &answer, *status, problem, detail);
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
    headers: Headers<'_>,
    body: String,
) -> Answer {
    let url = format!("{}{path}", stand.server.base);
    let mut request = stand.trader.http.request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await.unwrap()
}
