//! Session keys: authorized by the owner's key, listed, told when they end, replaced without moving anything.

use serde_json::json;

use crate::submissions::{Desk, WALLET};

#[tokio::test]
async fn a_session_key_is_authorized_trades_is_told_when_it_ends_and_is_revoked() {
    let Some(desk) = Desk::deployed(&["--settle=at_once"]).await else {
        return;
    };
    let operator = &desk.stand.operator;
    let key = json!({ "name": "sk", "owner": "d", "purpose": "wallet", "backend": "soft", "environment": "dev01" });
    let made = operator.post("/v1/keys", &key).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let active = json!({ "to": "active", "reason": "test" });
    let moved = operator.post("/v1/keys/sk/steps", &active).await;
    assert_eq!(moved.status, 201, "{}", moved.text);

    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let until = (now + 2 * 24 * 3600).to_string();
    let authorize = json!({ "op": "authorize_session_key", "key": "sk", "validUntil": until });
    let (path, _) = desk.sign_for(WALLET, "0", &authorize).await;
    let list = format!("{WALLET}/session-keys");
    let state = async || operator.get(&list).await.json[0].clone();
    let listed = state().await;
    assert_eq!(
        (&listed["state"], &listed["key"]),
        (&json!("authorizing"), &json!("sk")),
        "{listed}"
    );
    let next = listed["next"].as_str().unwrap();
    assert!(
        next.starts_with("chancery relayer submit d-deposit "),
        "{next}"
    );
    assert_eq!(desk.over(&path).await.json["state"], "executed");
    let listed = state().await;
    assert_eq!(listed["state"], "authorized", "{listed}");
    assert!(
        listed["next"].as_str().unwrap().contains("--session-key"),
        "{listed}"
    );

    let due = operator.get("/v1/rotations/due?within_days=14").await;
    let ends = due.json.as_array().unwrap().iter();
    let ends: Vec<_> = ends.filter(|it| it["kind"] == "session-key").collect();
    assert_eq!(
        (ends.len(), &ends[0]["name"]),
        (1, &listed["address"]),
        "{}",
        due.text
    );

    // The wallet's name for the new key; what it signs the relayer takes.
    let maker = operator.get(WALLET).await.json["maker"].clone();
    let wallet = json!({
        "name": "d-session", "owner": "d", "key": "sk", "chainId": 137, "signatureType": 3, "funder": maker,
        "session_key": true, "funder_unverified": true,
    });
    let made = operator.post("/v1/wallets", &wallet).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let builder = crate::support::relayer::builder();
    let given = operator
        .post("/v1/wallets/d-session/builder-credentials", &builder)
        .await;
    assert_eq!(given.status, 201, "{}", given.text);
    let session = "/v1/wallets/d-session";
    let set_up = json!({ "op": "set_up_trading", "profile": "clob-v2" });
    let (path, text) = desk.sign_for(session, "1", &set_up).await;
    assert!(text.contains("64926492"), "{text}");
    assert_eq!(desk.over(&path).await.json["state"], "executed");
    assert_eq!(state().await["next"], json!(null));

    let revoke = json!({ "op": "revoke_session_key", "key": "sk" });
    let (path, _) = desk.sign_for(WALLET, "2", &revoke).await;
    assert_eq!(state().await["state"], "revoking");
    assert_eq!(desk.over(&path).await.json["state"], "executed");
    assert_eq!(state().await["state"], "revoked");
    let due = operator.get("/v1/rotations/due?within_days=14").await;
    assert!(!due.text.contains("session-key"), "{}", due.text);
}

#[tokio::test]
async fn a_wallet_says_what_is_missing_before_its_first_order() {
    let Some(desk) = Desk::new(&["--settle=at_once"]).await else {
        return;
    };
    let operator = &desk.stand.operator;
    let readiness = format!("{WALLET}/readiness");
    let missing = async || {
        let answer = operator.get(&readiness).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let checks = answer.json["checks"].as_array().unwrap().clone();
        let open: Vec<_> = checks.iter().filter(|it| it["is"] == "missing").collect();
        assert_eq!(answer.json["ready"], open.is_empty(), "{}", answer.text);
        assert!(
            open.iter().all(|it| it["next"].is_string()),
            "{}",
            answer.text
        );
        let what = open
            .iter()
            .map(|it| it["what"].as_str().unwrap().to_owned());
        what.collect::<Vec<_>>()
    };
    assert_eq!(missing().await, ["deployment", "approvals", "api-key"]);
    let deployed = desk.over(&format!("{WALLET}/deployment")).await;
    assert_eq!(deployed.json["state"], "executed", "{}", deployed.text);
    assert_eq!(missing().await, ["approvals", "api-key"]);
    let (path, _) = desk.sign("0").await;
    assert_eq!(
        missing().await,
        ["approvals", "api-key"],
        "signed is not carried out"
    );
    assert_eq!(desk.over(&path).await.json["state"], "executed");
    assert_eq!(missing().await, ["api-key"]);
    let revoke = json!({ "op": "revoke_collateral", "token": "pusd", "spender": "exchange_v2" });
    let (path, _) = desk.sign_for(WALLET, "1", &revoke).await;
    assert_eq!(desk.over(&path).await.json["state"], "executed");
    assert_eq!(missing().await, ["approvals", "api-key"]);
}
