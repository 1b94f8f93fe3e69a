//! Headers of level 2: for exactly the request that was asked about, by those who may, and the secret
//! behind them nowhere to be seen.

use chancery::clob::l2;
use chancery::config::Config;
use chancery::credentials::{Account, Kind, SealedPair};
use chancery::custody::{self, Vault};
use chancery::ledger::Ledger;
use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller, order};

pub(crate) const KEY: &str = "6f1d1f3a-0000-4000-8000-000000000001";
pub(crate) const SECRET: &str = "Q0FOQVJZLXNlY3JldC1DQU5BUlktc2VjcmV0LTAwMDE=";
pub(crate) const PASSPHRASE: &str = "canary-passphrase-0001";
const L2: &str = "/v1/wallets/d-w/l2-headers";
pub(crate) const BUILDER: &str = "/v1/wallets/d-w/builder-headers";
pub(crate) const GIVE: &str = "/v1/wallets/d-w/builder-credentials";

pub(crate) fn given(api_key: &str) -> Value {
    json!({ "apiKey": api_key, "secret": SECRET, "passphrase": PASSPHRASE })
}

pub(crate) async fn give(stand: &Stand) {
    let given = stand.operator.post(GIVE, &given(KEY)).await;
    assert_eq!(given.status, 201, "{}", given.text);
}

/// A trading key for `d-w`, put on record as if the venue had made it.
pub(crate) async fn trading_key(stand: &Stand, api_key: &str) {
    let config = Config::load(&stand.deployment.file("config.toml")).unwrap();
    let ledger = Ledger::open(&config.ledger, None).unwrap();
    let soft: chancery::name::Name = "soft".parse().unwrap();
    let device = custody::open(&soft, &config.custody[&soft], &ledger).unwrap();
    let vault = Vault::new([(soft.clone(), device)].into(), &config.secrets);
    let wallet = stand.trader.get("/v1/wallets/d-w").await.json;
    let account = Account {
        chain_id: 137,
        address: wallet["address"].as_str().unwrap().parse().unwrap(),
    };
    let whose = (&account, Kind::Trading, api_key);
    let sealed = SealedPair::seal(&vault, &soft, whose, 1, (SECRET, PASSPHRASE)).await;
    let sealed = sealed.unwrap();
    sqlx::query(
        "with account as (
             insert into accounts (id, chain_id, address) values (gen_random_uuid(), 137, $1)
             on conflict (chain_id, address) do update set created_at = accounts.created_at returning id),
         nonce as (
             insert into credential_nonces (account_id, nonce, origin, recorded_by)
             select account.id, (select count(*) from credential_nonces), 'declared', callers.id
             from account, callers limit 1 returning account_id, nonce, recorded_by)
         insert into credentials (id, account_id, kind, api_key, nonce, version, sealed_in, sealed_secret,
                                  sealed_passphrase, origin, state, created_by)
         select gen_random_uuid(), account_id, 'trading', $2, nonce, 1, 'soft', $3, $4, 'derived',
                'unproven', recorded_by from nonce",
    )
    .bind(account.address.0)
    .bind(api_key)
    .bind(sealed.secret)
    .bind(sealed.passphrase)
    .execute(&stand.database.pool)
    .await
    .unwrap();
}

/// The signature that the venue computes for what is sent.
pub(crate) fn expected(timestamp: &Value, method: &str, path: &str, body: &str) -> String {
    let timestamp: i64 = timestamp.as_str().unwrap().parse().unwrap();
    let key = l2::key(SECRET.as_bytes()).unwrap();
    l2::signature(&l2::mac(&key, &l2::message(timestamp, method, path, body)))
}

pub(crate) fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

pub(crate) async fn plain_post(caller: &Caller, path: &str, body: &Value) -> Answer {
    let request = caller.http.post(format!("{}{path}", caller.base));
    caller.send(request.json(body)).await.unwrap()
}

#[tokio::test]
async fn headers_are_those_of_the_request_and_nothing_else_is_told() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let ask = json!({ "method": "GET", "path": "/data/orders" });
    let none = stand.trader.post(L2, &ask).await;
    refused("no key", &none, 409, "no-credential", "no API key");
    trading_key(&stand, KEY).await;

    let order =
        format!(r#"{{"order":{{"salt":7,"tokenId":"1001"}},"owner":"{KEY}","orderType":"GTC"}}"#);
    for (method, path, body) in [
        ("GET", "/data/orders", None),
        ("DELETE", "/cancel-all", Some("")),
        ("POST", "/order", Some(order.as_str())),
        ("DELETE", "/order", Some("{\"note\":\"it's caf\u{e9}\"}")),
    ] {
        let ask = json!({ "method": method, "path": path, "body": body });
        let made = plain_post(&stand.trader, L2, &ask).await;
        assert_eq!(made.status, 200, "{}", made.text);
        assert_eq!(made.headers["cache-control"], "no-store");
        let headers = &made.json["headers"];
        let names: Vec<_> = ["ADDRESS", "SIGNATURE", "TIMESTAMP", "API_KEY", "PASSPHRASE"]
            .map(|name| format!("POLY_{name}"))
            .into();
        let theirs: std::collections::BTreeSet<_> = headers.as_object().unwrap().keys().collect();
        assert_eq!(theirs, names.iter().collect());
        let wanted = expected(&headers["POLY_TIMESTAMP"], method, path, body.unwrap_or(""));
        assert_eq!(
            headers["POLY_SIGNATURE"],
            wanted.as_str(),
            "{method} {path}"
        );
        let wallet = stand.trader.get("/v1/wallets/d-w").await.json;
        assert_eq!(headers["POLY_ADDRESS"], wallet["address"]);
        assert_eq!(headers["POLY_API_KEY"], KEY);
        assert_eq!(headers["POLY_PASSPHRASE"], PASSPHRASE);
        assert_eq!(made.json["apiKey"], KEY);
        assert!(!made.text.contains(SECRET));

        let id = made.json["id"].as_str().unwrap();
        let entry = stand.trader.get(&format!("/v1/signatures/{id}")).await;
        assert_eq!(entry.json["operation"], "l2-headers");
        assert_eq!(entry.json["outcome"], "released");
        assert_eq!(entry.json["answer"], Value::Null);
        let record = &entry.json["record"];
        assert_eq!(
            (&record["method"], &record["path"]),
            (&json!(method), &json!(path))
        );
        assert_eq!(record["apiKey"], KEY);
        assert_eq!(record["body"].is_null(), body.unwrap_or("").is_empty());
        if path == "/order" && method == "POST" {
            assert_eq!(record["orders"][0]["salt"], 7);
            assert_eq!(record["orders"][0]["orderType"], "GTC");
        }
        assert!(!entry.text.contains("it's"), "{}", entry.text);
    }

    // The same again under one key, and one's own timestamp.
    let ask = json!({ "method": "GET", "path": "/data/orders", "timestamp": now() - 5 });
    let first = stand.trader.post_as("k", L2, &ask).await.unwrap();
    assert_eq!(
        first.json["headers"]["POLY_TIMESTAMP"],
        ask["timestamp"].to_string()
    );
    let again = stand.trader.post_as("k", L2, &ask).await.unwrap();
    assert_eq!(again.text, first.text);
    assert_eq!(again.headers["idempotency-replayed"], "true");
}

#[tokio::test]
async fn no_headers_are_made_for_what_the_venue_would_not_take() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    trading_key(&stand, KEY).await;
    let post = |owner: &str| json!({ "order": { "salt": 7 }, "owner": owner }).to_string();
    for (what, ask, detail) in [
        (
            "query",
            json!({ "method": "GET", "path": "/data/orders?id=1" }),
            "query",
        ),
        (
            "host",
            json!({ "method": "GET", "path": "https://evil.example/order" }),
            "path",
        ),
        (
            "dots",
            json!({ "method": "GET", "path": "/a/../b" }),
            "path",
        ),
        (
            "method",
            json!({ "method": "get", "path": "/order" }),
            "method",
        ),
        (
            "piece",
            json!({ "method": "POST", "path": "/ord", "body": "er{}" }),
            "body",
        ),
        (
            "object",
            json!({ "method": "POST", "path": "/order", "body": {} }),
            "body",
        ),
        (
            "owner",
            json!({ "method": "POST", "path": "/order", "body": post("another") }),
            "owner",
        ),
        (
            "owners",
            json!({ "method": "POST", "path": "/orders", "body": format!("[{},{}]", post(KEY), post("another")) }),
            "owner",
        ),
        (
            "envelope",
            json!({ "method": "POST", "path": "/order", "body": "{}" }),
            "order and owner",
        ),
        (
            "early",
            json!({ "method": "GET", "path": "/order", "timestamp": now() + 90 }),
            "timestamp",
        ),
        (
            "late",
            json!({ "method": "GET", "path": "/order", "timestamp": now() - 90 }),
            "timestamp",
        ),
        (
            "never",
            json!({ "method": "GET", "path": "/order", "timestamp": i64::MIN }),
            "timestamp",
        ),
        (
            "more",
            json!({ "method": "GET", "path": "/order", "digest": "0x00" }),
            "digest",
        ),
    ] {
        let answer = stand.trader.post(L2, &ask).await;
        let problem = answer.problem().to_owned();
        assert!(
            ["invalid-field", "malformed-body"].contains(&problem.as_str()),
            "{what} {problem}"
        );
        refused(what, &answer, answer.status, &problem, detail);
    }
    assert_eq!(stand.signed().await, (0, 0));
}

#[tokio::test]
async fn no_headers_are_made_that_go_around_a_right_or_outlast_it() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    trading_key(&stand, KEY).await;
    let before = stand.signed().await;
    // A trader's right to headers is no right to make API keys, or to end them.
    for (method, path) in [
        ("DELETE", "/auth/api-key"),
        ("DELETE", "/Auth/Api-Key"),
        ("POST", "/auth/builder-api-key"),
        ("POST", "/auth/readonly-api-key"),
    ] {
        let ask = json!({ "method": method, "path": path });
        let answer = stand.trader.post(L2, &ask).await;
        refused(path, &answer, 403, "denied", "credential");
    }
    let ask = json!({ "method": "GET", "path": "/data/orders" });
    let operator = stand.operator.post(L2, &ask).await;
    refused("operator", &operator, 403, "denied", "issue_l2_headers");
    let stranger = stand.another("e-trader", "e", "trader").await;
    refused(
        "stranger",
        &stranger.post(L2, &ask).await,
        404,
        "not-found",
        "wallet",
    );
    assert_eq!(stand.signed().await, before);
    stand.still_signs().await;

    // What is open in memory does not outlast the key's right to sign.
    assert_eq!(stand.trader.post(L2, &ask).await.status, 200);
    let step = json!({ "to": "suspended", "reason": "test" });
    let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    refused(
        "suspended",
        &stand.trader.post(L2, &ask).await,
        409,
        "key-not-active",
        "suspended",
    );
}

#[tokio::test]
async fn a_trader_posts_and_cancels_at_the_clob_without_ever_holding_the_secret() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&venue.section("polygon")).await else {
        return;
    };
    let new = json!({ "mode": "create", "nonce": 0 });
    let made = stand
        .operator
        .post("/v1/wallets/d-w/credentials", &new)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let api_key = made.json["apiKey"].as_str().unwrap().to_owned();
    let http = reqwest::Client::new();
    let send = async |method: &str, path: &str, signed: &str, sent: &str| {
        let ask = json!({ "method": method, "path": path, "body": signed });
        let made = stand.trader.post(L2, &ask).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let mut request = http.request(method.parse().unwrap(), format!("{}{path}", venue.url));
        for (name, value) in made.json["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let request = request.header("content-type", "application/json");
        Answer::of(request.body(sent.to_owned())).await.unwrap()
    };
    let mut order = order();
    order["owner"] = api_key.clone().into();
    order["orderType"] = "GTC".into();
    order["price"] = "0.5".into();
    order["tokenID"] = "1001".into();
    let signed = stand.trader.post("/v1/wallets/d-w/orders", &order).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let body = signed.json["envelope"].to_string();
    let altered = send("POST", "/order", &body, &body.replace("GTC", "GTD")).await;
    assert_eq!(altered.status, 401, "{}", altered.text);
    let posted = send("POST", "/order", &body, &body).await;
    assert_eq!(posted.status, 200, "{}", posted.text);
    assert_eq!(posted.json["success"], true, "{}", posted.text);

    let order_id = posted.json["orderID"].as_str().unwrap();
    assert_eq!(signed.json["orderHash"], order_id);
    let cancel = json!({ "orderID": order_id }).to_string();
    let gone = send("DELETE", "/order", &cancel, &cancel).await;
    assert_eq!(gone.json["canceled"], json!([order_id]), "{}", gone.text);
    let open = send("GET", "/data/orders", "", "").await;
    assert_eq!(open.json["data"], json!([]), "{}", open.text);
}

#[tokio::test]
async fn a_secret_that_was_moved_to_another_row_does_not_open() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    trading_key(&stand, KEY).await;
    give(&stand).await;
    let sql = "update credentials c set sealed_secret = o.sealed_secret from credentials o where o.id <> c.id";
    sqlx::query(sql)
        .execute(&stand.database.pool)
        .await
        .unwrap();
    let ask = json!({ "method": "GET", "path": "/data/orders" });
    for path in [L2, BUILDER] {
        let answer = stand.trader.post(path, &ask).await;
        refused(path, &answer, 503, "device-unavailable", "operator");
    }
    let released = "select count(*) from ends where outcome = 'released'";
    assert_eq!(stand.database.count(released).await, 0);
    let ended = "select count(*) from signatures where outcome = 'abandoned'";
    assert_eq!(stand.database.count(ended).await, 2);
}

#[tokio::test]
async fn secret_and_passphrase_rest_nowhere_in_plain() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let _ = stand.server.terminate();
    stand.server = stand.deployment.serve_at("trace", &[]).await;
    let base = stand.server.base.clone();
    stand.operator.base.clone_from(&base);
    stand.trader.base = base;
    trading_key(&stand, KEY).await;
    give(&stand).await;
    let mut said = String::new();
    for path in [L2, BUILDER] {
        for ask in [
            json!({ "method": "POST", "path": "/cancel-all", "body": "{\"canary\":\"body-canary\"}" }),
            json!({ "method": "POST", "path": "/x?y" }),
        ] {
            let answer = stand.trader.post(path, &ask).await;
            let id = answer.json["id"].as_str().unwrap_or("none").to_owned();
            said += &stand.trader.get(&format!("/v1/signatures/{id}")).await.text;
        }
    }
    let mut wrong = given("x");
    wrong["passphrase"] = format!("{PASSPHRASE}\n").into();
    said += &stand.operator.post(GIVE, &wrong).await.text;
    wrong["secret"] = format!("{SECRET}!").into();
    said += &stand.operator.post(GIVE, &wrong).await.text;
    wrong["secret"] = json!([SECRET]);
    said += &stand.operator.post(GIVE, &wrong).await.text;
    stand.server.terminate();
    said += &stand.server.log();

    let tables =
        "select table_name::text from information_schema.tables where table_schema = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&stand.database.pool)
        .await
        .unwrap();
    assert!(tables.iter().any(|it| it == "ends") && tables.iter().any(|it| it == "credentials"));
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("select t::text from {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&stand.database.pool)
            .await
            .unwrap();
        said += &rows.join("\n");
    }
    assert!(
        said.contains("cancel-all") && said.contains(KEY),
        "there is something to search"
    );
    let key = l2::key(SECRET.as_bytes()).unwrap();
    for canary in [
        SECRET.as_bytes(),
        PASSPHRASE.as_bytes(),
        &key,
        b"body-canary",
    ] {
        let (text, digits) = (String::from_utf8_lossy(canary), hex::encode(canary));
        assert!(!said.contains(&*text), "{text}");
        assert!(!said.contains(&digits), "{text} in hexadecimal");
    }
}
