//! The day a key is compromised: what was agreed to beforehand is signed, and nothing else is.

use serde_json::{Value, json};

use crate::administrators::run;
use crate::limited::set;
use crate::operations::{AT_ONCE, Desk, TREASURY, fees, path, signed, wish, with, withdrawal};
use crate::stand::{Stand, refused};
use crate::support::relayer::{RelayerServer, builder};
use crate::support::venue::ClobServer;
use crate::support::{Caller, order};

const REFUGE: &str = "0x00000000219ab540356cBB839Cbe05303d7705Fa";
const CONDITION: &str = crate::operations::CONDITION;

async fn refuge(operator: &Caller) {
    let new = json!({ "name": "refuge", "chainId": 137, "address": REFUGE, "owner": "d", "refuge": true });
    let added = operator.post("/v1/recipients", &new).await;
    assert_eq!(added.status, 201, "{}", added.text);
    assert_eq!(added.json["refuge"], true);
}

fn to_refuge(amount: &str) -> Value {
    json!({ "op": "withdraw_collateral", "token": "pusd", "recipient": "refuge", "amount": amount })
}

async fn step(stand: &Stand, to: &str) {
    let step = json!({ "to": to, "reason": "test" });
    let done = stand.operator.post("/v1/keys/d-wk/steps", &step).await;
    assert_eq!(done.status, 201, "{}", done.text);
}

async fn halt(stand: &Stand, allow: Option<Value>) -> String {
    let mut new = json!({ "on": "wallet", "name": "d-deposit", "reason": "test" });
    if let Some(allow) = allow {
        new["allow"] = allow;
    }
    let set = stand.operator.post("/v1/halts", &new).await;
    assert_eq!(set.status, 201, "{}", set.text);
    set.json["id"].as_str().unwrap().to_owned()
}

async fn lift(stand: &Stand, id: &str) {
    let path = format!("/v1/halts/{id}/lift");
    let lifted = stand
        .operator
        .post(&path, &json!({ "reason": "test" }))
        .await;
    assert_eq!(lifted.status, 201, "{}", lifted.text);
}

/// What saves a wallet, and what does not.
fn saves(amount: &str) -> [Value; 8] {
    [
        json!({ "op": "pause_trading", "exchange": "exchange_v2" }),
        json!({ "op": "cancel_nonce" }),
        json!({ "op": "revoke_all" }),
        json!({ "op": "merge", "conditionId": CONDITION, "amount": amount }),
        json!({ "op": "redeem", "conditionId": CONDITION }),
        to_refuge(amount),
        json!({ "op": "withdraw_positions", "token": "ctf", "recipient": "refuge", "ids": ["1"], "amounts": [amount] }),
        json!({ "op": "withdraw_native", "recipient": "refuge", "amount": amount }),
    ]
}

fn does_not() -> [Value; 5] {
    [
        json!({ "op": "unpause_trading", "exchange": "exchange_v2" }),
        json!({ "op": "set_up_trading", "profile": "clob-v2" }),
        json!({ "op": "split", "conditionId": CONDITION, "amount": "5" }),
        withdrawal("3"),
        json!({ "op": "withdraw_positions", "token": "ctf", "recipient": "treasury", "ids": ["1"], "amounts": ["1"] }),
    ]
}

#[tokio::test]
async fn a_key_that_signs_nothing_any_more_saves_its_wallet_and_does_nothing_else() {
    let Some(desk) = Desk::new(AT_ONCE).await else {
        return;
    };
    let stand = &desk.stand;
    refuge(&stand.operator).await;
    desk.recipient("treasury", TREASURY).await;
    // In the ordinary case limits hold for the refuge too.
    set(stand, "wallet/d-deposit", json!({ "withdrawal": "4" })).await;
    let much = desk.ask("d-deposit", &wish(0, to_refuge("5"))).await;
    refused("a limit", &much, 403, "limit-exceeded", "withdrawal");

    // The wallet's, and the key's own.
    let (mut batches, mut transactions) = (0, 0);
    // Another amount each time: nothing is paid with two nonces.
    for (state, amount) in [("suspended", "5"), ("compromised", "6")] {
        step(stand, state).await;
        for operation in saves(amount) {
            // One that only an account of its own can do is asked for from there.
            let by_itself =
                operation["op"] == "cancel_nonce" || operation["op"] == "withdraw_native";
            let (wallet, nonce) = if by_itself {
                ("d-w", &mut transactions)
            } else {
                ("d-deposit", &mut batches)
            };
            let mut asked = wish(*nonce, operation);
            if by_itself {
                asked = with(asked, json!({ "via": "transaction", "fees": fees() }));
            }
            *nonce += 1;
            let done = desk.ask(wallet, &asked).await;
            assert_eq!(done.status, 200, "{state}: {asked}: {}", done.text);
            let path = format!("/v1/signatures/{}", done.json["id"].as_str().unwrap());
            let told = desk.treasurer.get(&path).await;
            assert_eq!(told.json["record"]["rescue"], true, "{}", told.text);
            assert!(told.json["withheld"].is_null(), "{}", told.text);
            assert!(told.json["answer"].is_object(), "{}", told.text);
        }
        for operation in does_not() {
            let asked = wish(batches, operation);
            let done = desk.ask("d-deposit", &asked).await;
            refused(state, &done, 409, "key-not-active", state);
            // It does not come along with something that does, either.
            let both = json!({ "operations": [to_refuge("7"), asked["operations"][0]], "nonce": batches.to_string() });
            let both = desk.ask("d-deposit", &both).await;
            assert_ne!(both.status, 200, "{state}: {asked}");
        }
        let order = stand
            .trader
            .post("/v1/wallets/d-deposit/orders", &order())
            .await;
        refused(state, &order, 409, "key-not-active", state);
    }
}

#[tokio::test]
async fn a_halt_says_whether_a_wallet_may_still_go_to_its_refuge() {
    let Some(desk) = Desk::new(AT_ONCE).await else {
        return;
    };
    let stand = &desk.stand;
    refuge(&stand.operator).await;
    desk.recipient("treasury", TREASURY).await;
    let id = halt(stand, None).await;
    let asked = wish(0, to_refuge("5"));
    let post = async || {
        let path = path("d-deposit");
        desk.treasurer.post_as("k", &path, &asked).await.unwrap()
    };
    let first = post().await;
    signed(&first);
    assert_eq!(post().await.text, first.text, "a lost answer is told again");
    let other = desk.ask("d-deposit", &wish(1, withdrawal("5"))).await;
    refused("to another", &other, 403, "halted", "test");
    lift(stand, &id).await;
    halt(stand, Some(json!(["cancel", "read"]))).await;
    let stopped = desk.ask("d-deposit", &wish(1, to_refuge("6"))).await;
    refused("without it", &stopped, 403, "halted", "test");
    assert_eq!(post().await.problem(), "halted", "nor is it told again");
}

#[tokio::test]
async fn one_command_halts_cancels_deletes_and_signs_what_was_prepared_and_goes_on_where_it_stood()
{
    let (Some(clob), Some(relayer)) = (ClobServer::start(&[]), RelayerServer::start(&[]).await)
    else {
        return;
    };
    let more = format!("{AT_ONCE}{}{}", clob.section("polygon"), relayer.section());
    let Some(desk) = Desk::new(&more).await else {
        return;
    };
    let (stand, operator) = (&desk.stand, &desk.stand.operator);
    refuge(operator).await;
    let new = json!({ "mode": "create", "nonce": 0 });
    let made = operator
        .post("/v1/wallets/d-deposit/credentials", &new)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let given = operator
        .post("/v1/wallets/d-deposit/builder-credentials", &builder())
        .await;
    assert_eq!(given.status, 201, "{}", given.text);
    let wallet = operator.get("/v1/wallets/d-deposit").await.json;
    relayer
        .wallet(json!({ "owner": wallet["address"], "address": wallet["maker"] }))
        .await;
    let order = stand
        .trader
        .post("/v1/wallets/d-deposit/orders", &order())
        .await;
    assert_eq!(order.status, 200, "{}", order.text);

    let dir = &stand.deployment.dir;
    let plan = json!([
        { "operations": [{ "op": "pause_trading", "exchange": "exchange_v2" }, to_refuge("5000000")],
          "via": "relayer", "nonce": "0" },
        { "operations": [{ "op": "revoke_all" }], "via": "relayer", "nonce": "1" },
    ]);
    let plan = dir.write("plan.json", &plan.to_string());
    let plan = plan.to_str().unwrap();
    let (operators, treasurers) = (
        dir.write("operator", &operator.token),
        dir.write("treasurer", &desk.treasurer.token),
    );
    let command = ["wallets", "compromised", "d-deposit", "--reason", "a test"];
    // A plan that cannot be read stops it before anything is done.
    let broken = dir.write("broken.json", "{}");
    let broken = [&command[..], &["--plan", broken.to_str().unwrap()]].concat();
    let said = run(operator, &operators, &broken).unwrap_err();
    assert!(said.contains("no JSON array"), "{said}");
    assert_eq!(operator.get("/v1/halts").await.json, json!([]));

    let said = run(operator, &operators, &command).unwrap();
    for what in [
        "halt on key d-wk: in force, ",
        "key d-wk is compromised: on record; it was active",
        "orders at the CLOB: 0 orders cancelled, none left",
        ": deleted",
        "wallet d-w has the same key",
        "no new orders  ready",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    // Whoever may sign goes on with the same command.
    let prepared = [&command[..], &["--plan", plan]].concat();
    let said = run(operator, &treasurers, &prepared).unwrap();
    for what in [
        "key d-wk is compromised: on record already",
        "operation 1 of the plan: ",
        "operation 2 of the plan: ",
        "at the relayer it is executed",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let count = "select count(*) from intents where operation = 'wallet-operation'";
    assert_eq!(stand.database.count(count).await, 2);
    stand
        .database
        .becomes(
            "select count(*) from operations where state = 'executed'",
            2,
        )
        .await;
    // A second time signs nothing, and says that it is all done.
    let again = run(operator, &treasurers, &prepared).unwrap();
    assert!(again.contains("operation 2 of the plan: "), "{again}");
    assert_eq!(stand.database.count(count).await, 2);
    let left = ["wallets", "emptying", "d-deposit", "--json"];
    let left = run(operator, &operators, &left).unwrap();
    let left: Value = serde_json::from_str(&left).unwrap();
    let missing: Vec<&str> = left["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["is"] == "missing")
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert_eq!(missing, ["closed"], "{left}");
}
