//! To whom wallets may send: two people add, one removes, and what is in the database decides only as it was decided.

use serde_json::{Value, json};

use crate::approvals::Four;
use crate::doctor::doctor;
use crate::stand::{Stand, refused};
use crate::support::Caller;

const PATH: &str = "/v1/recipients";
const ADDRESS: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
const ADDRESS_OF_ANOTHER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const OTHER: &str = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB";

fn new(name: &str, address: &str) -> Value {
    json!({ "name": name, "chainId": 137, "address": address })
}

async fn add(by: &Caller, recipient: &Value) {
    let added = by.post(PATH, recipient).await;
    assert_eq!(added.status, 201, "{}", added.text);
}

async fn names(by: &Caller) -> Vec<String> {
    let listed = by.get(PATH).await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    let all = listed.json.as_array().unwrap().iter();
    all.map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_recipient_is_added_once_waits_and_is_removed_by_one() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let operator = &stand.operator;
    let mut treasury = new("treasury", ADDRESS);
    treasury["owner"] = "d".into();
    let first = operator.post_as("k", PATH, &treasury).await.unwrap();
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(
        (&first.json["stands"], &first.json["owner"]),
        (&json!(false), &json!("d"))
    );
    assert_eq!(first.json["approval"], "none (single operator)");
    let at = |member: &str| {
        let text = first.json[member].as_str().unwrap();
        let form = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(text, form).unwrap()
    };
    let waits = at("stands_from") - at("added_at");
    assert!(
        (waits - time::Duration::days(1)).abs() < time::Duration::seconds(10),
        "{waits}"
    );
    let again = operator.post_as("k", PATH, &treasury).await.unwrap();
    assert_eq!((again.status, &again.text), (201, &first.text));

    for (what, wrong, status, problem, detail) in [
        (
            "another name",
            new("other", ADDRESS),
            409,
            "name-taken",
            "treasury",
        ),
        (
            "its name",
            new("treasury", OTHER),
            409,
            "name-taken",
            "this name",
        ),
        (
            "nobody",
            new("x", "0x0000000000000000000000000000000000000000"),
            422,
            "recipient-refused",
            "nobody has",
        ),
        (
            "an exchange",
            new("x", "0xE111180000d2663C0091e4f400237545B87B996B"),
            422,
            "recipient-refused",
            "contract of the venue",
        ),
        (
            "no checksum",
            new("x", &OTHER.to_lowercase()),
            422,
            "invalid-field",
            "checksum",
        ),
        (
            "mistyped",
            new("x", &OTHER.replace("8DDDC", "8DDDA")),
            422,
            "invalid-field",
            "checksum",
        ),
    ] {
        let answer = operator.post(PATH, &wrong).await;
        refused(what, &answer, status, problem, detail);
    }
    // The same address on another chain is another account.
    let amoy = json!({ "name": "amoy", "chainId": 80002, "address": ADDRESS });
    add(operator, &amoy).await;
    assert_eq!(names(operator).await, ["amoy", "treasury"]);

    let denied = stand.trader.post(PATH, &new("mine", OTHER)).await;
    refused("a trader", &denied, 403, "denied", "add_recipient");
    let custodian = stand.another("cu", "ops", "custodian").await;
    let denied = custodian.post(PATH, &new("mine", OTHER)).await;
    refused("a custodian", &denied, 403, "denied", "add_recipient");
    let path = format!("{PATH}/treasury");
    let removed = custodian.delete(&path).await;
    assert_eq!(removed.status, 201, "{}", removed.text);
    assert_eq!(names(&custodian).await, ["amoy"]);
    let removed = custodian.delete(&path).await;
    refused("removed", &removed, 404, "not-found", "recipient");
    add(operator, &new("treasury", OTHER)).await;
    let leaves = "select count(*) from leaves where kind = 'admin' and position('add-recipient'::bytea in leaf) > 0";
    assert_eq!(stand.database.count(leaves).await, 3);
    let told = "select count(*) from notices where kind = 'recipient-added'";
    assert_eq!(stand.database.count(told).await, 3);
}

#[tokio::test]
async fn the_key_of_a_contract_wallet_is_no_recipient_unless_that_is_meant() {
    let Some(stand) = Stand::new("[recipients]\nwait_minutes = 0\n").await else {
        return;
    };
    let wallet = stand.operator.get("/v1/wallets/d-w").await;
    let key = wallet.json["address"].as_str().unwrap();
    // The key is a wallet itself, of type 0.
    add(&stand.operator, &new("own", key)).await;
    let listed = stand.operator.get(PATH).await;
    assert_eq!(listed.json[0]["stands"], true, "{}", listed.text);

    let key = json!({ "name": "sk", "owner": "d", "purpose": "wallet", "backend": "soft", "environment": "dev01" });
    let made = stand.operator.post("/v1/keys", &key).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let safe =
        json!({ "name": "safe", "owner": "d", "key": "sk", "chainId": 137, "signatureType": 2 });
    let safe = stand.operator.post("/v1/wallets", &safe).await;
    assert_eq!(safe.status, 201, "{}", safe.text);
    let (signer, maker) = (&safe.json["address"], safe.json["maker"].as_str().unwrap());
    let mut speaks = new("speaks", signer.as_str().unwrap());
    let answer = stand.operator.post(PATH, &speaks).await;
    refused("a signer", &answer, 422, "recipient-refused", maker);
    add(&stand.operator, &new("safe", maker)).await;
    speaks["signer_meant"] = true.into();
    add(&stand.operator, &speaks).await;
}

#[tokio::test]
async fn two_people_add_a_recipient_and_what_they_read_is_what_is_added() {
    let Some(four) = Four::new("").await else {
        return;
    };
    let recipient = new("treasury", ADDRESS);
    let asked = four.ann.post_as("r", PATH, &recipient).await.unwrap();
    assert_eq!(asked.status, 202, "{}", asked.text);
    let sentence = asked.json["sentence"].as_str().unwrap();
    let wanted = format!(
        "let wallets of every desk send to {ADDRESS} on chain 137, as treasury, from 1440 minutes after that"
    );
    assert_eq!(sentence, wanted);
    assert!(names(&four.ann).await.is_empty());
    let approved = four.approve(&four.bob, "bob", &asked.json).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    let added = four.ann.post_as("r", PATH, &recipient).await.unwrap();
    assert_eq!(added.status, 201, "{}", added.text);
    let approval = added.json["approval"].as_str().unwrap();
    assert!(
        approval.contains(asked.json["id"].as_str().unwrap()),
        "{approval}"
    );
    let removed = four.bob.delete(&format!("{PATH}/treasury")).await;
    assert_eq!(removed.status, 201, "{}", removed.text);
    assert!(names(&four.ann).await.is_empty());
}

#[tokio::test]
async fn a_recipient_that_was_changed_in_the_database_is_seen() {
    let Some(stand) = Stand::durable("").await else {
        return;
    };
    add(&stand.operator, &new("treasury", ADDRESS)).await;
    add(&stand.operator, &new("other", OTHER)).await;
    let is_sound = || {
        let (_, report) = doctor(&stand.deployment, &[]);
        let checks = report["checks"].as_array().unwrap().clone();
        let check = checks.iter().find(|it| it["what"] == "authority").unwrap();
        check["verdict"] == "ok"
    };
    assert!(is_sound());
    let text = |change: &str| format!("body = convert_to({change}, 'UTF8')");
    let body = "convert_from(body, 'UTF8')";
    for change in [
        text(&format!(
            "replace({body}, '{ADDRESS}', '{ADDRESS_OF_ANOTHER}')"
        )),
        text(&format!(
            "regexp_replace({body}, '\"stands_from\":[0-9]+', '\"stands_from\":0')"
        )),
        text(&format!(
            "replace({body}, '\"owner\":null', '\"owner\":\"d\"')"
        )),
        "body = null".to_owned(),
        "id = gen_random_uuid()".to_owned(),
    ] {
        let keep = "create table kept as table authority";
        stand.database.run(keep).await;
        let wrong = format!("update authority set {change} where kind = 'recipient'");
        stand.database.falsify("authority", &wrong).await;
        assert!(!is_sound(), "{change}");
        // What was loaded before goes on to hold.
        assert_eq!(names(&stand.operator).await, ["other", "treasury"]);
        let back =
            "delete from authority; insert into authority select * from kept; drop table kept";
        stand.database.falsify("authority", back).await;
        assert!(is_sound(), "{change}");
    }
}
