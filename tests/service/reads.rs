//! What can be looked at, by whom: public parts only, and nothing of another desk.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::stand::{Stand, refused};
use crate::support::{desk, order};

#[tokio::test]
async fn the_public_parts_of_a_key_belong_together() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let wallet = stand.trader.get("/v1/wallets/d-w").await.json;
    let key = stand.trader.get("/v1/keys/d-wk").await.json;
    let pem = key["pem"].as_str().unwrap();
    assert_eq!(wallet["pem"], key["pem"]);
    let public = k256::PublicKey::from_public_key_pem(pem).unwrap();
    let point = public.to_encoded_point(false);
    let hash = sha3::Keccak256::digest(&point.as_bytes()[1..]);
    let address = format!("0x{}", hex::encode(&hash[12..]));
    for shown in [&wallet["address"], &wallet["maker"], &key["address"]] {
        assert_eq!(shown.as_str().unwrap().to_lowercase(), address);
    }
    let (x, y) = point.as_bytes()[1..].split_at(32);
    assert_eq!(key["jwk"]["x"], URL_SAFE_NO_PAD.encode(x));
    assert_eq!(key["jwk"]["y"], URL_SAFE_NO_PAD.encode(y));
    assert_eq!(key["state"], "active");
    assert_eq!(key["epoch"], 1);

    let client = stand.trader.get("/v1/clients/d-c").await.json;
    let key = stand.trader.get("/v1/keys/d-ck").await.json;
    for member in ["pem", "jwk"] {
        assert_eq!(client[member], key[member]);
    }
    let public = rsa::RsaPublicKey::from_public_key_pem(key["pem"].as_str().unwrap()).unwrap();
    let n = URL_SAFE_NO_PAD.encode(public.n().to_bytes_be());
    assert_eq!(public.n().bits(), 2048);
    assert_eq!(key["jwk"]["n"], n);
    // RFC 7638, section 3.1.
    let canonical = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
    assert_eq!(key["jwk"]["kid"], thumbprint);
    let der = rsa::pkcs8::EncodePublicKey::to_public_key_der(&public).unwrap();
    let fingerprint = hex::encode(Sha256::digest(der.as_bytes()));
    assert_eq!(key["fingerprint"], fingerprint);

    for shown in [&wallet, &client, &key] {
        let text = shown.to_string();
        assert!(!text.contains("PRIVATE"), "{text}");
        for member in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(shown["jwk"].get(member).is_none(), "{member}");
        }
    }
}

#[tokio::test]
async fn everybody_sees_what_is_theirs_and_nothing_else() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let neighbour = stand
        .server
        .caller(&desk(&stand.operator, "e", "soft").await);
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let nobody = stand.another("nobody", "d", "credential-holder").await;
    for (path, of_d, of_e) in [
        ("/v1/wallets", vec!["d-w"], vec!["e-w"]),
        ("/v1/clients", vec!["d-c"], vec!["e-c"]),
        ("/v1/keys", vec!["d-ck", "d-wk"], vec!["e-ck", "e-wk"]),
    ] {
        let both = [of_d.clone(), of_e.clone()].concat();
        for (who, names) in [
            (&stand.trader, &of_d),
            (&neighbour, &of_e),
            (&auditor, &both),
            (&stand.operator, &both),
            (&nobody, &Vec::new()),
        ] {
            let list = who.get(path).await;
            assert_eq!(list.status, 200, "{}", list.text);
            let found = list.json.as_array().unwrap().iter();
            let found: Vec<_> = found.map(|it| it["name"].as_str().unwrap()).collect();
            assert_eq!(&found, names, "{path}");
            for name in &both {
                let one = who.get(&format!("{path}/{name}")).await;
                let seen = if names.contains(name) { 200 } else { 404 };
                assert_eq!(one.status, seen, "{path}/{name}");
            }
        }
    }
    for who in [&stand.trader, &nobody] {
        let callers = who.get("/v1/callers").await;
        refused("callers", &callers, 403, "denied", "view_callers");
    }
    for who in [&stand.operator, &auditor] {
        let callers = who.get("/v1/callers").await;
        assert_eq!(callers.json.as_array().unwrap().len(), 5);
        assert!(!callers.text.contains("chancery_"), "{}", callers.text);
        let one = who.get("/v1/callers/d-trader").await;
        assert_eq!(one.json["roles"], json!(["trader"]));
    }
}

#[tokio::test]
async fn who_may_not_do_it_is_told_which_right_is_missing() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let step = json!({ "to": "suspended", "reason": "test" });
    let key = json!({ "name": "k", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d" });
    let wallet = json!({ "name": "w", "owner": "d", "key": "d-wk", "chainId": 137 });
    let client = json!({ "name": "c", "owner": "d", "key": "d-ck", "client_id": "x" });
    let caller = json!({ "name": "x", "owner": "d", "roles": ["operator"] });
    let nothing = json!({});
    for (who, path, body, action) in [
        (
            &stand.operator,
            "/v1/wallets/d-w/orders",
            &order(),
            "sign_order",
        ),
        (
            &stand.operator,
            "/v1/clients/d-c/assertions",
            &nothing,
            "issue_assertion",
        ),
        (&auditor, "/v1/wallets/d-w/orders", &order(), "sign_order"),
        (&auditor, "/v1/keys/d-wk/steps", &step, "step_key"),
        (&stand.trader, "/v1/keys/d-wk/steps", &step, "step_key"),
        (&stand.trader, "/v1/keys", &key, "create_key"),
        (&stand.trader, "/v1/wallets", &wallet, "create_wallet"),
        (&stand.trader, "/v1/clients", &client, "create_client"),
        (&stand.trader, "/v1/callers", &caller, "create_caller"),
        (
            &stand.trader,
            "/v1/callers/operator/revoke",
            &nothing,
            "revoke_caller",
        ),
        (
            &stand.trader,
            "/v1/callers/d-trader/tokens",
            &json!({ "token_days": 1 }),
            "grant_credential",
        ),
    ] {
        let answer = who.post(path, body).await;
        refused(path, &answer, 403, "denied", action);
        assert!(!answer.text.contains("permit ("), "no policy text");
    }
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

#[tokio::test]
async fn a_lost_answer_is_found_again() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let auditor = stand.another("auditor", "audit", "auditor").await;
    let mate = stand.another("mate", "d", "trader").await;
    let stranger = stand.another("stranger", "e", "trader").await;
    let path = "/v1/wallets/d-w/orders";
    let signed = stand.trader.post_as("mine", path, &order()).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    let text = |member: &str| signed.json[member].as_str().unwrap();
    let (id, digest, hash) = (text("id"), text("digest"), text("orderHash"));

    let by_id = format!("/v1/signatures/{id}");
    let by_digest = format!("/v1/signatures?digest={digest}");
    let by_hash = format!("/v1/signatures?orderHash={hash}");
    let by_key = "/v1/signatures?idempotency_key=mine".to_owned();
    let check = |found: &Value| {
        assert_eq!(found["id"], id);
        assert_eq!(found["operation"], "order");
        assert_eq!(found["subject"], "d-w");
        assert_eq!(found["outcome"], "released");
        assert_eq!(found["digest"], digest);
        assert_eq!(found["orderHash"], hash);
        assert_eq!(found["answer"], signed.json);
    };
    for who in [&stand.trader, &mate, &auditor] {
        check(&who.get(&by_id).await.json);
        for path in [&by_digest, &by_hash] {
            let found = who.get(path).await;
            assert_eq!(
                found.json.as_array().map(Vec::len),
                Some(1),
                "{}",
                found.text
            );
            check(&found.json[0]);
        }
    }
    check(&stand.trader.get(&by_key).await.json[0]);
    for who in [&mate, &auditor, &stranger] {
        assert_eq!(who.get(&by_key).await.json, json!([]), "keys are one's own");
    }
    for path in [&by_digest, &by_hash] {
        assert_eq!(stranger.get(path).await.json, json!([]));
    }
    refused(
        "stranger",
        &stranger.get(&by_id).await,
        404,
        "not-found",
        "signature",
    );
    let none = stand.trader.get("/v1/signatures/not-an-id").await;
    refused("no id", &none, 404, "not-found", "signature");

    let issued = stand
        .trader
        .post_as("assertion", "/v1/clients/d-c/assertions", &json!({}))
        .await
        .unwrap();
    let assertion = issued.json["client_assertion"].as_str().unwrap();
    let signature = assertion.rsplit('.').next().unwrap();
    let id = issued.json["id"].as_str().unwrap();
    let found = stand.trader.get(&format!("/v1/signatures/{id}")).await;
    assert_eq!(found.json["outcome"], "released");
    assert_eq!(found.json["operation"], "assertion");
    assert_eq!(found.json["answer"], Value::Null, "it is a credential");
    assert_eq!(found.json["record"]["claims"]["iss"], "d-client");
    assert!(!found.text.contains(signature));
    let found = stand
        .trader
        .get("/v1/signatures?idempotency_key=assertion")
        .await;
    assert_eq!(found.json[0]["id"], id);
    assert!(!found.text.contains(signature));
}

#[tokio::test]
async fn what_the_service_says_about_itself_needs_no_token() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let http = reqwest::Client::new();
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", stand.server.base)).send();
        let answer = answer.await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();

    assert_eq!(get("/healthz").await, (200, "ok\n".into()));
    let (status, ready) = get("/readyz").await;
    let checks = json!({ "ready": true, "checks": { "clock": "ok", "evidence": "ok", "ledger": "ok", "writer": "ok", "custody": "ok" } });
    assert_eq!((status, json(&ready)), (200, checks));
    assert_eq!(get("/v1/health").await.0, 401);

    let (status, document) = get("/openapi.json").await;
    assert_eq!(status, 200);
    let own = serde_json::to_value(chancery::http::openapi()).unwrap();
    assert_eq!(json(&document), own);

    // It is sent once to whoever keeps it.
    let url = format!("{}/openapi.json", stand.server.base);
    let first = stand.trader.http.get(&url).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let known = [tag.clone(), "W/\"x\", *".parse().unwrap()];
    for (tags, status) in known
        .into_iter()
        .zip([304, 304])
        .chain([("\"x\"".parse().unwrap(), 200)])
    {
        let again = stand.trader.http.get(&url).header("if-none-match", &tags);
        let again = again.send().await.unwrap();
        assert_eq!(
            (again.status().as_u16(), &again.headers()["etag"]),
            (status, &tag),
            "{tags:?}"
        );
        assert_eq!(again.text().await.unwrap().is_empty(), status == 304);
    }

    let (status, catalogue) = get("/problems").await;
    assert_eq!(status, 200);
    let catalogue = json(&catalogue);
    let kinds = catalogue.as_array().unwrap();
    assert!(kinds.len() > 20);
    for kind in kinds {
        for member in ["name", "title", "action"] {
            assert!(!kind[member].as_str().unwrap().is_empty());
        }
        let path = format!("/problems/{}", kind["name"].as_str().unwrap());
        let (status, one) = get(&path).await;
        assert_eq!((status, &json(&one)), (200, kind), "{path}");
    }
    assert_eq!(get("/problems/none").await.0, 404);
}
