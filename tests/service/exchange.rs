//! What the service knows of the Exchange API: scopes, endpoints, what a token opens, and what a
//! counterparty is given of a key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::oauth::discovery;
use chancery::oauth::environment::Environment;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::oauth_server::OAuthServer;
use crate::stand::{Stand, refused};
use crate::support::Answer;

const PREPROD: &str = r#"
    [oauth.environments.preprod]
    issuer = "https://pmx-preprod.us.auth0.com/"
    token_endpoint = "https://pmx-preprod.us.auth0.com/oauth/token"
    token_audience = "https://api.preprod.polymarketexchange.com"
"#;

#[tokio::test]
async fn which_scope_a_call_needs_is_one_question() {
    let Some(stand) = Stand::new(PREPROD).await else {
        return;
    };
    let scopes = stand.trader.get("/v1/exchange/scopes").await;
    let names: Vec<_> = scopes.json.as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 13);
    assert_eq!(names[0]["scope"], "read:marketdata");

    let ask = async |query: &str| -> Answer {
        let path = format!("/v1/exchange/endpoints?{query}");
        stand.trader.get(&path).await
    };
    let all = ask("").await;
    assert_eq!(all.json.as_array().unwrap().len(), 32, "{}", all.text);
    for (query, scope) in [
        ("method=GET&path=/v1/positions", json!("read:positions")),
        ("path=/v1/orderbook/ABC", json!("read:l2marketdata")),
        ("path=/v1/orderbook/ABC/bbo", json!("read:marketdata")),
        ("path=/v1/funding/balance-ledger", json!("read:positions")),
        (
            "method=gRPC&path=CreateMarketDataSubscription",
            json!("read:marketdata"),
        ),
        ("path=/v1/health", Value::Null),
    ] {
        let answer = ask(query).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        let found = answer.json.as_array().unwrap();
        assert_eq!(found.len(), 1, "{query}");
        assert_eq!(found[0]["required_scope"], scope, "{query}");
        assert!(found[0].get("available").is_none(), "{query}");
    }
    let symbol = ask("path=/v1/orderbook/ABC/bbo").await;
    assert_eq!(symbol.json[0]["parameters"], json!({ "symbol": "ABC" }));

    let earnings = "path=/v1/incentives/earnings&environment";
    let there = ask(&format!("{earnings}=dev01")).await.json;
    assert_eq!(there[0]["available"], true);
    assert_eq!(there[0]["host"], "https://api.dev01.polymarketexchange.com");
    assert_eq!(
        ask(&format!("{earnings}=preprod")).await.json[0]["available"],
        false
    );
    let stream = ask("path=CreateMarketDataSubscription&environment=preprod").await;
    let host = "grpc-api.preprod.polymarketexchange.com:443";
    assert_eq!(stream.json[0]["host"], host);

    for (query, status, problem, detail) in [
        (
            "method=POST&path=/v1/positions",
            404,
            "unknown-endpoint",
            "near it are GET /v1/positions",
        ),
        ("path=/v2/nothing", 404, "unknown-endpoint", "/v2/nothing"),
        (
            "path=/v1/positions&environment=prod",
            404,
            "not-found",
            "environment",
        ),
        ("method=HEAD", 400, "malformed-query", "HEAD"),
        ("scope=x", 400, "malformed-query", "scope"),
    ] {
        refused(query, &ask(query).await, status, problem, detail);
    }
    let nobody = stand.server.caller("nobody");
    let answer = nobody.get("/v1/exchange/scopes").await;
    refused("nobody", &answer, 401, "not-authenticated", "");
}

#[tokio::test]
async fn a_token_is_read_and_not_believed_or_kept() {
    let Some(stand) = Stand::new(PREPROD).await else {
        return;
    };
    let claims = json!({
        "iss": "https://pmx-preprod.us.auth0.com/", "azp": "c1", "exp": 1_700_000_000,
        "aud": "https://api.preprod.polymarketexchange.com",
        "scope": "read:orders read:reports some:thing",
    });
    let canary = "Y2FuYXJ5LXNpZ25hdHVyZQ";
    let token = format!(
        "e30.{}.{canary}",
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let question = json!({
        "token": token,
        "wanted": [
            { "path": "/v1/trading/orders/open" },
            { "method": "POST", "path": "/v1/trading/orders" },
            { "path": "/v1/incentives/earnings" },
            { "path": "/v1/order" },
        ],
    });
    let kept = "select count(*) from idempotency_keys";
    let before = stand.database.count(kept).await;
    let read = stand
        .trader
        .post("/v1/exchange/token-scopes", &question)
        .await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert_eq!(read.json["verified"], false);
    assert_eq!(read.json["granted"], json!(["read:orders", "read:reports"]));
    assert_eq!(read.json["undocumented"], json!(["some:thing"]));
    assert_eq!(read.json["environment"], "preprod");
    assert_eq!(read.json["expired"], true);
    let opens = read.json["opens"].as_array().unwrap();
    let opens: Vec<_> = opens.iter().map(|it| &it["endpoint"]).collect();
    assert_eq!(
        opens,
        [
            "/v1/trading/orders/open",
            "/v1/report/orders/search",
            "/v1/report/trades/search",
            "/v1/incentives/earnings",
            "/v1/health"
        ]
    );
    let missing = read.json["missing"].as_array().unwrap();
    let missing: Vec<_> = missing
        .iter()
        .map(|it| (&it["path"], &it["scope"]))
        .collect();
    let expected = [
        (json!("/v1/trading/orders"), json!("write:orders")),
        (json!("/v1/incentives/earnings"), Value::Null),
        (json!("/v1/order"), Value::Null),
    ];
    assert_eq!(
        missing,
        expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
    );

    // Nothing of it stays: no log, no row.
    assert!(!stand.server.log().contains(canary));
    assert_eq!(stand.database.count(kept).await, before);
    for (token, detail) in [
        (json!("a.b"), "no JWT"),
        (json!("A".repeat(20_000)), "larger"),
        (json!(7), "token"),
    ] {
        let answer = stand
            .trader
            .post("/v1/exchange/token-scopes", &json!({ "token": token }))
            .await;
        refused("token", &answer, 422, "invalid-field", detail);
    }
    let many = vec![json!({ "path": "/v1/users" }); 101];
    let answer = stand
        .trader
        .post(
            "/v1/exchange/token-scopes",
            &json!({ "token": token, "wanted": many }),
        )
        .await;
    refused("many", &answer, 422, "invalid-field", "at most 100");
}

#[tokio::test]
async fn a_counterparty_gets_one_key_in_forms_that_agree() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let bundle = stand.trader.get("/v1/keys/d-ck/bundle").await;
    assert_eq!(bundle.status, 200, "{}", bundle.text);
    let bundle = bundle.json;
    let pem = bundle["pem"].as_str().unwrap();
    assert_eq!(bundle["pem_sha256"], hex::encode(Sha256::digest(pem)));
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    assert_eq!(bundle["fingerprint"], hex::encode(Sha256::digest(&der)));
    let base64 = STANDARD.encode(Sha256::digest(&der));
    assert_eq!(bundle["fingerprint_base64"], base64);
    assert_eq!(bundle["jwk"]["kid"], bundle["thumbprint"]);
    assert_eq!(bundle["environment"], "dev01");
    assert_eq!(bundle["client_ids"], json!(["d-client"]));
    assert_eq!(bundle["algorithm"], "rsa2048");

    // The command writes the very bytes.
    let token = stand
        .deployment
        .dir
        .write("trader.token", &stand.trader.token);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args([
            "keys",
            "bundle",
            "d-ck",
            "--pem",
            "--url",
            &stand.server.base,
        ])
        .arg("--token-file")
        .arg(token)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), pem);

    let set = stand.trader.get("/v1/clients/d-c/jwks.json").await;
    assert_eq!(set.json, json!({ "keys": [bundle["jwk"]] }));
    for member in ["d", "p", "q"] {
        assert!(set.json["keys"][0].get(member).is_none());
    }

    let other = stand.another("other", "e", "trader").await;
    for path in ["/v1/keys/d-ck/bundle", "/v1/clients/d-c/jwks.json"] {
        refused(
            path,
            &other.get(path).await,
            404,
            "not-found",
            "not for you",
        );
    }
}

#[tokio::test]
async fn a_key_set_is_public_only_where_that_was_said() {
    let more = "[http]\nlisten = \"127.0.0.1:0\"\npublic_jwks = true";
    for (more, public) in [("", false), (more, true)] {
        let Some(stand) = Stand::new(more).await else {
            return;
        };
        let url = |path: &str| format!("{}{path}", stand.server.base);
        let http = reqwest::Client::new();
        let open = async |path: &str| Answer::of(http.get(url(path))).await.unwrap();
        let set = open("/v1/clients/d-c/jwks.json").await;
        if public {
            assert_eq!(set.status, 200, "{}", set.text);
            assert_eq!(set.json["keys"].as_array().unwrap().len(), 1);
        } else {
            refused("no token", &set, 401, "not-authenticated", "");
        }
        // A wrong token is wrong also where none is needed.
        let wrong = stand.server.caller("chy_wrong");
        let answer = wrong.get("/v1/clients/d-c/jwks.json").await;
        refused("wrong token", &answer, 401, "not-authenticated", "");
        let answer = open("/v1/clients/d-c").await;
        refused("the client", &answer, 401, "not-authenticated", "");

        let step = json!({ "to": "compromised", "reason": "test" });
        let moved = stand.operator.post("/v1/keys/d-ck/steps", &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
        let set = stand.trader.get("/v1/clients/d-c/jwks.json").await;
        assert_eq!(set.json, json!({ "keys": [] }), "others may hold it");
    }
}

/// The answers of a real authorization server and of the API that trusts it, explained.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, with one server")]
async fn a_refusal_is_told_apart_and_its_cause_is_found() {
    let Some(server) = OAuthServer::start() else {
        return;
    };
    let api = server.token_endpoint.replace("/oauth/token", "");
    let more = format!(
        "[oauth.environments.real]\nissuer = \"{}\"\ntoken_endpoint = \"{}\"\ntoken_audience = \"{api}\"\n",
        server.issuer, server.token_endpoint
    );
    let Some(stand) = Stand::new(&more).await else {
        return;
    };
    let key = json!({
        "name": "rk", "purpose": "client", "backend": "soft", "environment": "real", "owner": "d",
    });
    let client = json!({ "name": "r", "owner": "d", "key": "rk", "client_id": "real-client" });
    let step = json!({ "to": "active", "reason": "test" });
    for (path, body) in [
        ("/v1/keys", &key),
        ("/v1/keys/rk/steps", &step),
        ("/v1/clients", &client),
    ] {
        let made = stand.operator.post(path, body).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let pem = stand.trader.get("/v1/keys/rk/bundle").await.json["pem"].clone();
    let registration = json!({ "grants": { &api: ["read:orders"] }, "keys": [{ "pem": pem }] });
    let path = "clients/real-client";
    server
        .admin(reqwest::Method::PUT, path, &registration)
        .await;

    let issue = async || {
        let issued = stand
            .trader
            .post("/v1/clients/r/assertions", &json!({}))
            .await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        issued.json
    };
    let explain = async |question: Value| -> Value {
        let path = "/v1/exchange/explain";
        let answer = stand.trader.post(path, &question).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    };
    let codes = |answer: &Value| -> Vec<String> {
        let findings = answer["findings"].as_array().unwrap().iter();
        findings
            .map(|it| it["code"].as_str().unwrap().to_owned())
            .collect()
    };

    // What its tokens may do is known once one was fetched.
    let scopes = async || stand.trader.get("/v1/clients/r/scopes").await.json;
    let before = scopes().await;
    assert_eq!(before["granted"], Value::Null, "{before}");
    let permitted = before["permitted"].as_array().unwrap();
    assert!(permitted.contains(&json!("read:orders")), "{before}");
    let fetched = stand.trader.post("/v1/clients/r/tokens", &json!({})).await;
    assert_eq!(fetched.status, 200, "{}", fetched.text);
    let after = scopes().await;
    assert_eq!(after["granted"], json!(["read:orders"]), "{after}");
    assert_eq!(after["granted_is_all"], true);
    let opens = after["opens"].as_array().unwrap();
    let opens: Vec<_> = opens.iter().map(|it| &it["endpoint"]).collect();
    assert_eq!(opens, ["/v1/trading/orders/open", "/v1/health"]);
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let seen = auditor.get("/v1/clients/r/scopes").await.json;
    assert_eq!(seen["permitted"], json!([]), "who may only look");

    // Spent: the server refuses the second delivery, and nothing in the claims is wrong.
    let issued = issue().await;
    let (status, token) = server.exchange(&issued).await;
    assert_eq!(status, 200, "{token}");
    let (status, body) = server.exchange(&issued).await;
    let explained = explain(json!({
        "assertion": issued["client_assertion"], "answer": { "status": status, "body": body },
    }))
    .await;
    assert_eq!(codes(&explained), ["invalid-client-assertion"]);
    let notes = explained["notes"].to_string();
    assert!(notes.contains("one delivery"), "{notes}");
    assert_eq!(explained["record"]["id"], issued["id"]);
    assert_eq!(explained["expected"]["environment"], "real");
    assert_eq!(explained["expected"]["keys"]["rk"]["state"], "active");

    // The same by its id; and with other claims under its jti.
    let by_id = explain(json!({ "id": issued["id"] })).await;
    assert_eq!(by_id["verdict"], "nothing-wrong", "{by_id}");
    let claims = &explained["record"]["record"]["claims"];
    let mut other = claims.clone();
    other["exp"] = json!(claims["exp"].as_i64().unwrap() + 600);
    let reused = explain(json!({ "claims": other })).await;
    assert_eq!(codes(&reused), ["lifetime-too-long", "jti-reused"]);

    // The server went over to the issuer: the answer alone does not say so, the policy does.
    let policy = json!({ "aud_policy": "issuer" });
    server
        .admin(reqwest::Method::PATCH, "settings", &policy)
        .await;
    let (status, body) = server.exchange(&issue().await).await;
    let explained = explain(json!({
        "environment": "real", "answer": { "status": status, "body": body },
    }))
    .await;
    assert_eq!(codes(&explained), ["invalid-client-assertion"]);
    let notes = explained["notes"].to_string();
    assert!(notes.contains("assertion_aud = token-endpoint"), "{notes}");
    let mut elsewhere = claims.clone();
    elsewhere["aud"] = json!("https://pmx-dev01.us.auth0.com/oauth/token");
    elsewhere["jti"] = json!("x");
    let explained = explain(json!({ "claims": elsewhere })).await;
    assert_eq!(codes(&explained), ["aud-elsewhere"]);

    // The API's own refusals.
    let http = reqwest::Client::new();
    for (path, bearer, code) in [
        (
            "/v1/positions",
            token["access_token"].as_str().unwrap(),
            "scope-missing",
        ),
        ("/v1/trading/orders/open", "e30.e30.x", "token-not-taken"),
    ] {
        let call = http.get(format!("{api}{path}")).bearer_auth(bearer);
        let answer = Answer::of(call).await.unwrap();
        let explained = explain(json!({
            "answer": { "status": answer.status, "body": answer.text }, "token": bearer,
            "call": { "method": "GET", "path": path },
        }))
        .await;
        assert_eq!(codes(&explained), [code], "{}", answer.text);
    }

    // Nobody sees more than they may: not the record, and not whose it is.
    let other = stand.another("other", "e", "trader").await;
    let question = json!({ "assertion": issued["client_assertion"] });
    let seen = other.post("/v1/exchange/explain", &question).await.json;
    assert_eq!(seen["record"], Value::Null);
    assert_eq!(codes(&seen), ["client-unknown"]);
    assert!(!seen.to_string().contains("rk"), "{seen}");
    let answer = other
        .post("/v1/exchange/explain", &json!({ "id": issued["id"] }))
        .await;
    refused("id", &answer, 404, "not-found", "not for you");

    // Nothing of it is kept.
    let assertion = issued["client_assertion"].as_str().unwrap();
    let signature = assertion.rsplit('.').next().unwrap();
    let log = stand.server.log();
    assert!(!log.contains(signature) && !log.contains(token["access_token"].as_str().unwrap()));

    for (question, status, problem, detail) in [
        (json!({ "client": "nobody" }), 404, "not-found", "client"),
        (
            json!({ "environment": "nowhere" }),
            404,
            "not-found",
            "environment",
        ),
        (
            json!({ "environment": "dev01", "client": "r" }),
            422,
            "invalid-field",
            "the client is of real",
        ),
        (json!({ "token": "x" }), 422, "invalid-field", "token"),
        (
            json!({ "claims": {}, "assertion": "a.b.c" }),
            422,
            "invalid-field",
            "give one of",
        ),
        (json!({ "header": {} }), 422, "invalid-field", "give one of"),
    ] {
        let answer = stand.trader.post("/v1/exchange/explain", &question).await;
        refused(&question.to_string(), &answer, status, problem, detail);
    }
}

/// What a server says of itself is compared with the configuration.
#[tokio::test]
async fn a_server_s_own_names_and_clock_are_compared() {
    let Some(server) = OAuthServer::start() else {
        return;
    };
    let environment = |endpoint: &str| -> Environment {
        let text = format!(
            "issuer = {:?}\ntoken_endpoint = {endpoint:?}\ntoken_audience = \"https://api\"",
            server.issuer
        );
        toml::from_str(&text).unwrap()
    };
    let right = environment(&server.token_endpoint);
    let found = discovery::ask(&right).await.unwrap();
    assert_eq!(found.contradicts(&right), None);
    let theirs = found.server_time.unwrap();
    assert!((chancery::clock::Clock::system().unix_s() - theirs).abs() < 60);
    let wrong = environment(&format!("{}x", server.token_endpoint));
    let said = found.contradicts(&wrong).unwrap();
    assert!(said.contains("token_endpoint"), "{said}");
}

#[tokio::test]
async fn the_environments_are_shown_as_they_are_configured() {
    let Some(stand) = Stand::new(PREPROD).await else {
        return;
    };
    let shown = stand.trader.get("/v1/environments").await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let names = shown.json.as_array().unwrap().iter().map(|it| &it["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["dev01", "preprod"]);
    let preprod = &shown.json[1];
    for (member, value) in [
        ("issuer", json!("https://pmx-preprod.us.auth0.com/")),
        ("aud_policy", json!("token-endpoint")),
        (
            "assertion_aud",
            json!("https://pmx-preprod.us.auth0.com/oauth/token"),
        ),
        (
            "api_url",
            json!("https://api.preprod.polymarketexchange.com"),
        ),
        (
            "grpc_host",
            json!("grpc-api.preprod.polymarketexchange.com:443"),
        ),
        ("kid", json!("omit")),
        ("lifetime_s", json!(60)),
        ("token_request", json!("form")),
    ] {
        assert_eq!(preprod[member], value, "{member}");
    }
    let nobody = stand.server.caller("nobody").get("/v1/environments").await;
    refused("nobody", &nobody, 401, "not-authenticated", "");
}
