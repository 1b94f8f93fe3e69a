//! The replacement of a wallet at a real CLOB: no order is lost sight of, none is refused that need
//! not be, and what died in the middle goes on.

use serde_json::{Value, json};

use crate::l2::plain_post;
use crate::stand::{Stand, refused};
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller, Server, order};

const OLD: &str = "/v1/wallets/d-w";
const ALL: &str = "/v1/rotations";

fn opening() -> Value {
    let target = time::OffsetDateTime::now_utc() + time::Duration::days(10);
    let format = &time::format_description::well_known::Rfc3339;
    json!({ "wallet": "d-w", "new_key": "d-wk2", "target_at": target.format(format).unwrap(), "reason": "its time is over" })
}

fn step(name: &str) -> Value {
    match name {
        "generate" | "delete-credential" | "credential" | "drain" => json!({ "step": name }),
        "profile" => json!({ "step": name, "wallet": { "name": "d-w2" }, "reason": "test" }),
        _ => json!({ "step": name, "reason": "test" }),
    }
}

async fn open(operator: &Caller) {
    let opened = operator.post(ALL, &opening()).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    assert_eq!(opened.json["state"], "requested");
}

/// The latest rotation of `d-w`, where it stands.
async fn latest(operator: &Caller) -> Value {
    let all = operator.get(ALL).await.json;
    let id = all[0]["id"].as_str().unwrap();
    operator.get(&format!("{ALL}/{id}")).await.json
}

/// Where its steps are taken.
async fn steps(operator: &Caller) -> String {
    let id = &latest(operator).await["id"];
    format!("{ALL}/{}/steps", id.as_str().unwrap())
}

async fn take(operator: &Caller, name: &str) -> Answer {
    operator.post(&steps(operator).await, &step(name)).await
}

#[track_caller]
fn is_at(answer: &Answer, state: &str) {
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json["state"], state, "{}", answer.text);
}

/// A wallet `d-w` with an API key.
async fn stand(venue: &ClobServer) -> Option<(Stand, String)> {
    let stand = Stand::new(&venue.section("polygon")).await?;
    let api_key = credential(&stand.operator, OLD).await;
    Some((stand, api_key))
}

async fn credential(operator: &Caller, wallet: &str) -> String {
    let new = json!({ "mode": "create", "nonce": 0 });
    let made = operator.post(&format!("{wallet}/credentials"), &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json["apiKey"].as_str().unwrap().to_owned()
}

/// Sends a request to the CLOB with headers of a wallet.
async fn send(
    trader: &Caller,
    venue: &ClobServer,
    wallet: &str,
    (method, path, body): (&str, &str, &str),
) -> Answer {
    let ask = json!({ "method": method, "path": path, "body": body });
    let made = plain_post(trader, &format!("{wallet}/l2-headers"), &ask).await;
    if made.status != 200 {
        return made;
    }
    let url = format!("{}{path}", venue.url);
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
    for (name, value) in made.json["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    let request = request.header("content-type", "application/json");
    Answer::of(request.body(body.to_owned())).await.unwrap()
}

/// Signs an order with a wallet.
async fn sign(trader: &Caller, wallet: &str, api_key: &str) -> Answer {
    let mut order = order();
    order["owner"] = api_key.into();
    order["orderType"] = "GTC".into();
    order["price"] = "0.5".into();
    order["tokenID"] = "1001".into();
    trader.post(&format!("{wallet}/orders"), &order).await
}

/// Signs an order and posts it; the venue's answer.
async fn post(trader: &Caller, venue: &ClobServer, wallet: &str, api_key: &str) -> Answer {
    let signed = sign(trader, wallet, api_key).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    let body = signed.json["envelope"].to_string();
    let posted = send(trader, venue, wallet, ("POST", "/order", &body)).await;
    assert_eq!(posted.json["success"], true, "{}", posted.text);
    posted
}

/// The orders that the venue lists for an address.
async fn listed(venue: &ClobServer) -> usize {
    let state = venue.state().await;
    let all = state["orders"].as_array().unwrap();
    all.iter().filter(|it| it["status"] == "LIVE").count()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, with one wallet")]
async fn a_wallet_is_replaced_without_an_order_that_nobody_knows_of() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some((stand, api_key)) = stand(&venue).await else {
        return;
    };
    let (operator, trader) = (&stand.operator, &stand.trader);
    let old_order = post(trader, &venue, OLD, &api_key).await;
    let unposted = sign(trader, OLD, &api_key).await.json["envelope"].to_string();

    open(operator).await;
    let twice = operator.post(ALL, &opening()).await;
    refused("a second", &twice, 409, "rotation-open", "another rotation");
    let all = operator.get("/v1/rotations?open=true").await.json;
    assert_eq!(
        (&all[0]["kind"], &all[0]["wallet"]),
        (&json!("wallet"), &json!("d-w"))
    );
    let id = all[0]["id"].as_str().unwrap();
    let switch = json!({ "step": "switch", "reason": "test" });
    let elsewhere = operator.post(&format!("{ALL}/{id}/steps"), &switch).await;
    refused(
        "a client's way",
        &elsewhere,
        422,
        "invalid-field",
        "unknown variant `switch`, expected one of `generate`, `profile`",
    );
    let early = take(operator, "cut-over").await;
    refused("out of turn", &early, 409, "no-such-step", "cut-over");
    is_at(&take(operator, "generate").await, "generated");
    is_at(&take(operator, "profile").await, "profiled");
    is_at(&take(operator, "credential").await, "credentialed");
    // Both take orders while the new one is funded and tried.
    let new = "/v1/wallets/d-w2";
    let seen = operator.get(&format!("{new}/credentials")).await.json;
    let new_key = seen[0]["apiKey"].as_str().unwrap().to_owned();
    assert_eq!(seen[0]["state"], "live", "{seen}");
    post(trader, &venue, new, &new_key).await;
    post(trader, &venue, OLD, &api_key).await;

    let drained = operator.post(&format!("{OLD}/drain"), &json!({})).await;
    refused("it takes orders", &drained, 409, "orders-open", "active");
    is_at(&take(operator, "cut-over").await, "cut-over");
    let late = sign(trader, OLD, &api_key).await;
    refused("an order", &late, 409, "wallet-replaced", "d-w2 signs now");
    let late = send(trader, &venue, OLD, ("POST", "/order", &unposted)).await;
    refused("a header to post", &late, 409, "wallet-replaced", "d-w2");
    let delete = send(trader, &venue, OLD, ("DELETE", "/auth/api-key", "")).await;
    assert_eq!(delete.status, 403, "{}", delete.text);
    post(trader, &venue, new, &new_key).await;
    // What is there can be seen and cancelled.
    let open_orders = send(trader, &venue, OLD, ("GET", "/data/orders", "")).await;
    assert_eq!(
        open_orders.json["data"].as_array().unwrap().len(),
        2,
        "{}",
        open_orders.text
    );
    let cancel = json!({ "orderID": old_order.json["orderID"] }).to_string();
    let cancelled = send(trader, &venue, OLD, ("DELETE", "/order", &cancel)).await;
    assert_eq!(cancelled.json["canceled"].as_array().unwrap().len(), 1);

    let status = latest(operator).await;
    assert_eq!(status["open_orders"], 3, "{status}");
    assert_eq!(
        (
            &status["status"]["next"][0]["step"],
            &status["old_key"]["state"]
        ),
        (&json!("drain"), &json!("retiring"))
    );
    is_at(&take(operator, "drain").await, "drained");
    let status = latest(operator).await;
    assert_eq!(status["open_orders"], 0, "{status}");
    let evidence = &status["steps"].as_array().unwrap().last().unwrap()["evidence"];
    assert_eq!(
        (&evidence["how"], &evidence["evidence"]["cancelled"]),
        (&json!("venue"), &json!(1))
    );
    let back = take(operator, "roll-back").await;
    refused("too late", &back, 409, "no-such-step", "roll-back");
    is_at(
        &take(operator, "delete-credential").await,
        "credential-deleted",
    );
    let keys = venue.state().await;
    let active = |key: &str| {
        let all = keys["keys"].as_array().unwrap();
        all.iter().find(|it| it["apiKey"] == key).unwrap()["active"].clone()
    };
    assert_eq!(
        (active(&api_key), active(&new_key)),
        (json!(false), json!(true))
    );
    is_at(&take(operator, "close").await, "closed");

    let wallet = operator.get(OLD).await.json;
    assert_eq!(
        (&wallet["successor"], &wallet["key_state"]),
        (&json!("d-w2"), &json!("deactivated"))
    );
    assert!(wallet["closed_at"].is_string());
    assert_eq!(
        listed(&venue).await,
        2,
        "the new wallet's orders are where they were"
    );
    // And nothing depends on the old key any more.
    let left = operator.get("/v1/keys/d-wk/destruction").await.json;
    assert_eq!(left["obstacles"], json!([]), "{left}");
    let again = operator.post(ALL, &opening()).await;
    refused("it is over", &again, 409, "wallet-replaced", "");
    let leaves = "select count(*) from leaves where position('rotation-'::bytea in leaf) > 0";
    assert_eq!(stand.database.count(leaves).await, 8);
}

#[tokio::test]
async fn a_rotation_goes_back_until_it_is_drained() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some((stand, api_key)) = stand(&venue).await else {
        return;
    };
    let (operator, trader) = (&stand.operator, &stand.trader);
    open(operator).await;
    for name in ["generate", "profile", "credential", "cut-over"] {
        assert_eq!(take(operator, name).await.status, 201, "{name}");
    }
    is_at(&take(operator, "roll-back").await, "rolled-back");
    post(trader, &venue, OLD, &api_key).await;
    let new = operator.get("/v1/wallets/d-w2").await.json;
    assert_eq!(new["key_state"], "retiring");
    assert_eq!(operator.get(OLD).await.json["successor"], Value::Null);
    let refusal = sign(trader, "/v1/wallets/d-w2", "x").await;
    refused("given up", &refusal, 409, "key-not-active", "retiring");

    // The next one has another key, and is given up before anything is cut over.
    let mut second = opening();
    second["new_key"] = json!("d-wk3");
    let opened = operator.post(ALL, &second).await;
    is_at(&opened, "requested");
    is_at(&take(operator, "generate").await, "generated");
    is_at(&take(operator, "abandon").await, "abandoned");
    post(trader, &venue, OLD, &api_key).await;
}

#[tokio::test]
async fn nothing_is_drained_that_the_clob_still_lists_and_people_may_say_why_not() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some((stand, api_key)) = stand(&venue).await else {
        return;
    };
    let (operator, trader) = (&stand.operator, &stand.trader);
    post(trader, &venue, OLD, &api_key).await;
    open(operator).await;
    for name in ["generate", "profile", "credential", "cut-over"] {
        assert_eq!(take(operator, name).await.status, 201, "{name}");
    }
    // It says that it cancels, and does not.
    let lies = json!({ "method": "DELETE", "path": "/cancel-all", "status": 200,
                       "body": { "canceled": [], "not_canceled": {} }, "times": -1 });
    venue.fault(lies).await;
    refused(
        "a lie",
        &take(operator, "drain").await,
        409,
        "orders-open",
        "lists 1 orders",
    );
    venue.heal().await;
    let away = json!({ "path": "/data/orders", "status": 500, "times": 1 });
    venue.fault(away).await;
    refused(
        "a fault",
        &take(operator, "drain").await,
        503,
        "venue-unavailable",
        "",
    );
    // Half a list is no list.
    let more = json!({ "path": "/data/orders", "status": 200,
                       "body": { "data": [], "next_cursor": "MTAw" }, "times": 1 });
    venue.fault(more).await;
    refused(
        "a page",
        &take(operator, "drain").await,
        502,
        "venue-answer",
        "orders",
    );
    let status = latest(operator).await;
    assert_eq!(
        (&status["state"], &status["open_orders"]),
        (&json!("cut-over"), &json!(1))
    );

    let said = json!({ "step": "drain", "said": "the market was resolved" });
    is_at(
        &operator.post(&steps(operator).await, &said).await,
        "drained",
    );
    let approval =
        "select count(*) from drains where how = 'said' and approval = 'none (single operator)'";
    assert_eq!(stand.database.count(approval).await, 1);
    let status = latest(operator).await;
    assert_eq!(status["open_orders"], 0, "{status}");
}

#[tokio::test]
async fn a_wallet_that_is_stopped_is_drained_and_what_signs_again_counts_anew() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some((stand, api_key)) = stand(&venue).await else {
        return;
    };
    let (operator, trader) = (&stand.operator, &stand.trader);
    let move_to = async |to: &str| {
        let step = json!({ "to": to, "reason": "test" });
        let moved = operator.post("/v1/keys/d-wk/steps", &step).await;
        assert_eq!(moved.status, 201, "{}", moved.text);
    };
    let open = async || {
        let status = operator.get("/v1/keys/d-wk/destruction").await.json;
        let all = status["obstacles"].as_array().unwrap().clone();
        all.iter().any(|it| it["kind"] == "open-orders")
    };
    post(trader, &venue, OLD, &api_key).await;
    move_to("suspended").await;
    let headers = send(trader, &venue, OLD, ("DELETE", "/cancel-all", "")).await;
    refused(
        "not a caller's",
        &headers,
        409,
        "key-not-active",
        "suspended",
    );
    assert!(open().await);
    let drained = operator.post(&format!("{OLD}/drain"), &json!({})).await;
    assert_eq!(drained.status, 201, "{}", drained.text);
    assert_eq!((listed(&venue).await, open().await), (0, false));

    let theirs = trader.post(&format!("{OLD}/drain"), &json!({})).await;
    refused("a trader", &theirs, 403, "denied", "drain_wallet");
    // Somebody may have kept an order back: once the key signs again, all of them count.
    move_to("active").await;
    assert!(open().await);
    move_to("compromised").await;
    assert!(open().await);
    let drained = operator.post(&format!("{OLD}/drain"), &json!({})).await;
    assert_eq!(drained.status, 201, "{}", drained.text);
    assert!(!open().await);
    // A compromised wallet's API key is deleted as well.
    let path = format!("{OLD}/credentials/{api_key}");
    let request = operator.http.delete(format!("{}{path}", operator.base));
    let deleted = operator.send(request).await.unwrap();
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    assert_eq!(deleted.json["state"], "deleted", "{}", deleted.text);
}

#[tokio::test]
async fn other_wallets_of_the_key_are_not_stopped_by_surprise() {
    let Some(venue) = ClobServer::start(&[]) else {
        return;
    };
    let Some((stand, _)) = stand(&venue).await else {
        return;
    };
    let operator = &stand.operator;
    let other = json!({ "name": "d-proxy", "key": "d-wk", "owner": "d", "chainId": 137, "signatureType": 1 });
    let made = operator.post("/v1/wallets", &other).await;
    assert_eq!(made.status, 201, "{}", made.text);
    open(operator).await;
    for name in ["generate", "profile", "credential"] {
        assert_eq!(take(operator, name).await.status, 201, "{name}");
    }
    let alone = take(operator, "cut-over").await;
    refused("not said", &alone, 409, "rotation-not-ready", "d-proxy");
    let key = operator.get("/v1/keys/d-wk").await.json;
    assert_eq!(key["state"], "active");
    let meant = json!({ "step": "cut-over", "reason": "both", "stops": ["d-proxy"] });
    is_at(
        &operator.post(&steps(operator).await, &meant).await,
        "cut-over",
    );
    let rights = stand
        .trader
        .post(&steps(operator).await, &step("drain"))
        .await;
    refused("a trader", &rights, 403, "denied", "rotate_key");
}

/// The points at which a rotation dies, and the step that was under way.
const DEATHS: [(&str, &str); 7] = [
    ("rotation-key-planned", "generate"),
    ("rotation-key-made", "generate"),
    ("wallet-credential-made", "credential"),
    ("orders-cancelled", "drain"),
    ("wallet-emptied", "drain"),
    ("wallet-emptied-again", "delete-credential"),
    ("wallet-credentials-deleted", "delete-credential"),
];

#[tokio::test]
async fn what_died_in_the_middle_of_a_step_goes_on() {
    const STEPS: [&str; 7] = [
        "generate",
        "profile",
        "credential",
        "cut-over",
        "drain",
        "delete-credential",
        "close",
    ];
    for (point, fatal) in DEATHS {
        let Some(venue) = ClobServer::start(&[]) else {
            return;
        };
        let Some((mut stand, api_key)) = stand(&venue).await else {
            return;
        };
        post(&stand.trader, &venue, OLD, &api_key).await;
        stand.server.terminate();
        let mut server = stand
            .deployment
            .serve(&[("CHANCERY_FAIL_POINT", point)])
            .await;
        let on = |server: &Server| server.caller(&stand.operator.token);
        let mut operator = on(&server);
        open(&operator).await;
        for name in STEPS {
            if name == fatal {
                let path = steps(&operator).await;
                let lost = operator.post_as("fatal", &path, &step(name)).await;
                assert!(lost.is_err(), "{point}: {lost:?}");
                assert!(server.wait_killed(), "{point}");
                server = stand.deployment.serve(&[]).await;
                operator = on(&server);
                let again = operator.post_as("fatal", &path, &step(name)).await.unwrap();
                assert_eq!(again.status, 201, "{point}: {}", again.text);
                continue;
            }
            let taken = take(&operator, name).await;
            assert_eq!(taken.status, 201, "{point}, {name}: {}", taken.text);
        }
        let rotation = latest(&operator).await;
        assert_eq!(rotation["state"], "closed", "{point}");
        assert_eq!(
            rotation["steps"].as_array().unwrap().len(),
            8,
            "{point}: {rotation}"
        );
        assert_eq!(listed(&venue).await, 0, "{point}");
        let keys = "select count(*) from keys where name = 'd-wk2'";
        assert_eq!(stand.database.count(keys).await, 1, "{point}");
        let sealed = "select count(*) from sealed_keys";
        assert_eq!(
            stand.database.count(sealed).await,
            3,
            "{point}: one new key was made"
        );
        let state = venue.state().await;
        let active = state["keys"].as_array().unwrap();
        let active: Vec<_> = active.iter().filter(|it| it["active"] == true).collect();
        assert_eq!(active.len(), 1, "{point}: {active:?}");
    }
}
