//! What was tried on wallets, each refused by name; and what client libraries sign through `/rpc`.

use serde_json::{Value, json};

use crate::operations::{
    AT_ONCE, CONDITION, Desk, TREASURY, fees, path, signed, wish, with, withdrawal,
};
use crate::stand::refused;

/// What was tried on wallets like these, by name.
#[rustfmt::skip]
fn wishes(soon: i64) -> Vec<(&'static str, &'static str, Value, &'static str)> {
    let approve = |spender: &str, amount: &str| {
        json!({ "op": "approve_collateral", "token": "pusd", "spender": spender, "amount": amount })
    };
    let many: Vec<_> = (0..41).map(|_| json!({ "op": "redeem", "conditionId": CONDITION })).collect();
    let two = json!({ "operations": [approve("exchange_v2", "1"), approve("router", "1")], "nonce": "0" });
    let revoke = || json!({ "op": "revoke_all" });
    let cancel = || json!({ "op": "cancel_nonce" });
    let max = || wish(0, approve("exchange_v2", "max"));
    let at = |deadline: i64| with(wish(0, revoke()), json!({ "deadline": deadline.to_string() }));
    let dear = json!({ "fees": { "maxFeePerGas": "900000000000000", "maxPriorityFeePerGas": "1", "gas": "120000" } });
    let session = json!({ "op": "authorize_session_key", "key": "d-wk", "validUntil": (soon + 60).to_string() });
    let native = json!({ "op": "withdraw_native", "recipient": "treasury", "amount": "1" });
    let convert = json!({ "op": "convert", "marketId": CONDITION, "indexSet": "1", "amount": "1" });
    let address = json!({ "op": "withdraw_collateral", "token": "pusd", "recipient": TREASURY, "amount": "1" });
    let delegated = json!({ "op": "redeem", "conditionId": CONDITION, "operation": 1 });
    let call = json!({ "op": "call", "to": TREASURY, "data": "0x" });
    vec![
        ("a look-alike adapter", "d-safe", wish(0, approve("collateral_adapter_old", "max")), "spender-refused"),
        ("a legacy exchange", "d-safe", wish(0, approve("exchange_v1", "1")), "spender-refused"),
        ("a ramp without a bound", "d-safe", wish(0, approve("onramp", "max")), "spender-refused"),
        ("a ramp's allowance left behind", "d-safe", wish(0, approve("offramp", "5")), "spender-refused"),
        ("a module as spender", "d-safe", wish(0, approve("binary_module", "max")), "spender-refused"),
        ("a deadline too far ahead", "d-deposit", at(soon + 3_600), "deadline-refused"),
        ("a deadline that is past", "d-deposit", at(1_700_000_000), "deadline-refused"),
        ("a batch that is too long", "d-deposit", json!({ "operations": many, "nonce": "0" }), "batch-too-long"),
        ("a fee above the cap", "d-w", with(max(), dear), "fee-too-high"),
        ("the owner as session key", "d-deposit", wish(0, session), "invalid-field"),
        ("a batch as a transaction", "d-deposit", with(max(), json!({ "via": "transaction", "fees": fees() })), "operation-refused"),
        ("two calls in a transaction", "d-w", with(two, json!({ "fees": fees() })), "operation-refused"),
        ("no nonce", "d-deposit", json!({ "operations": [revoke()] }), "operation-refused"),
        ("text without end", "d-safe", with(max(), json!({ "metadata": "x".repeat(501) })), "operation-refused"),
        ("too little gas", "d-proxy", with(max(), json!({ "relay": TREASURY, "gasLimit": "99999" })), "operation-refused"),
        ("native coin of a contract", "d-safe", wish(0, native), "operation-refused"),
        ("an emergency of a Safe", "d-safe", wish(0, json!({ "op": "pause_wallet" })), "operation-refused"),
        ("a market that is none", "d-safe", wish(0, convert), "operation-refused"),
        ("a payment of nothing", "d-safe", wish(0, withdrawal("0")), "operation-refused"),
        ("an address as recipient", "d-safe", wish(0, address), "invalid-field"),
        ("calldata", "d-safe", wish(0, call), "invalid-field"),
        ("a delegated call", "d-safe", wish(0, delegated), "invalid-field"),
        ("a gas refund", "d-safe", with(wish(0, cancel()), json!({ "gasPrice": "1" })), "invalid-field"),
        ("another chain", "d-safe", with(wish(0, cancel()), json!({ "chainId": 80002 })), "invalid-field"),
    ]
}

const PUSD: &str = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB";
const USDCE: &str = "0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174";

fn word(address: &str) -> String {
    format!("{:0>64}", address[2..].to_lowercase())
}

fn transfer(to: &str) -> String {
    format!("0xa9059cbb{}{:064x}", word(to), 5)
}

/// What was tried as typed data.
#[rustfmt::skip]
fn typed(deposit: &str, soon: i64) -> Vec<(&'static str, Value, &'static str)> {
    let to = |target: &str, data: &str| batch(deposit, soon, target, data);
    let own = |selector: &str| to(deposit, &format!("{selector}{}{soon:064x}", word(TREASURY)));
    let pays = |member: &str, value: &str| {
        let mut data = creation();
        data["message"][member] = value.into();
        data
    };
    let mut with_value = to(PUSD, &transfer(TREASURY));
    with_value["message"]["calls"][0]["value"] = "1".into();
    let mut of_another = to(PUSD, &transfer(TREASURY));
    of_another["message"]["wallet"] = TREASURY.into();
    let permit = json!({
        "primaryType": "Permit", "types": { "Permit": [{ "name": "owner", "type": "address" }] },
        "domain": { "name": "Polymarket USD", "version": "1", "chainId": 137, "verifyingContract": PUSD },
        "message": { "owner": TREASURY },
    });
    let safe_tx = with(permit.clone(), json!({ "primaryType": "SafeTx" }));
    let unbounded = format!("0x095ea7b3{}{}", word(TREASURY), "f".repeat(64));
    vec![
        ("a Safe made for a payment", pays("payment", "900000000"), "typed-data-refused"),
        ("in a token", pays("paymentToken", USDCE), "typed-data-refused"),
        ("to somebody", pays("paymentReceiver", TREASURY), "typed-data-refused"),
        ("trailing bytes", to(PUSD, &format!("{}00", transfer(TREASURY))), "call-refused"),
        ("a stranger's contract", to(TREASURY, &transfer(TREASURY)), "call-refused"),
        ("another owner", own("0xf2fde38b"), "call-refused"),
        ("an upgrade", own("0x4f1ef286"), "call-refused"),
        ("a handover", own("0x0a276680"), "operation-refused"),
        ("a session key of nobody's", own("0x24017fae"), "call-refused"),
        ("a payment to a contract of the venue", to(PUSD, &transfer(USDCE)), "recipient-refused"),
        ("a payment to itself", to(PUSD, &transfer(deposit)), "recipient-refused"),
        ("a payment to a stranger", to(PUSD, &transfer("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")), "recipient-unknown"),
        ("an allowance for a stranger", to(PUSD, &unbounded), "spender-refused"),
        ("a call that carries a value", with_value, "call-refused"),
        ("another wallet's batch", of_another, "typed-data-refused"),
        ("a permit", permit, "typed-data-refused"),
        ("a Safe's transaction", safe_tx, "typed-data-refused"),
    ]
}

/// What was tried as a transaction.
#[rustfmt::skip]
fn transactions() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("the old form", json!({ "gasPrice": "0x1" }), "typed-data-refused"),
        ("a contract", json!({ "to": null }), "typed-data-refused"),
        ("delegation", json!({ "type": "0x4" }), "typed-data-refused"),
        ("an access list", json!({ "accessList": [{}] }), "typed-data-refused"),
        ("another chain", json!({ "chainId": "0x1" }), "typed-data-refused"),
        ("free calldata", json!({ "data": "0xdeadbeef" }), "call-refused"),
        ("coins to a contract", json!({ "to": USDCE, "data": "0x", "value": "0x1" }), "recipient-refused"),
    ]
}

#[tokio::test]
async fn attacks_are_refused_by_name_and_nothing_is_signed() {
    let Some(desk) = Desk::new(AT_ONCE).await else {
        return;
    };
    desk.recipient("treasury", TREASURY).await;
    let soon = in_five_minutes(&desk).await;
    let mut refused = 0;
    for (what, wallet, asked, problem) in wishes(soon) {
        let answer = desk.ask(wallet, &asked).await;
        assert_eq!(answer.problem(), problem, "{what}: {}", answer.text);
        refused += 1;
    }
    let account = &desk.signer;
    for (what, data, problem) in typed(&desk.deposit, soon) {
        let answer = desk
            .rpc("eth_signTypedData_v4", json!([account, data]))
            .await;
        assert_eq!(kind(&answer), problem, "{what}: {answer}");
        refused += 1;
    }
    for (what, more, problem) in transactions() {
        let mut asked = with(transaction(account), more);
        if asked["to"].is_null() {
            asked.as_object_mut().unwrap().remove("to");
        }
        let answer = desk.rpc("eth_signTransaction", json!([asked])).await;
        assert_eq!(kind(&answer), problem, "{what}: {answer}");
        refused += 1;
    }
    let hash = format!("0x{}", "1a".repeat(32));
    let blind = desk.rpc("personal_sign", json!([hash, account])).await;
    assert_eq!(kind(&blind), "rpc-method-unsupported", "{blind}");
    assert_eq!(refused, 48);
    assert_eq!(desk.stand.signed().await, (0, 0));
}

/// The problem in a JSON-RPC answer.
fn kind(answer: &Value) -> &str {
    let kind = answer["error"]["data"]["type"].as_str().unwrap_or_default();
    kind.trim_start_matches("/problems/")
}

async fn in_five_minutes(desk: &Desk) -> i64 {
    let soon = "select extract(epoch from now())::bigint + 300";
    desk.stand.database.count(soon).await
}

fn transaction(from: &str) -> Value {
    json!({
        "from": from, "chainId": "0x89", "nonce": "0x0", "gas": "0x1d4c0", "maxFeePerGas": "0x1bf08eb000",
        "maxPriorityFeePerGas": "0x6fc23ac00", "to": PUSD, "data": transfer(TREASURY),
    })
}

fn creation() -> Value {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let nobody = "0x0000000000000000000000000000000000000000";
    json!({
        "primaryType": "CreateProxy",
        "types": { "CreateProxy": [
            field("paymentToken", "address"), field("payment", "uint256"), field("paymentReceiver", "address"),
        ] },
        "domain": {
            "name": "Polymarket Contract Proxy Factory", "chainId": 137,
            "verifyingContract": "0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b",
        },
        "message": { "paymentToken": nobody, "payment": "0", "paymentReceiver": nobody },
    })
}

fn batch(wallet: &str, deadline: i64, target: &str, data: &str) -> Value {
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    json!({
        "primaryType": "Batch",
        "types": {
            "Batch": [
                field("wallet", "address"), field("nonce", "uint256"), field("deadline", "uint256"),
                field("calls", "Call[]"),
            ],
            "Call": [field("target", "address"), field("value", "uint256"), field("data", "bytes")],
        },
        "domain": { "name": "DepositWallet", "version": "1", "chainId": 137, "verifyingContract": wallet },
        "message": {
            "wallet": wallet, "nonce": "0", "deadline": deadline.to_string(),
            "calls": [{ "target": target, "value": "0", "data": data }],
        },
    })
}

#[tokio::test]
async fn client_libraries_sign_what_is_in_the_catalogue_through_rpc() {
    let Some(desk) = Desk::new(AT_ONCE).await else {
        return;
    };
    desk.recipient("treasury", TREASURY).await;
    let account = &desk.signer;
    let made = desk
        .rpc("eth_signTypedData_v4", json!([account, creation()]))
        .await;
    assert_eq!(result(&made).len(), 132);
    // There is one for ever: a library that starts again gets it again.
    let again = desk
        .rpc("eth_signTypedData_v4", json!([account, creation()]))
        .await;
    assert_eq!(result(&again), result(&made));
    assert_eq!(desk.stand.signed().await, (1, 1));
    let twice = json!({ "operations": [{ "op": "deploy" }] });
    let twice = desk.ask("d-safe", &twice).await;
    refused("twice", &twice, 409, "operation-nonce-taken", "live");

    let soon = in_five_minutes(&desk).await;
    let data = batch(&desk.deposit, soon, PUSD, &transfer(TREASURY));
    let paid = desk
        .rpc("eth_signTypedData_v4", json!([account, data]))
        .await;
    let record = newest(&desk, "d-deposit").await;
    assert_eq!(record["record"]["recipient"]["name"], "treasury");
    desk.is_signed(&record["digest"], result(&paid));

    let raw = desk
        .rpc("eth_signTransaction", json!([transaction(account)]))
        .await;
    assert!(result(&raw).starts_with("0x02f8"), "{raw}");
    // The same as by name: what is asked for is what is signed.
    let asked = with(
        wish(0, withdrawal("5")),
        json!({ "fees": fees(), "dryRun": true }),
    );
    let by_name = desk.ask("d-w", &asked).await;
    assert_eq!(
        signed(&by_name)["digest"],
        newest(&desk, "d-w").await["digest"]
    );
}

#[track_caller]
fn result(answer: &Value) -> &str {
    answer["result"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

/// What was signed last for a wallet.
async fn newest(desk: &Desk, wallet: &str) -> Value {
    let listed = desk.treasurer.get(&path(wallet)).await;
    let id = signed(&listed)[0]["id"].as_str().unwrap();
    let shown = desk.treasurer.get(&format!("/v1/signatures/{id}")).await;
    signed(&shown).clone()
}
