//! `/rpc` signs what this service signs elsewhere, by the same rules, and nothing else.

use serde_json::{Value, json};

use crate::stand::Stand;
use crate::support::venue::ClobServer;
use crate::support::{Answer, Caller};

/// The exchange of version 2 on Polygon.
const EXCHANGE: &str = "0xE111180000d2663C0091e4f400237545B87B996B";

pub(crate) async fn post(caller: &Caller, body: &str) -> Answer {
    let request = caller.http.post(format!("{}/rpc", caller.base));
    let request = request.header("content-type", "application/json");
    caller.send(request.body(body.to_owned())).await.unwrap()
}

async fn call(caller: &Caller, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = post(caller, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

async fn sign(caller: &Caller, address: &str, data: &Value) -> Value {
    call(caller, "eth_signTypedData_v4", json!([address, data])).await
}

/// Typed data with the type of the domain, as libraries build it.
fn typed(primary: &str, fields: &[(&str, &str)], domain: &Value, message: &Value) -> Value {
    let list = |fields: &[(&str, &str)]| {
        fields
            .iter()
            .map(|(kind, name)| json!({ "name": name, "type": kind }))
            .collect::<Value>()
    };
    let mut of_domain = vec![
        ("string", "name"),
        ("string", "version"),
        ("uint256", "chainId"),
    ];
    if !domain["verifyingContract"].is_null() {
        of_domain.push(("address", "verifyingContract"));
    }
    json!({
        "types": { "EIP712Domain": list(&of_domain), primary: list(fields) },
        "primaryType": primary, "domain": domain, "message": message,
    })
}

#[rustfmt::skip]
pub(crate) fn order(maker: &str) -> Value {
    let fields = [
        ("uint256", "salt"), ("address", "maker"), ("address", "signer"), ("uint256", "tokenId"),
        ("uint256", "makerAmount"), ("uint256", "takerAmount"), ("uint8", "side"),
        ("uint8", "signatureType"), ("uint256", "timestamp"), ("bytes32", "metadata"),
        ("bytes32", "builder"),
    ];
    let zero = format!("0x{}", "0".repeat(64));
    let domain = json!({ "name": "Polymarket CTF Exchange", "version": "2", "chainId": 137, "verifyingContract": EXCHANGE });
    typed("Order", &fields, &domain, &json!({
        "salt": "479249096354", "maker": maker, "signer": maker,
        "tokenId": "71321045679252212594626385532706912750332728571942532289631379312455583992563",
        "makerAmount": "1000000", "takerAmount": "2000000", "side": 0, "signatureType": 0,
        "timestamp": "1713138694321", "metadata": zero, "builder": zero,
    }))
}

#[rustfmt::skip]
fn login(address: &str, nonce: u64, at: i64) -> Value {
    let fields = [("address", "address"), ("string", "timestamp"), ("uint256", "nonce"), ("string", "message")];
    let domain = json!({ "name": "ClobAuthDomain", "version": "1", "chainId": "137" });
    typed("ClobAuth", &fields, &domain, &json!({
        "address": address, "timestamp": at.to_string(), "nonce": nonce,
        "message": "This message attests that I control the given wallet",
    }))
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_secs().try_into().unwrap()
}

/// The answer is this error, whole, and its message says `said`.
#[track_caller]
pub(crate) fn refused(what: &str, answer: &Value, code: i64, problem: &str, said: &str) {
    assert_eq!(answer["jsonrpc"], "2.0", "{what}: {answer}");
    let error = &answer["error"];
    assert_eq!(error["code"], code, "{what}: {answer}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(said),
        "{what}: {said:?} not in {message:?}"
    );
    assert_eq!(
        error["data"]["type"],
        format!("/problems/{problem}"),
        "{what}"
    );
    for member in ["title", "detail", "action"] {
        assert!(error["data"][member].is_string(), "{what}: no {member}");
    }
    assert!(answer.get("result").is_none(), "{what}");
}

pub(crate) async fn address(stand: &Stand) -> String {
    let shown = stand.trader.get("/v1/wallets/d-w").await;
    shown.json["address"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_order_is_signed_and_on_record_as_any_other() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let address = address(&stand).await;
    let data = order(&address);
    let mut signatures = Vec::new();
    for (method, account, data) in [
        (
            "eth_signTypedData_v4",
            address.clone(),
            json!(data.to_string()),
        ),
        ("eth_signTypedData_v3", address.to_lowercase(), data.clone()),
        (
            "eth_signTypedData",
            format!("0x{}", address[2..].to_uppercase()),
            data.clone(),
        ),
    ] {
        let answer = call(&stand.trader, method, json!([account, data])).await;
        let signature = answer["result"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(signature.len(), 132, "{signature}");
        signatures.push(signature.to_owned());
    }
    signatures.dedup();
    assert_eq!(signatures.len(), 1, "one order, one signature (RFC 6979)");
    assert_eq!(
        stand.signed().await,
        (3, 3),
        "each call is a request of its own"
    );

    let ids = "select count(*) from ends r join intents i on i.id = r.intent_id where r.outcome = 'released' and i.operation = 'order'";
    assert_eq!(stand.database.count(ids).await, 3);
    // Four digits that a double would lose are in the number that was sent.
    let mut exact = data.to_string();
    exact = exact.replace("\"1000000\"", "1000000").replace(
        "\"71321045679252212594626385532706912750332728571942532289631379312455583992563\"",
        "71321045679252212594626385532706912750332728571942532289631379312455583992563",
    );
    let body = format!(
        r#"{{"jsonrpc": "2.0", "method": "eth_signTypedData", "params": ["{address}", {exact}], "id": 0}}"#
    );
    let answer = post(&stand.trader, &body).await;
    assert_eq!(answer.json["result"], signatures[0], "{}", answer.text);
}

#[tokio::test]
#[rustfmt::skip]
async fn nothing_is_signed_without_the_right_or_for_somebody_else() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let address = address(&stand).await;
    let stranger = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let neighbour = stand.another("n", "elsewhere", "trader").await;
    let auditor = stand.another("a", "audit", "auditor").await;
    let data = order(&address);

    let unknown = sign(&stand.trader, stranger, &data).await;
    refused("an unknown account", &unknown, 4100, "not-found", "account");
    let hidden = sign(&neighbour, &address, &data).await;
    assert_eq!(hidden, unknown, "what may not be seen is not there");
    let seen = sign(&auditor, &address, &data).await;
    refused("who sees and does not sign", &seen, 4001, "denied", "sign_order");
    for caller in [&neighbour, &auditor] {
        assert_eq!(call(caller, "eth_accounts", json!([])).await["result"], json!([]));
    }

    let mut foreign = order(&address);
    foreign["message"]["maker"] = json!(stranger);
    let answer = sign(&stand.trader, &address, &foreign).await;
    refused("a foreign maker", &answer, -32602, "typed-data-refused", "maker");
    let mut mail = order(&address);
    mail["primaryType"] = json!("Mail");
    let answer = sign(&stand.trader, &address, &mail).await;
    refused("foreign typed data", &answer, -32602, "typed-data-refused", "Mail");
    let mut contract = order(&address);
    contract["domain"]["verifyingContract"] = json!(stranger);
    let answer = sign(&stand.trader, &address, &contract).await;
    refused("a foreign contract", &answer, -32602, "typed-data-refused", "not an exchange");
    let answer = sign(&stand.trader, &address, &json!("0x1901")).await;
    refused("a digest", &answer, -32602, "typed-data-refused", "JSON");
    let answer = sign(&stand.trader, &address, &login(&address, 0, now())).await;
    refused("a login without the right", &answer, 4001, "denied", "issue_l1_header");

    let step = json!({ "to": "suspended", "reason": "test" });
    let moved = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
    assert_eq!(moved.status, 201, "{}", moved.text);
    let answer = sign(&stand.trader, &address, &data).await;
    refused("a suspended key", &answer, 4001, "key-not-active", "suspended");
    assert_eq!(stand.signed().await, (0, 0));
    let step = json!({ "to": "active", "reason": "test" });
    stand.operator.post("/v1/keys/d-wk/steps", &step).await;
    stand.still_signs().await;
}

#[tokio::test]
#[rustfmt::skip]
async fn a_login_is_signed_again_and_a_second_nonce_waits() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let address = address(&stand).await;
    let client = stand.another("bot", "d", "clob-login").await;
    let now = now();
    let first = sign(&client, &address, &login(&address, 0, now)).await;
    assert_eq!(first["result"].as_str().map(str::len), Some(132), "{first}");
    let again = sign(&client, &address, &login(&address, 0, now)).await;
    assert_eq!(again["result"], first["result"], "a recorded nonce signs again");

    let other = sign(&client, &address, &login(&address, 1, now)).await;
    refused("another nonce", &other, 4001, "nonce-unsettled", "nonce 0");
    let elsewhere = sign(&client, &address, &login("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", 0, now)).await;
    refused("another address", &elsewhere, -32602, "typed-data-refused", "address");
    for at in [now - 1000, now + 1000] {
        let answer = sign(&client, &address, &login(&address, 0, at)).await;
        refused("another time", &answer, -32602, "typed-data-refused", "timestamp");
    }
    let mut amoy = login(&address, 0, now);
    amoy["domain"]["chainId"] = json!("0x13882");
    let answer = sign(&client, &address, &amoy).await;
    refused("another chain", &answer, -32602, "typed-data-refused", "80002");

    let on_record = "select count(*) from logins where purpose = 'header'";
    assert_eq!(stand.database.count(on_record).await, 2);
    assert_eq!(stand.database.count("select count(*) from credential_nonces").await, 1);
}

#[tokio::test]
#[rustfmt::skip]
async fn a_login_never_ends_a_live_api_key_unless_the_wallet_allows_it() {
    let Some(clob) = ClobServer::start(&[]) else {
        return;
    };
    let Some(stand) = Stand::new(&clob.section("polygon")).await else {
        return;
    };
    let address = address(&stand).await;
    let client = stand.another("bot", "d", "clob-login").await;
    let now = now();
    let login_with = async |nonce: u64| sign(&client, &address, &login(&address, nonce, now)).await;
    let signature = login_with(7).await["result"].as_str().unwrap().to_owned();
    let created = client.http.post(format!("{}/auth/api-key", clob.url))
        .header("POLY_ADDRESS", &address).header("POLY_SIGNATURE", signature)
        .header("POLY_TIMESTAMP", now.to_string()).header("POLY_NONCE", "7")
        .send().await.unwrap();
    assert_eq!(created.status(), 200);
    let created: Value = created.json().await.unwrap();

    // The service finds out by itself.
    let live = "select count(*) from credentials where state = 'live' and nonce = 7";
    stand.database.becomes(live, 1).await;
    let other = login_with(8).await;
    refused("a live key", &other, 4001, "would-replace", created["apiKey"].as_str().unwrap());
    assert!(other["error"]["message"].as_str().unwrap().contains("allow_replace"), "{other}");
    assert!(login_with(7).await["result"].is_string(), "the nonce that made it signs again");

    // Who may only derive, and be told the secrets, gets no more than that.
    let new = json!({ "name": "deriver", "owner": "d", "roles": ["operator", "credential-holder"] });
    let deriver = stand.operator.post("/v1/callers", &new).await;
    let deriver = stand.server.caller(deriver.json["token"].as_str().unwrap());
    let answer = sign(&deriver, &address, &login(&address, 7, now)).await;
    assert!(answer["result"].is_string(), "{answer}");
    let answer = sign(&deriver, &address, &login(&address, 8, now)).await;
    refused("an unknown nonce", &answer, 4001, "denied", "nonce 8");
    let answer = sign(&stand.operator, &address, &login(&address, 7, now)).await;
    refused("who is not to be told", &answer, 4001, "denied", "issue_l1_header");

    let state = clob.state().await;
    assert_eq!(state["keys"].as_array().unwrap().len(), 1);
    assert_eq!(state["keys"][0]["active"], true);
}
