//! Wallet operations: what is asked for by name is signed once for a nonce, for those who may, and nothing else is.

use chancery::ethereum::Address;
use chancery::ethereum::signature::Recovery;
use serde_json::{Value, json};

use crate::approvals::nobody_alone;
use crate::stand::{Stand, refused};
use crate::support::{Answer, Caller};

/// The next nonce of each wallet is said by whoever asks.
pub(crate) const AT_ONCE: &str = "[recipients]\nwait_minutes = 0\n";
pub(crate) const TREASURY: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
pub(crate) const CONDITION: &str =
    "0x9b1e134ef114bd4ad69577338a2219baf9e2f6622a04ff9b5539bc7c40a517ba";

/// A desk with a wallet of each type, of one key.
pub(crate) struct Desk {
    pub(crate) stand: Stand,
    pub(crate) treasurer: Caller,
    pub(crate) signer: String,
    pub(crate) deposit: String,
}

impl Desk {
    pub(crate) async fn new(more: &str) -> Option<Self> {
        let stand = Stand::new(more).await?;
        let own = stand.operator.get("/v1/wallets/d-w").await.json;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let deposit = text(&own["derived"]["depositWallet"]);
        for (name, kind, funder) in [
            ("d-proxy", 1, Value::Null),
            ("d-safe", 2, Value::Null),
            ("d-deposit", 3, json!(deposit)),
        ] {
            let new = json!({
                "name": name, "owner": "d", "key": "d-wk", "chainId": 137, "signatureType": kind, "funder": funder,
            });
            let made = stand.operator.post("/v1/wallets", &new).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
        let treasurer = stand.another("d-treasurer", "d", "treasurer").await;
        Some(Self {
            treasurer,
            signer: text(&own["address"]),
            deposit,
            stand,
        })
    }

    pub(crate) async fn ask(&self, wallet: &str, wish: &Value) -> Answer {
        self.treasurer.post(&path(wallet), wish).await
    }

    pub(crate) async fn recipient(&self, name: &str, address: &str) {
        let new = json!({ "name": name, "chainId": 137, "address": address });
        let added = self.stand.operator.post("/v1/recipients", &new).await;
        assert_eq!(added.status, 201, "{}", added.text);
    }

    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.treasurer.post("/rpc", &call).await.json
    }

    /// That a signature over this digest is the key's.
    pub(crate) fn is_signed(&self, digest: &Value, signature: &str) {
        let bytes = |text: &str| hex::decode(&text[2..]).unwrap();
        let digest: [u8; 32] = bytes(digest.as_str().unwrap()).try_into().unwrap();
        let raw: [u8; 64] = bytes(signature)[..64].try_into().unwrap();
        let signer: Address = self.signer.parse().unwrap();
        let signers = Recovery::new(&raw).unwrap().signers(&digest);
        assert!(signers.contains(&Some(signer)), "{signers:?}");
    }
}

pub(crate) fn path(wallet: &str) -> String {
    format!("/v1/wallets/{wallet}/operations")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is made where it is given"
)]
pub(crate) fn wish(nonce: u64, operation: Value) -> Value {
    json!({ "operations": [operation], "nonce": nonce.to_string() })
}

pub(crate) fn withdrawal(amount: &str) -> Value {
    json!({ "op": "withdraw_collateral", "token": "pusd", "recipient": "treasury", "amount": amount })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is made where it is given"
)]
pub(crate) fn with(mut wish: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        wish[name] = value.clone();
    }
    wish
}

pub(crate) fn fees() -> Value {
    json!({ "maxFeePerGas": "120000000000", "maxPriorityFeePerGas": "30000000000", "gas": "120000" })
}

#[track_caller]
pub(crate) fn signed(answer: &Answer) -> &Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    &answer.json
}

#[tokio::test]
async fn each_type_of_wallet_is_set_up_with_one_signature_and_the_record_says_what_it_does() {
    let Some(desk) = Desk::new("").await else {
        return;
    };
    let set_up = json!({ "op": "set_up_trading", "profile": "clob-v2" });
    let asked = with(wish(0, set_up.clone()), json!({ "dryRun": true }));
    let tried = desk.ask("d-deposit", &asked).await;
    assert_eq!(
        signed(&tried)["record"]["calls"].as_array().unwrap().len(),
        8
    );
    assert_eq!(desk.stand.signed().await, (0, 0), "a dry run signs nothing");

    let batch = wish(0, set_up.clone());
    let done = desk
        .treasurer
        .post_as("k", &path("d-deposit"), &batch)
        .await
        .unwrap();
    let done = signed(&done).clone();
    assert_eq!(done["kind"], "batch");
    assert_eq!(done["actions"], json!(["set_up_trading"]));
    let first = &done["calls"][0];
    assert_eq!(
        (&first["op"], &first["function"], &first["contract"]),
        (
            &json!("approve_collateral"),
            &json!("approve(address,uint256)"),
            &json!("pusd")
        )
    );
    desk.is_signed(&done["digest"], done["signature"].as_str().unwrap());
    assert_eq!(done["request"]["path"], "/submit");
    let body: Value = serde_json::from_str(done["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (
            &body["type"],
            &body["from"],
            &body["depositWalletParams"]["depositWallet"]
        ),
        (&json!("WALLET"), &json!(desk.signer), &json!(desk.deposit))
    );
    assert_eq!(body["signature"], done["signature"]);

    // Asked again it is the same answer, and nothing more is signed.
    let again = desk
        .treasurer
        .post_as("k", &path("d-deposit"), &batch)
        .await
        .unwrap();
    assert_eq!(signed(&again), &done);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(desk.stand.signed().await, (1, 1));

    let id = done["id"].as_str().unwrap();
    let shown = desk
        .treasurer
        .get(&format!("{}/{id}", path("d-deposit")))
        .await;
    let shown = signed(&shown);
    assert_eq!(
        (&shown["state"], &shown["nonce"]),
        (&json!("live"), &json!("0"))
    );
    assert_eq!(shown["signature"]["record"]["calls"], done["calls"]);
    assert_eq!(shown["signature"]["answer"], done);

    let safe = desk.ask("d-safe", &wish(0, set_up.clone())).await;
    let safe = signed(&safe);
    assert_eq!(safe["kind"], "safe");
    let v = &safe["signature"].as_str().unwrap()[130..];
    assert!(["1f", "20"].contains(&v), "the relayer's form: {v}");
    desk.is_signed(&safe["digest"], safe["signature"].as_str().unwrap());
    let typed = with(wish(1, set_up.clone()), json!({ "via": "transaction" }));
    let typed = desk.ask("d-safe", &typed).await;
    let v = &signed(&typed)["signature"].as_str().unwrap()[130..];
    assert!(["1b", "1c"].contains(&v), "typed data: {v}");
    assert_eq!(
        &typed.json["call"]["data"].as_str().unwrap()[..10],
        "0x6a761202"
    );

    let relay = json!({ "relay": "0x3cBBcB26Da902Ee99311dbc31B742Ec4B5dF3367" });
    let proxy = desk
        .ask("d-proxy", &with(wish(0, set_up.clone()), relay))
        .await;
    assert_eq!(signed(&proxy)["kind"], "relayed");

    let one = json!({ "op": "approve_collateral", "token": "pusd", "spender": "exchange_v2", "amount": "max" });
    let own = desk
        .ask("d-w", &with(wish(0, one), json!({ "fees": fees() })))
        .await;
    let raw = signed(&own)["rawTransaction"].as_str().unwrap();
    assert!(raw.starts_with("0x02"), "{raw}");

    let safe = desk
        .ask("d-safe", &json!({ "operations": [{ "op": "deploy" }] }))
        .await;
    assert_eq!(signed(&safe)["kind"], "safe-creation");
    let deposit = desk
        .ask("d-deposit", &json!({ "operations": [{ "op": "deploy" }] }))
        .await;
    assert_eq!(deposit.status, 201, "{}", deposit.text);
    let body = deposit.json["request"]["body"].as_str().unwrap();
    assert!(body.contains("WALLET-CREATE"), "{body}");
}

#[tokio::test]
async fn one_signature_of_a_nonce_is_live_and_nothing_is_paid_with_two() {
    let Some(desk) = Desk::new(AT_ONCE).await else {
        return;
    };
    desk.recipient("treasury", TREASURY).await;
    let deposit = "d-deposit";
    let pay = |nonce, amount| wish(nonce, withdrawal(amount));
    // Whoever races, one gets it.
    let (seven, eight, nine) = (pay(7, "7"), pay(7, "8"), pay(7, "9"));
    let answers = tokio::join!(
        desk.ask(deposit, &seven),
        desk.ask(deposit, &eight),
        desk.ask(deposit, &nine)
    );
    let mut answers = [answers.0, answers.1, answers.2];
    answers.sort_by_key(|it| it.status);
    assert_eq!(answers.each_ref().map(|it| it.status), [200, 409, 409]);
    refused(
        "the nonce",
        &answers[1],
        409,
        "operation-nonce-taken",
        "live",
    );
    let first = answers[0].json["id"].as_str().unwrap().to_owned();
    let paid = answers[0].json["calls"][0]["arguments"][1]
        .as_str()
        .unwrap()
        .to_owned();

    let ahead = desk.ask(deposit, &pay(9, "1")).await;
    refused(
        "a gap",
        &ahead,
        409,
        "operation-nonce-ahead",
        "next one on record is 8",
    );
    let twice = desk.ask(deposit, &pay(8, &paid)).await;
    refused("the same", &twice, 409, "operation-unsettled", &first);
    let other = desk.ask(deposit, &pay(8, "1000")).await;
    signed(&other);

    // Its place is taken by nothing but a cancellation that says so.
    let cancel = wish(7, json!({ "op": "cancel_nonce" }));
    let unsaid = desk.ask(deposit, &cancel).await;
    refused("unsaid", &unsaid, 409, "operation-nonce-taken", &first);
    let replaces = json!({ "replaces": first });
    let dearer = desk
        .ask(deposit, &with(pay(7, "5"), replaces.clone()))
        .await;
    refused(
        "another payment",
        &dearer,
        409,
        "operation-not-replaced",
        "cancel_nonce",
    );
    signed(&desk.ask(deposit, &with(cancel, replaces)).await);
    let still = desk.ask(deposit, &pay(9, &paid)).await;
    refused(
        "replaced is not dead",
        &still,
        409,
        "operation-unsettled",
        &first,
    );

    // What became of it is said once, by somebody who may.
    let outcome = format!("{}/{first}/outcome", path(deposit));
    let dead = json!({ "outcome": "dead", "evidence": "the nonce was spent by the cancellation" });
    let trader = desk.stand.trader.post(&outcome, &dead).await;
    refused("a trader", &trader, 403, "denied", "settle_operation");
    let settled = desk.treasurer.post(&outcome, &dead).await;
    assert_eq!(settled.status, 201, "{}", settled.text);
    assert_eq!(settled.json["state"], "dead");
    let again = desk.treasurer.post(&outcome, &dead).await;
    refused("again", &again, 409, "operation-settled", "dead");
    signed(&desk.ask(deposit, &pay(9, &paid)).await);

    let at = |query: &str| format!("{}?{query}", path(deposit));
    let listed = desk.treasurer.get(&at("nonce=7")).await;
    assert_eq!(signed(&listed).as_array().unwrap().len(), 2);
    let listed = desk
        .treasurer
        .get(&at(&format!("recipient={TREASURY}&state=dead")))
        .await;
    assert_eq!(signed(&listed)[0]["id"], first);

    // A transaction's place is taken by the same with higher fees.
    let own = |nonce, more: Value| {
        with(
            wish(nonce, withdrawal("5")),
            with(json!({ "fees": fees() }), more),
        )
    };
    let slow = desk.ask("d-w", &own(3, json!({}))).await;
    let slow = signed(&slow)["id"].clone();
    let mut fast = own(3, json!({ "replaces": slow }));
    fast["fees"]["maxFeePerGas"] = "240000000000".into();
    signed(&desk.ask("d-w", &fast).await);
}

#[tokio::test]
async fn money_leaves_for_registered_recipients_only_within_limits_and_by_those_who_may() {
    let Some(desk) = Desk::new(AT_ONCE).await else {
        return;
    };
    let deposit = "d-deposit";
    let pay = |nonce, amount| wish(nonce, withdrawal(amount));
    let nobody = desk.ask(deposit, &pay(0, "5")).await;
    refused("nobody", &nobody, 422, "recipient-unknown", "treasury");
    desk.recipient("treasury", TREASURY).await;
    let trader = desk.stand.trader.post(&path(deposit), &pay(0, "5")).await;
    refused("a trader", &trader, 403, "denied", "withdraw");
    // A batch takes the rights of all its steps.
    let split = json!({ "op": "split", "conditionId": CONDITION, "amount": "5" });
    let both = json!({ "operations": [split, withdrawal("5")], "nonce": "0" });
    let trader = desk.stand.trader.post(&path(deposit), &both).await;
    refused("both", &trader, 403, "denied", "withdraw");
    let split = wish(0, split);
    signed(&desk.stand.trader.post(&path(deposit), &split).await);

    let said = json!({ "withdrawal": "600", "withdrawals_24h": "1000" });
    crate::limited::set(&desk.stand, "wallet/d-deposit", said).await;
    let much = desk.ask(deposit, &pay(1, "601")).await;
    refused("at once", &much, 403, "limit-exceeded", "withdrawal");
    signed(&desk.ask(deposit, &pay(1, "600")).await);
    let more = desk.ask(deposit, &pay(2, "401")).await;
    refused("in a day", &more, 403, "limit-exceeded", "withdrawals_24h");
    signed(&desk.ask(deposit, &pay(2, "400")).await);
    let positions = json!({
        "op": "withdraw_positions", "token": "ctf", "recipient": "treasury", "ids": ["1"], "amounts": ["1"],
    });
    let full = desk.ask(deposit, &wish(3, positions)).await;
    refused(
        "positions count",
        &full,
        403,
        "limit-exceeded",
        "withdrawals_24h",
    );

    // Who is removed is paid nothing more.
    let gone = desk.stand.operator.delete("/v1/recipients/treasury").await;
    assert_eq!(gone.status, 201, "{}", gone.text);
    let gone = desk.ask("d-safe", &pay(0, "5")).await;
    refused("removed", &gone, 422, "recipient-unknown", "treasury");
}

#[tokio::test]
async fn a_recipient_that_waits_is_paid_nothing() {
    let Some(desk) = Desk::new("").await else {
        return;
    };
    desk.recipient("treasury", TREASURY).await;
    let waits = desk.ask("d-deposit", &wish(0, withdrawal("5"))).await;
    refused("waits", &waits, 409, "recipient-waits", "waits until");
    assert_eq!(desk.stand.signed().await, (0, 0));
}

#[tokio::test]
async fn a_session_key_is_authorized_on_the_word_of_two() {
    let Some(mut desk) = Desk::new("").await else {
        return;
    };
    let key = json!({
        "name": "d-session", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d",
    });
    let made = desk.stand.operator.post("/v1/keys", &key).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let soon = desk
        .stand
        .database
        .count("select extract(epoch from now())::bigint + 86400")
        .await;
    let authorize = json!({ "op": "authorize_session_key", "key": "d-session", "validUntil": soon.to_string() });
    let done = desk.ask("d-deposit", &wish(0, authorize.clone())).await;
    assert_eq!(signed(&done)["actions"], json!(["authorize_session_key"]));
    let log = "select count(*) from leaves where position('sign-operation'::bytea in leaf) > 0";
    assert_eq!(desk.stand.database.count(log).await, 1);

    // Where no operator stands alone, one person's word is not enough, and nothing is signed.
    nobody_alone(&desk.stand.deployment, "");
    desk.stand.server = desk.stand.deployment.serve(&[]).await;
    let treasurer = desk.stand.server.caller(&desk.treasurer.token);
    let alone = treasurer
        .post(&path("d-deposit"), &wish(1, authorize))
        .await;
    assert_eq!(alone.status, 403, "{}", alone.text);
    let (intents, _) = desk.stand.signed().await;
    assert_eq!(intents, 1);
    let revoke = json!({ "op": "revoke_session_key", "key": "d-session" });
    signed(&treasurer.post(&path("d-deposit"), &wish(1, revoke)).await);
}
