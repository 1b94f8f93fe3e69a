use serde_json::json;

use super::*;

#[test]
fn a_transaction_is_of_the_body_with_its_signer_wallet_kind_and_nonce() {
    let body = json!({
        "from": "0xAb", "type": "WALLET", "nonce": "7", "depositWalletParams": { "depositWallet": "0xCD" },
    });
    let is_of = |change: fn(&mut serde_json::Value)| {
        let mut answer = json!({
            "transactionID": "t", "state": "NEW", "from": "0xaB", "type": "WALLET", "nonce": 7,
            "proxyAddress": "0xcd", "transactionHash": "",
        });
        change(&mut answer);
        let transaction: Transaction = serde_json::from_value(answer).unwrap();
        assert_eq!(transaction.hash(), None);
        transaction.is_of(&body)
    };
    assert!(is_of(|_| {}));
    assert!(is_of(|it| it["proxyAddress"] = json!(null)));
    for change in [
        (|it| it["from"] = json!("0xac")) as fn(&mut serde_json::Value),
        |it| it["type"] = json!("SAFE"),
        |it| it["nonce"] = json!("8"),
        |it| it["nonce"] = json!(""),
        |it| it["proxyAddress"] = json!("0xce"),
    ] {
        assert!(!is_of(change));
    }
}

#[test]
fn ids_and_nonces_are_what_they_should_be() {
    let id = |text: &str| {
        let taken = json!({ "transactionID": text, "state": "NEW" });
        serde_json::from_value::<Taken>(taken).unwrap().id()
    };
    assert_eq!(id("0193-a"), Some("0193-a".into()));
    for wrong in ["", "a b", "ä", &"a".repeat(101)] {
        assert_eq!(id(wrong), None, "{wrong}");
    }
    for (value, right) in [
        (json!("18446744073709551616"), true),
        (json!(7), true),
        (json!("0x1"), false),
        (json!(-1), false),
        (json!(1.5), false),
        (json!(null), false),
        (json!(""), false),
    ] {
        assert_eq!(number(&value).is_some(), right, "{value}");
    }
}
