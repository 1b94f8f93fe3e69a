//! A wallet on record belongs to its key, or says that somebody took it on their word.

use serde_json::{Value, json};

use crate::stand::{Stand, refused};
use crate::support::Answer;

/// A wallet with the desk's key; members of `more` win.
async fn create(stand: &Stand, name: &str, more: Value) -> Answer {
    let mut new = json!({ "name": name, "owner": "d", "key": "d-wk", "chainId": 137 });
    let Value::Object(more) = more else {
        panic!("members")
    };
    new.as_object_mut().unwrap().extend(more);
    stand.operator.post("/v1/wallets", &new).await
}

const STRANGER: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";

#[tokio::test]
async fn a_wallet_shows_what_follows_from_its_key_and_takes_no_other_funder() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let shown = stand.trader.get("/v1/wallets/d-w").await.json;
    let own = |name: &str| shown["derived"][name].as_str().unwrap().to_owned();
    let address = shown["address"].as_str().unwrap();
    assert_eq!(shown["warnings"], json!([]));
    assert_eq!(shown["funder_unverified"], false);
    assert_eq!(shown["allow_replace"], false);

    for (name, kind, funder) in [
        ("proxy", 1, own("proxy")),
        ("safe", 2, own("safe")),
        ("deposit", 3, own("depositWallet")),
        ("uups", 3, own("depositWalletUups")),
    ] {
        let made = create(
            &stand,
            name,
            json!({ "signatureType": kind, "funder": funder }),
        )
        .await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(made.json["maker"], funder.as_str());
        assert_eq!(made.json["warnings"], json!([]));
    }
    for (name, kind, funder) in [("p", 1, own("proxy")), ("s", 2, own("safe"))] {
        let made = create(&stand, name, json!({ "signatureType": kind })).await;
        assert_eq!(
            made.json["maker"],
            funder.as_str(),
            "derived: {}",
            made.text
        );
        let shown = stand.trader.get(&format!("/v1/wallets/{name}")).await;
        assert_eq!(shown.json, made.json);
    }
    let missing = create(&stand, "x", json!({ "signatureType": 3 })).await;
    refused(
        "type 3",
        &missing,
        422,
        "invalid-field",
        &own("depositWallet"),
    );
    let missing = create(&stand, "x", json!({ "signatureType": 1, "chainId": 80002 })).await;
    refused("amoy", &missing, 422, "invalid-field", "funder is missing");
    let eoa = create(&stand, "x", json!({ "funder": STRANGER })).await;
    refused("type 0", &eoa, 422, "invalid-field", "not the signer");

    for (kind, funder, fits) in [
        (1, own("safe"), "it fits signatureType 2"),
        (2, own("proxy"), "it fits signatureType 1"),
        (2, own("depositWalletUups"), "it fits signatureType 3"),
        (1, address.to_owned(), "it fits signatureType 0"),
        (3, STRANGER.to_owned(), "it fits no signatureType"),
    ] {
        let answer = create(
            &stand,
            "x",
            json!({ "signatureType": kind, "funder": funder }),
        )
        .await;
        refused(fits, &answer, 422, "funder-not-derived", fits);
        for name in ["proxy", "safe", "depositWallet", "depositWalletUups"] {
            refused(name, &answer, 422, "funder-not-derived", &own(name));
        }
    }
    let session = json!({ "signatureType": 3, "funder": STRANGER, "session_key": true });
    let answer = create(&stand, "x", session).await;
    refused("session", &answer, 422, "funder-not-derived", "session_key");
    let none = stand
        .database
        .count("select count(*) from wallets where name = 'x'");
    assert_eq!(none.await, 0);
}

#[tokio::test]
async fn a_funder_taken_on_somebody_s_word_stays_marked() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let unverified = json!({ "signatureType": 2, "funder": STRANGER, "funder_unverified": true });
    let made = create(&stand, "unverified", unverified).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let session = json!({
        "signatureType": 3, "funder": STRANGER, "session_key": true, "funder_unverified": true,
    });
    let made = create(&stand, "session", session).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for name in ["unverified", "session"] {
        let shown = stand.trader.get(&format!("/v1/wallets/{name}")).await.json;
        assert_eq!(shown["funder_unverified"], true);
        assert_eq!(shown["warnings"][0]["code"], "funder-not-derived");
    }
    let needless = json!({ "signatureType": 1, "funder_unverified": true, "allow_replace": true });
    let made = create(&stand, "needless", needless).await.json;
    assert_eq!(made["funder_unverified"], false, "it was derived: {made}");
    assert_eq!(made["allow_replace"], true);

    let amoy = json!({ "signatureType": 2, "funder": STRANGER, "chainId": 80002 });
    let made = create(&stand, "amoy", amoy).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json["funder_unverified"], false);
    assert_eq!(made.json["warnings"][0]["code"], "funder-not-derived");
    assert_eq!(made.json["maker"], STRANGER);
}
