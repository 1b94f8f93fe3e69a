//! The same tokens in OAuth's form, and that neither a token nor an assertion is anywhere else.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::tokens::{AUDIENCE, Exchange};

/// A form, with this Authorization header.
async fn form(exchange: &Exchange, authorization: &str, pairs: &[(&str, &str)]) -> Answer {
    let body: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    raw(
        exchange,
        authorization,
        "application/x-www-form-urlencoded",
        body.join("&"),
    )
    .await
}

async fn raw(exchange: &Exchange, authorization: &str, kind: &str, body: String) -> Answer {
    let url = format!("{}/oauth/token", exchange.stand.trader.base);
    let request = reqwest::Client::new()
        .post(url)
        .header("content-type", kind)
        .body(body);
    let request = match authorization {
        "" => request,
        credential => request.header("authorization", credential),
    };
    Answer::of(request).await.unwrap()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn tools_that_know_only_oauth_get_the_same_token() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let token = exchange.stand.trader.token.clone();
    let bearer = format!("Bearer {token}");
    let known = exchange.token().await;
    let scope = ("scope", "read:orders");
    let mut answers = vec![
        form(&exchange, &bearer, &[GRANT, ("client_id", "ex-c"), scope]).await,
        form(
            &exchange,
            &bearer,
            &[
                GRANT,
                ("client_id", "ex-client"),
                scope,
                ("audience", AUDIENCE),
            ],
        )
        .await,
        form(
            &exchange,
            &bearer,
            &[
                GRANT,
                ("client_id", "ex-client"),
                scope,
                ("environment", "ex"),
            ],
        )
        .await,
        form(
            &exchange,
            &bearer,
            &[
                GRANT,
                ("client_id", "ex-c"),
                scope,
                ("resource", AUDIENCE),
                ("unheard_of", "x"),
            ],
        )
        .await,
        form(&exchange, &basic("ex-c", &token), &[GRANT, scope]).await,
        form(&exchange, &basic("ex-client", &token), &[GRANT, scope]).await,
    ];
    let json = json!({ "grant_type": "client_credentials", "client_id": "ex-c", "scope": "read:orders", "audience": AUDIENCE });
    answers.push(raw(&exchange, &bearer, "application/json", json.to_string()).await);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 200, "{at}: {}", answer.text);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.json["access_token"], known["access_token"], "{at}");
        assert_eq!(answer.json["token_type"], "Bearer");
        assert_eq!(answer.json["scope"], "read:orders");
        assert!(answer.json["expires_in"].as_u64().unwrap() <= 180);
    }
    let all = form(
        &exchange,
        &bearer,
        &[GRANT, ("client_id", "ex-c"), ("scope", "")],
    )
    .await;
    assert_eq!(all.json["scope"], "read:orders", "{}", all.text);
    let leaves = "select count(*) from leaves where kind = 'token'";
    assert_eq!(exchange.stand.database.count(leaves).await, 9);
    exchange.check().await;
}

/// What is asked, by whom, with which members; the status and the error that it meets.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "it is a list")]
async fn refusals_have_the_form_of_oauth() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let bearer = format!("Bearer {}", exchange.stand.trader.token);
    let client = ("client_id", "ex-c");
    let cases: [Case<'_>; 13] = [
        ("nobody", "", &[GRANT, client], 401, "invalid_client"),
        (
            "a stranger",
            "Bearer chancery_x",
            &[GRANT, client],
            401,
            "invalid_client",
        ),
        (
            "no password",
            &basic("ex-c", ""),
            &[GRANT],
            401,
            "invalid_client",
        ),
        ("no grant", &bearer, &[client], 400, "invalid_request"),
        (
            "twice",
            &bearer,
            &[GRANT, GRANT, client],
            400,
            "invalid_request",
        ),
        ("no client", &bearer, &[GRANT], 400, "invalid_request"),
        (
            "another grant",
            &bearer,
            &[("grant_type", "password"), client],
            400,
            "unsupported_grant_type",
        ),
        (
            "another client",
            &bearer,
            &[GRANT, ("client_id", "no-c")],
            400,
            "unauthorized_client",
        ),
        (
            "another API",
            &bearer,
            &[GRANT, client, ("audience", "https://x")],
            400,
            "unauthorized_client",
        ),
        (
            "no scope",
            &bearer,
            &[GRANT, client, ("scope", "a  b")],
            400,
            "invalid_scope",
        ),
        (
            "not permitted",
            &bearer,
            &[GRANT, client, ("scope", "write:kyc")],
            400,
            "invalid_scope",
        ),
        (
            "not granted",
            &bearer,
            &[GRANT, client, ("scope", "read:funding")],
            400,
            "invalid_scope",
        ),
        (
            "with quotes",
            &bearer,
            &[GRANT, ("client_id", "\"\\\u{e4}")],
            400,
            "unauthorized_client",
        ),
    ];
    for (what, authorization, pairs, status, error) in cases {
        let answer = form(&exchange, authorization, pairs).await;
        is_oauth(what, &answer, status, error);
    }
    let answer = raw(
        &exchange,
        &bearer,
        "text/plain",
        "grant_type=client_credentials".into(),
    )
    .await;
    is_oauth("a text", &answer, 415, "invalid_request");
    let answer = raw(&exchange, &bearer, "application/json", "[]".into()).await;
    is_oauth("a list", &answer, 400, "invalid_request");
    let large = format!("{{\"grant_type\":\"{}\"}}", "x".repeat(100_000));
    let answer = raw(&exchange, &bearer, "application/json", large).await;
    is_oauth("too large", &answer, 413, "invalid_request");
    let fault = json!({ "status": 429, "body": {}, "headers": { "retry-after": "9" } });
    exchange.fault(&fault).await;
    let answer = form(
        &exchange,
        &bearer,
        &[GRANT, client, ("scope", "read:orders")],
    )
    .await;
    is_oauth("throttled", &answer, 503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));

    let url = format!("{}/oauth/token", exchange.stand.trader.base);
    let get = Answer::of(reqwest::Client::new().get(url)).await.unwrap();
    is_oauth("GET", &get, 405, "invalid_request");
}

#[track_caller]
fn is_oauth(what: &str, answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status, &answer.json["error"]),
        (status, &json!(error)),
        "{what}: {}",
        answer.text
    );
    assert_eq!(answer.headers["content-type"], "application/json", "{what}");
    assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
    let said = answer.json["error_description"].as_str().unwrap();
    let allowed = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
    assert!(
        !said.is_empty() && said.chars().all(allowed),
        "{what}: {said}"
    );
    let challenged = answer.headers.get_all("www-authenticate").iter().count();
    assert_eq!(challenged, if status == 401 { 2 } else { 0 }, "{what}");
}

/// The server echoes what it was sent, the log is as chatty as it gets, and yet (P1).
#[tokio::test]
async fn neither_token_nor_assertion_is_in_logs_errors_or_tables() {
    let Some(exchange) = Exchange::new(&["read:orders"], "timeout_ms = 700").await else {
        return;
    };
    let chatty = exchange.stand.deployment.serve_at("trace", &[]).await;
    let trader = chatty.caller(&exchange.stand.trader.token);
    let path = "/v1/clients/ex-c/tokens";
    let mut secrets = Vec::new();
    let mut answers = Vec::new();
    let canary = "canary-0a1b2c3d4e5f";
    let own = json!({ "access_token": canary, "token_type": "Bearer", "expires_in": 180, "scope": "read:orders" });
    for fault in [
        Some(json!({ "status": 200, "body": own })),
        Some(
            json!({ "status": 200, "body": { "access_token": format!("{canary} ") }, "times": 3 }),
        ),
        Some(
            json!({ "status": 200, "body": { "access_token": canary, "expires_in": "soon" }, "times": 3 }),
        ),
        Some(
            json!({ "status": 200, "body": { "access_token": canary, "expires_in": 9, "scope": "write:kyc" } }),
        ),
        Some(json!({ "drop": true, "times": 3 })),
        Some(
            json!({ "status": 307, "headers": { "location": format!("https://x/?{canary}") }, "body": {} }),
        ),
        None,
    ] {
        if let Some(fault) = &fault {
            exchange.fault(fault).await;
        }
        let scope = [
            "read:orders",
            "read:accounts",
            "read:reports",
            "read:positions",
            "read:funding",
            "write:orders",
        ];
        let scope = scope.get(answers.len()).copied();
        let body = scope.map_or_else(|| json!({}), |scope| json!({ "scope": scope }));
        let answer = trader.post(path, &body).await;
        if answer.status == 200 {
            let token = answer.json["access_token"].as_str().unwrap().to_owned();
            secrets.push(token);
        } else {
            answers.push(answer.text.clone());
        }
        if answers.is_empty() {
            answers.push(String::new());
        }
    }
    assert!(secrets.len() == 2 && answers.len() > 5, "{answers:#?}");
    secrets.push(canary.to_owned());
    // Every assertion that was ever made: the signing input is in no table, so its start has to do.
    secrets.push("eyJ".to_owned());

    let log = chatty.log();
    assert!(log.contains("a token was fetched"), "the log was on");
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public'",
    )
    .fetch_all(&exchange.stand.database.pool)
    .await
    .unwrap();
    assert!(tables.iter().any(|it| it == "token_fetches"), "{tables:?}");
    let mut dump = String::new();
    for table in tables {
        let sql = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let sql = sqlx::AssertSqlSafe(sql);
        let text: String = sqlx::query_scalar(sql)
            .fetch_one(&exchange.stand.database.pool)
            .await
            .unwrap();
        dump.push_str(&text);
    }
    for secret in &secrets {
        let encoded = hex::encode(secret);
        for (place, text) in [
            ("the log", &log),
            ("an error", &answers.join("\n")),
            ("a table", &dump),
        ] {
            let found = text.find(secret.as_str()).or_else(|| text.find(&encoded));
            let around = found.map(|at| {
                text[at.saturating_sub(200)..]
                    .chars()
                    .take(260)
                    .collect::<String>()
            });
            assert!(found.is_none(), "{secret:.12} in {place}: {around:?}");
        }
    }
    let _: Value = exchange.token().await;
}
