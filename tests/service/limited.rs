//! How much a caller may do of what they may do.

use serde_json::{Value, json};

use crate::stand::{Stand, refused, with};
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller, order};
use crate::tokens::Exchange;

const ORDERS: &str = "/v1/wallets/d-w/orders";
/// What `order()` is for, in base units: 21.04 at 0.56.
const NOTIONAL: u64 = 11_782_400;

async fn put(who: &Caller, of: &str, limits: &Value) -> Answer {
    who.put(&format!("/v1/limits/{of}"), limits).await
}

async fn remove(who: &Caller, of: &str, key: &str) -> Answer {
    let request = who.http.delete(format!("{}/v1/limits/{of}", who.base));
    who.send(request.header("idempotency-key", key))
        .await
        .unwrap()
}

pub(crate) async fn set(stand: &Stand, of: &str, limits: Value) {
    let answer = put(&stand.operator, of, &limits).await;
    assert_eq!(answer.status, 201, "{of} {limits}: {}", answer.text);
}

async fn used(stand: &Stand, of: &str, limit: &str) -> (String, String) {
    let usage = stand.operator.get(&format!("/v1/limits/{of}/usage")).await;
    assert_eq!(usage.status, 200, "{}", usage.text);
    let all = usage.json["used"].as_array().unwrap();
    let found = all.iter().find(|it| it["limit"] == limit).unwrap();
    let text = |member: &str| found[member].as_str().unwrap().to_owned();
    (text("used"), text("left"))
}

/// The limit that stands in the way, whole.
#[track_caller]
fn exceeded<'a>(answer: &'a Answer, limit: &str) -> &'a Value {
    refused(limit, answer, 403, "limit-exceeded", limit);
    let said = &answer.json["limit"];
    assert_eq!(said["limit"], limit, "{}", answer.text);
    for member in ["scope", "id", "value", "asked"] {
        assert!(said[member].is_string(), "{member}: {}", answer.text);
    }
    said
}

#[tokio::test]
async fn a_refusal_names_the_limit_what_is_used_what_was_asked_and_when_there_is_room() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let most = (2 * NOTIONAL + 5).to_string();
    set(&stand, "caller/d-trader", json!({ "notional_1h": most })).await;
    for _ in 0..2 {
        let signed = stand.trader.post(ORDERS, &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let before = stand.signed().await;
    let answer = stand.trader.post(ORDERS, &order()).await;
    let said = exceeded(&answer, "notional_1h");
    assert_eq!(said["value"], most.as_str());
    assert_eq!(said["used"], (2 * NOTIONAL).to_string());
    assert_eq!(said["asked"], NOTIONAL.to_string());
    assert_eq!(said["scope"], "caller");
    assert!(said["resets_at"].as_str().unwrap().ends_with('Z'), "{said}");
    assert_eq!(stand.signed().await, before, "no intent, no release");
    let used = used(&stand, "caller/d-trader", "notional_1h").await;
    assert_eq!(used, ((2 * NOTIONAL).to_string(), "5".to_owned()));

    // Another caller of the desk is not meant; the wallet's limit is for both.
    let other = stand.another("other", "d", "trader").await;
    assert_eq!(other.post(ORDERS, &order()).await.status, 200);
    let wallet = json!({ "notional_24h": (NOTIONAL - 1).to_string() });
    set(&stand, "wallet/d-w", wallet).await;
    let answer = other.post(ORDERS, &order()).await;
    let said = exceeded(&answer, "notional_24h");
    assert!(said["resets_at"].is_null(), "it would never fit: {said}");
}

#[tokio::test]
async fn what_is_refused_leaves_its_key_free_and_what_was_answered_is_answered_again() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let limit = |most: u64| json!({ "notional_24h": most.to_string() });
    set(&stand, "global/all", limit(NOTIONAL)).await;
    let first = stand
        .trader
        .post_as("first", ORDERS, &order())
        .await
        .unwrap();
    assert_eq!(first.status, 200, "{}", first.text);
    let full = stand
        .trader
        .post_as("second", ORDERS, &order())
        .await
        .unwrap();
    exceeded(&full, "notional_24h");
    // Also a limit that is looked at before anything is counted does not take an answer back.
    for strict in [
        limit(NOTIONAL),
        json!({ "order_notional": "1", "notional_24h": "1" }),
    ] {
        set(&stand, "global/all", strict).await;
        let again = stand
            .trader
            .post_as("first", ORDERS, &order())
            .await
            .unwrap();
        assert_eq!(again.text, first.text);
        assert_eq!(again.headers["idempotency-replayed"], "true");
    }
    set(&stand, "global/all", limit(2 * NOTIONAL)).await;
    let now = stand
        .trader
        .post_as("second", ORDERS, &order())
        .await
        .unwrap();
    assert_eq!(now.status, 200, "{}", now.text);
    let last = stand
        .trader
        .post_as("third", ORDERS, &order())
        .await
        .unwrap();
    exceeded(&last, "notional_24h");
}

#[tokio::test]
async fn in_a_batch_what_fits_is_signed_and_the_rest_is_refused() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let most = (3 * NOTIONAL + 1).to_string();
    set(
        &stand,
        "key/d-wk",
        json!({ "notional_1m": most, "orders": { "per_s": 1, "burst": 100 } }),
    )
    .await;
    let orders: Vec<_> = (0..5).map(|_| order()).collect();
    let path = "/v1/wallets/d-w/orders/batch";
    let answer = stand.trader.post(path, &json!({ "orders": orders })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let outcomes = answer.json["orders"].as_array().unwrap();
    let statuses: Vec<_> = outcomes
        .iter()
        .map(|it| it["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 200, 200, 403, 403], "{}", answer.text);
    assert_eq!(outcomes[3]["problem"]["limit"]["limit"], "notional_1m");
    assert_eq!(stand.signed().await, (3, 3));
}

#[tokio::test]
async fn an_order_keeps_within_what_is_written_for_its_fields() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let token = order()["tokenID"].as_str().unwrap().to_owned();
    let market = format!("market/{token}");
    let in_a_day = time::OffsetDateTime::now_utc().unix_timestamp() + 86_400;
    let mut ends = with("orderType", json!("GTD"));
    ends["expiration"] = json!(in_a_day);
    for (of, limits, limit, refused, fits) in [
        (
            "global/all",
            json!({ "order_notional": (NOTIONAL - 1).to_string() }),
            "order_notional",
            order(),
            Some(with("size", json!("21.03"))),
        ),
        (
            "caller/d-trader",
            json!({ "sides": ["SELL"] }),
            "sides",
            order(),
            Some(with("side", json!("SELL"))),
        ),
        (
            "wallet/d-w",
            json!({ "price": { "min": "0.01", "max": "0.55" } }),
            "price",
            order(),
            Some(with("price", json!("0.55"))),
        ),
        (
            market.as_str(),
            json!({ "order_notional": "1" }),
            "order_notional",
            order(),
            Some(with("tokenID", json!("12"))),
        ),
        (
            "key/d-wk",
            json!({ "token_ids_allowed": ["12"] }),
            "token_ids_allowed",
            order(),
            Some(with("tokenID", json!("12"))),
        ),
        (
            "caller-key/d-trader,d-wk",
            json!({ "token_ids_denied": [token.clone()] }),
            "token_ids_denied",
            order(),
            None,
        ),
        (
            "global/all",
            json!({ "expiration_max_s": 3600 }),
            "expiration_max_s",
            ends,
            None,
        ),
        (
            "global/all",
            json!({ "expiration_max_s": 3600 }),
            "expiration_max_s",
            order(),
            None,
        ),
        (
            "global/all",
            json!({ "collar": { "beyond": "0.01", "max_age_ms": 1000 } }),
            "collar",
            order(),
            None,
        ),
    ] {
        set(&stand, of, limits).await;
        exceeded(&stand.trader.post(ORDERS, &refused).await, limit);
        if let Some(fits) = fits {
            let signed = stand.trader.post(ORDERS, &fits).await;
            assert_eq!(signed.status, 200, "{of}: {}", signed.text);
        }
        let gone = remove(&stand.operator, of, &uuid::Uuid::new_v4().to_string()).await;
        assert_eq!(gone.status, 201, "{}", gone.text);
    }
    let signed = stand.trader.post(ORDERS, &order()).await;
    assert_eq!(signed.status, 200, "no limit is left: {}", signed.text);
}

#[tokio::test]
async fn absurd_limits_are_refused_by_name_and_only_who_may_sets_them() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    for (of, limits, detail) in [
        ("global/all", json!({ "order_notional": "-1" }), "negative"),
        (
            "global/all",
            json!({ "order_notional": "2.5" }),
            "base units",
        ),
        (
            "global/all",
            json!({ "order_notional": format!("1{}", "0".repeat(40)) }),
            "more than",
        ),
        (
            "global/all",
            json!({ "order_notionl": "1" }),
            "order_notionl",
        ),
        ("global/all", json!({}), "nothing is limited"),
        ("wallet/d-w", json!({ "look_ups_1m": 1 }), "look_ups_1m"),
    ] {
        let answer = put(&stand.operator, of, &limits).await;
        refused(&limits.to_string(), &answer, 422, "invalid-field", detail);
    }
    let some = json!({ "order_notional": "1" });
    for of in [
        "caller/nobody",
        "key/none",
        "wallet/none",
        "market/0x1",
        "global/x",
        "desk/d",
        "caller-key/d-trader",
    ] {
        let answer = put(&stand.operator, of, &some).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (404, "not-found"),
            "{of}"
        );
    }
    let auditor = stand.another("auditor", "operations", "auditor").await;
    for who in [&stand.trader, &auditor] {
        let answer = put(who, "global/all", &some).await;
        refused("set", &answer, 403, "denied", "manage_limits");
    }
    assert_eq!(auditor.get("/v1/limits").await.json, json!([]));
    assert_eq!(stand.trader.get("/v1/limits").await.status, 403);
    set(&stand, "caller/d-trader", some.clone()).await;
    let list = auditor.get("/v1/limits").await;
    assert_eq!(list.json[0]["name"], "d-trader");
    assert_eq!(list.json[0]["limits"], some);
    let shown = auditor.get("/v1/limits/caller/d-trader").await;
    assert_eq!(shown.json, list.json[0]);
    for _ in 0..2 {
        let gone = remove(&stand.operator, "caller/d-trader", "once").await;
        assert_eq!(gone.status, 201, "{}", gone.text);
    }
    assert_eq!(auditor.get("/v1/limits/caller/d-trader").await.status, 404);
}

#[tokio::test]
async fn what_allows_more_takes_a_second_person_and_what_allows_less_does_not() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let limit = |most: u64| json!({ "order_notional": most.to_string() });
    set(&stand, "global/all", limit(NOTIONAL)).await;
    let raise = put(&stand.operator, "global/all", &limit(NOTIONAL + 1)).await;
    assert_eq!(raise.status, 201);
    let record =
        "select count(*) from leaves where kind = 'admin' and encode(leaf, 'escape') like ";
    let count = async |stand: &Stand, what: &str| {
        stand.database.count(&format!("{record}'%{what}%'")).await
    };
    assert_eq!(count(&stand, "set-limits%not needed (tightening)").await, 1);
    assert_eq!(count(&stand, "set-limits%none (single operator)").await, 1);
    stand.still_signs().await;
}

#[tokio::test]
async fn a_lower_limit_holds_on_every_replica_once_it_is_acknowledged() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let twin = stand.deployment.serve(&[]).await;
    let elsewhere = twin.caller(&stand.trader.token);
    for round in 0..5_u64 {
        let limits = json!({ "order_notional": (NOTIONAL - 1 - round).to_string() });
        assert_eq!(elsewhere.post(ORDERS, &order()).await.status, 200);
        set(&stand, "global/all", limits).await;
        exceeded(&elsewhere.post(ORDERS, &order()).await, "order_notional");
        let gone = remove(&stand.operator, "global/all", &format!("gone-{round}")).await;
        assert_eq!(gone.status, 201);
        // What loosens is known elsewhere within a moment.
        let mut tries = 0;
        while elsewhere.post(ORDERS, &order()).await.status != 200 {
            tries += 1;
            assert!(tries < 100);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn assertions_headers_and_look_ups_have_limits_of_their_own() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let limits = json!({
        "assertions": { "per_s": 1, "burst": 2 }, "l1_headers_24h": 1, "look_ups_1m": 2,
    });
    set(&stand, "global/all", limits).await;
    let assertion = async || {
        stand
            .trader
            .post("/v1/clients/d-c/assertions", &json!({}))
            .await
    };
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(assertion().await);
    }
    let signed = answers.iter().filter(|it| it.status == 200).count();
    assert!((2..4).contains(&signed), "{answers:#?}");
    let full = answers.iter().find(|it| it.status != 200).unwrap();
    let said = exceeded(full, "assertions");
    assert!(said["resets_at"].is_string(), "{said}");

    let login = stand.another("login", "d", "clob-login").await;
    let header = async |nonce: u32| {
        let body = json!({ "nonce": nonce });
        login.post("/v1/wallets/d-w/l1-headers", &body).await
    };
    let first = header(0).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = header(1).await;
    assert_eq!(exceeded(&second, "l1_headers_24h")["used"], "1");

    let look_up = async || stand.trader.get("/v1/signatures?idempotency_key=x").await;
    for _ in 0..2 {
        assert_eq!(look_up().await.status, 200);
    }
    let denied = "select count(*) from leaves where kind = 'denied'";
    let before = stand.database.count(denied).await;
    exceeded(&look_up().await, "look_ups_1m");
    stand.database.becomes(denied, before + 1).await;
    let nonces = stand.trader.get("/v1/nonces").await;
    exceeded(&nonces, "look_ups_1m");
    stand.database.becomes(denied, before + 2).await;
}

#[tokio::test]
async fn a_token_that_a_limit_refuses_is_a_denial_on_record() {
    let Some(exchange) = Exchange::new(&["read:orders"], "").await else {
        return;
    };
    let stand = &exchange.stand;
    let limits = json!({ "access_tokens": { "per_s": 1, "burst": 1 } });
    set(stand, "global/all", limits).await;
    let denied = "select count(*) from leaves where kind = 'denied'";
    let before = stand.database.count(denied).await;
    let mut answer = exchange.ask(&json!({})).await;
    while answer.status == 200 {
        answer = exchange.ask(&json!({})).await; // from memory, faster than one a second
    }
    exceeded(&answer, "access_tokens");
    stand.database.becomes(denied, before + 1).await;
}

#[tokio::test]
async fn an_expiration_has_its_bounds_in_every_version_though_only_the_first_signs_it() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let bounds = json!({ "expiration_min_s": 600, "expiration_max_s": 3600 });
    set(&stand, "global/all", bounds).await;
    for version in [1, 2, 3] {
        for (ahead, refused) in [
            (300, Some("expiration_min_s")),
            (1800, None),
            (86_400, Some("expiration_max_s")),
        ] {
            let mut order = with("orderType", json!("GTD"));
            order["version"] = json!(version);
            if version == 1 {
                order["feeRateBps"] = json!(0);
            }
            order["expiration"] = json!(time::OffsetDateTime::now_utc().unix_timestamp() + ahead);
            let answer = stand.trader.post("/v1/wallets/d-w/orders", &order).await;
            match refused {
                Some(limit) => drop(exceeded(&answer, limit)),
                None => assert_eq!(answer.status, 200, "{version}: {}", answer.text),
            }
        }
    }
}

#[tokio::test]
async fn an_order_counts_as_open_until_its_signed_end_and_one_without_goes_on() {
    let Some(stand) = Stand::new("[signing]\nlease_ms = 1000\ndeadline_ms = 900").await else {
        return;
    };
    set(
        &stand,
        "wallet/d-w",
        json!({ "open_exposure": "1000000000" }),
    )
    .await;
    let now = "select extract(epoch from now())::bigint";
    let mut ends = order();
    ends["version"] = json!(1);
    ends["orderType"] = json!("GTD");
    ends["feeRateBps"] = json!(0);
    ends["expiration"] = json!(stand.database.count(now).await + 7200);
    for body in [&ends, &order()] {
        let signed = stand.trader.post("/v1/wallets/d-w/orders", body).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let open = "select open / 11782400 from limit_counters where scope = 'wallet'";
    assert_eq!(stand.database.count(open).await, 2);
    let waits = "select count(*) from expiring_orders";
    stand.database.becomes(waits, 1).await;
    assert_eq!(
        stand.database.count("select count(*) from closings").await,
        0
    );
    let past = "update expiring_orders set expires_at = now() - interval '1 second'";
    stand.database.run(past).await;
    stand.database.becomes(waits, 0).await;
    let closed = "select count(*) from closings where how = 'expired'";
    assert_eq!(stand.database.count(closed).await, 1);
    assert_eq!(stand.database.count(open).await, 1);
}

#[tokio::test]
async fn the_command_line_sets_and_shows_limits() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let file = stand
        .deployment
        .dir
        .write("limits.json", r#"{ "notional_1h": "50000000" }"#);
    let token = stand.deployment.dir.write("token", &stand.operator.token);
    let run = |args: &[&str]| {
        let token = token.display().to_string();
        let rest = ["--url", &stand.server.base, "--token-file", &token];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_chancery"))
            .arg("limits")
            .args(args)
            .args(rest)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {error}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let file = file.display().to_string();
    let made = run(&["set", "caller", "d-trader", "--file", &file]);
    assert_eq!(made["limits"]["notional_1h"], "50000000");
    let shown = run(&["show", "caller", "d-trader"]);
    assert_eq!(shown["used"][0]["left"], "50000000");
    assert_eq!(run(&["list", "--json"])[0]["name"], "d-trader");
    assert!(run(&["remove", "caller", "d-trader"])["removed"].is_string());
    assert_eq!(run(&["list", "--json"]), json!([]));
}

/// Does something at the CLOB as the trader.
async fn at_venue(
    stand: &Stand,
    venue: &ClobServer,
    (method, path): (&str, &str),
    body: &str,
) -> Answer {
    let ask = json!({ "method": method, "path": path, "body": body });
    let made = stand.trader.post("/v1/wallets/d-w/l2-headers", &ask).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let to = format!("{}{path}", venue.url);
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), to);
    for (name, value) in made.json["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    let request = request.header("content-type", "application/json");
    Answer::of(request.body(body.to_owned())).await.unwrap()
}

/// An order that stays open, and what it comes to.
fn open_order(api_key: &Value) -> Value {
    let mut order = with("orderType", json!("GTC"));
    order["owner"] = api_key.clone();
    order["price"] = "0.5".into();
    order["tokenID"] = "1001".into();
    order
}
const STAYS_OPEN: u64 = 10_520_000;

#[tokio::test]
async fn exposure_is_open_until_the_service_has_seen_for_itself_that_the_order_is_over() {
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
    let api_key = made.json["apiKey"].clone();
    let send = async |method: &str, path: &str, body: &str| {
        at_venue(&stand, &venue, (method, path), body).await
    };
    let (order, notional) = (open_order(&api_key), STAYS_OPEN);
    set(
        &stand,
        "wallet/d-w",
        json!({ "open_exposure": (2 * notional).to_string() }),
    )
    .await;
    let posted = stand.trader.post(ORDERS, &order).await;
    let never_posted = stand.trader.post(ORDERS, &order).await;
    for signed in [&posted, &never_posted] {
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let answer = stand.trader.post(ORDERS, &order).await;
    let said = exceeded(&answer, "open_exposure");
    assert!(
        said["resets_at"].is_null(),
        "it is no question of time: {said}"
    );

    let look = async || {
        let path = "/v1/wallets/d-w/exposure";
        let looked = stand.trader.post(path, &json!({})).await;
        assert_eq!(looked.status, 200, "{}", looked.text);
        let count = |member: &str| looked.json[member].as_u64().unwrap();
        (count("filled"), count("cancelled"), count("open"))
    };
    assert_eq!(look().await, (0, 0, 2), "neither was posted");
    let taken = send("POST", "/order", &posted.json["envelope"].to_string()).await;
    assert_eq!(taken.json["success"], true, "{}", taken.text);
    assert_eq!(look().await, (0, 0, 2), "one is in the book");
    exceeded(&stand.trader.post(ORDERS, &order).await, "open_exposure");
    let cancel = json!({ "orderID": posted.json["orderHash"] }).to_string();
    let gone = send("DELETE", "/order", &cancel).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    exceeded(&stand.trader.post(ORDERS, &order).await, "open_exposure");
    assert_eq!(look().await, (0, 1, 1));
    assert_eq!(look().await, (0, 0, 1), "once");
    let left = used(&stand, "wallet/d-w", "open_exposure").await;
    assert_eq!(left, (notional.to_string(), notional.to_string()));
    let signed = stand.trader.post(ORDERS, &order).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
}

#[tokio::test]
async fn exposure_that_stands_in_the_way_is_looked_at_though_nobody_asks() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&venue.section("polygon")).await else {
        return;
    };
    let new = json!({ "mode": "create", "nonce": 0 });
    let path = "/v1/wallets/d-w/credentials";
    let made = stand.operator.post(path, &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let order = open_order(&made.json["apiKey"]);
    let one = json!({ "open_exposure": STAYS_OPEN.to_string() });
    set(&stand, "wallet/d-w", one).await;
    let signed = stand.trader.post(ORDERS, &order).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let envelope = signed.json["envelope"].to_string();
    let taken = at_venue(&stand, &venue, ("POST", "/order"), &envelope).await;
    assert_eq!(taken.json["success"], true, "{}", taken.text);
    let cancel = json!({ "orderID": signed.json["orderHash"] }).to_string();
    let gone = at_venue(&stand, &venue, ("DELETE", "/order"), &cancel).await;
    assert_eq!(gone.status, 200, "{}", gone.text);

    exceeded(&stand.trader.post(ORDERS, &order).await, "open_exposure");
    let over = "select count(*) from closings where how = 'cancelled'";
    stand.database.becomes(over, 1).await;
    let signed = stand.trader.post(ORDERS, &order).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    // In the name of whoever asked, and not for each refusal.
    let looks = "select count(*) from leaves l where kind = 'intent' and position('/data/orders'::bytea in leaf) > 0";
    let before = stand.database.count(looks).await;
    for _ in 0..3 {
        exceeded(&stand.trader.post(ORDERS, &order).await, "open_exposure");
    }
    assert_eq!((before, stand.database.count(looks).await), (1, 1));
}

#[tokio::test]
async fn an_order_goes_no_further_beyond_the_book_than_its_collar() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&venue.section("polygon")).await else {
        return;
    };
    let book = reqwest::get(format!("{}/book?token_id=1001", venue.url))
        .await
        .unwrap();
    let book: Value = book.json().await.unwrap();
    let best = book["asks"].as_array().unwrap().last().unwrap()["price"]
        .as_str()
        .unwrap()
        .to_owned();
    let buy = |price: &str| {
        let mut order = with("tokenID", json!("1001"));
        order["price"] = price.into();
        order
    };
    let collar = json!({ "collar": { "beyond": "0.01", "max_age_ms": 5000 } });
    set(&stand, "caller/d-trader", collar).await;
    let signed = stand.trader.post(ORDERS, &buy(&best)).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let said = stand.trader.post(ORDERS, &buy("0.99")).await;
    assert_eq!(exceeded(&said, "collar")["asked"], "0.99");
    // No book, no order; unless it is said what holds then.
    venue
        .fault(json!({ "path": "/book", "status": 500, "times": -1 }))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await; // the last book is forgotten
    exceeded(&stand.trader.post(ORDERS, &buy(&best)).await, "collar");
    let banded = json!({ "collar": {
        "beyond": "0.01", "max_age_ms": 5000, "without_book": { "min": "0.01", "max": best },
    } });
    set(&stand, "caller/d-trader", banded).await;
    let signed = stand.trader.post(ORDERS, &buy(&best)).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    exceeded(&stand.trader.post(ORDERS, &buy("0.99")).await, "collar");
}
