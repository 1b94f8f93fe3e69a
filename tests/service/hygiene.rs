//! Signatures that must not leave: each is refused, and its key suspended (P8).

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k256::ecdsa::{Signature, SigningKey};
use k256::elliptic_curve::PrimeField as _;
use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::AffineCoordinates as _;
use k256::pkcs8::EncodePublicKey as _;
use k256::{ProjectivePoint, Scalar, U256};
use serde_json::{Value, json};

use crate::device_faults::Token;
use crate::kms::{CREDENTIALS, World};
use crate::kms_server::Fault;
use crate::stand::refused;
use crate::support::{Answer, Caller, order};

/// An answer of KMS with its signature changed.
fn signature(change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Fault {
    Fault::Answer(Arc::new(move |mut answer| {
        let signature = STANDARD
            .decode(answer["Signature"].as_str().unwrap())
            .unwrap();
        answer["Signature"] = STANDARD.encode(change(signature)).into();
        answer
    }))
}

/// DER of two numbers.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
        let length = u8::try_from(sign.len() + bytes.len()).unwrap();
        [&[2, length], sign, bytes].concat()
    };
    let body = [number(r), number(s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
}

async fn state(operator: &Caller, key: &str) -> Value {
    operator.get(&format!("/v1/keys/{key}")).await.json["state"].clone()
}

/// How the last intent of a key ended.
async fn end(world: &World, key: &str) -> String {
    let sql = "select i.reason from signatures i join keys k on k.id = i.key_id
               where k.name = $1 order by i.id desc limit 1";
    let reason = sqlx::query_scalar(sql).bind(key);
    reason.fetch_one(&world.database.pool).await.unwrap()
}

async fn bring_back(operator: &Caller, key: &str) {
    let body = json!({ "to": "active", "reason": "the vendor has explained it" });
    let path = format!("/v1/keys/{key}/steps");
    let back = operator.post(&path, &body).await;
    assert_eq!(back.status, 201, "{}", back.text);
}

#[tokio::test]
async fn a_signature_that_is_not_what_was_meant_suspends_its_key() {
    let Some(world) = World::open("").await else {
        return;
    };
    let spec = json!({ "KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY" });
    let other = world.kms.create(&spec).await;
    let ours = world.operator.get("/v1/keys/k-wk").await.json["device_ref"].clone();
    let earlier: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keep = earlier.clone();
    world.proxy.fail(
        "Sign",
        1,
        signature(move |signature| {
            keep.lock().unwrap().clone_from(&signature);
            signature
        }),
    );
    assert_eq!(world.order().await.status, 200);
    let earlier = earlier.lock().unwrap().clone();

    let stranger = json!({
        "KeyId": other, "Message": STANDARD.encode([9; 32]), "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256",
    });
    let stranger = world.kms.call("Sign", &stranger).await["Signature"].clone();
    let faults = [
        (
            "another key, and it says so",
            Fault::Ask(Arc::new(move |mut body| {
                body["KeyId"] = other.clone().into();
                body
            })),
        ),
        (
            "a key that it does not name",
            Fault::Answer(Arc::new(move |mut answer| {
                answer["KeyId"] = ours.clone();
                answer["Signature"] = stranger.clone();
                answer
            })),
        ),
        (
            "another message",
            Fault::Ask(Arc::new(move |mut body| {
                body["Message"] = STANDARD.encode([9; 32]).into();
                body
            })),
        ),
        ("an earlier signature", signature(move |_| earlier.clone())),
        (
            "cut",
            signature(|signature| signature[..signature.len() - 1].to_vec()),
        ),
        ("overlong", signature(|it| [&it[..], &[0]].concat())),
        ("no r", signature(|_| der(&[0], &[0x22; 32]))),
        ("no s", signature(|_| der(&[0x11; 32], &[0]))),
        ("nothing", signature(|_| Vec::new())),
    ];
    let count = i64::try_from(faults.len()).unwrap();
    for (what, fault) in faults {
        world.proxy.fail("Sign", 1, fault);
        let detail = "nothing was released";
        refused(what, &world.order().await, 500, "signature-invalid", detail);
        assert_eq!(state(&world.operator, "k-wk").await, "suspended", "{what}");
        assert_eq!(end(&world, "k-wk").await, "bad-signature", "{what}");
        let stopped = world.order().await;
        refused(what, &stopped, 409, "key-not-active", "suspended");
        let elsewhere = world
            .in_software
            .post("/v1/wallets/s-w/orders", &order())
            .await;
        assert_eq!(elsewhere.status, 200, "{what}: {}", elsewhere.text);
        bring_back(&world.operator, "k-wk").await;
        let signed = world.order().await;
        assert_eq!(signed.status, 200, "{what}: {}", signed.text);
    }
    let by_itself =
        "select count(*) from key_transitions where to_state = 'suspended' and actor_id is null";
    assert_eq!(world.database.count(by_itself).await, count);
    let leaves = "select count(*) from leaves where kind = 'admin'
                  and position('step-key'::bytea in leaf) > 0 and position('(intent '::bytea in leaf) > 0";
    assert_eq!(world.database.count(leaves).await, count);
}

#[tokio::test]
async fn a_high_s_is_lowered_and_trouble_on_the_way_suspends_nothing() {
    let Some(world) = World::open("").await else {
        return;
    };
    let high = |signature: Vec<u8>| {
        let signature = Signature::from_der(&signature).unwrap();
        let low = signature.normalize_s().unwrap_or(signature);
        let (r, s) = low.split_scalars();
        let high = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        high.to_der().as_bytes().to_vec()
    };
    world.proxy.fail("Sign", 1, signature(high));
    let signed = world.order().await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    for fault in [
        Fault::Reset,
        Fault::Html,
        Fault::Lost,
        Fault::Error(500, "KMSInternalException"),
        Fault::Error(400, "AccessDeniedException"),
    ] {
        world.proxy.fail("Sign", usize::MAX, fault);
        assert_eq!(world.order().await.status, 503);
        world.proxy.heal();
    }
    assert_eq!(state(&world.operator, "k-wk").await, "active");
}

#[tokio::test]
async fn an_rsa_signature_of_another_message_or_length_suspends_its_key() {
    let Some(world) = World::open("").await else {
        return;
    };
    let path = "/v1/clients/k-c/assertions";
    let other = |mut body: Value| {
        body["Message"] = STANDARD.encode([9; 32]).into();
        body
    };
    for (what, fault) in [
        ("another message", Fault::Ask(Arc::new(other))),
        ("short", signature(|it| it[1..].to_vec())),
        ("long", signature(|it| [&[0], &it[..]].concat())),
    ] {
        world.proxy.fail("Sign", 1, fault);
        let answer = world.in_kms.post(path, &json!({})).await;
        let detail = "nothing was released";
        refused(what, &answer, 500, "signature-invalid", detail);
        assert_eq!(state(&world.operator, "k-ck").await, "suspended", "{what}");
        bring_back(&world.operator, "k-ck").await;
    }
    let issued = world.in_kms.post(path, &json!({})).await;
    assert_eq!(issued.status, 200, "{}", issued.text);
}

/// A signature with a nonce that never changes, as KMS answers it.
fn with_one_nonce(key: &SigningKey, asked: &Value) -> Value {
    let digest = STANDARD.decode(asked["Message"].as_str().unwrap()).unwrap();
    let k = Scalar::from(7_u64);
    let point = (ProjectivePoint::GENERATOR * k).to_affine();
    let r = <Scalar as Reduce<U256>>::reduce_bytes(&point.x());
    let z = <Scalar as Reduce<U256>>::reduce(U256::from_be_slice(&digest));
    let s = k.invert().unwrap() * (z + r * key.as_nonzero_scalar().as_ref());
    let signature = Signature::from_scalars(r.to_repr(), s.to_repr()).unwrap();
    json!({
        "KeyId": asked["KeyId"], "SigningAlgorithm": "ECDSA_SHA_256",
        "Signature": STANDARD.encode(signature.to_der().as_bytes()),
    })
}

/// A world whose desk `n` has a key in KMS that signs with the same nonce for ever.
async fn broken() -> Option<(World, Caller)> {
    let world = World::open("").await?;
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    let public = k256::PublicKey::from(key.verifying_key())
        .to_public_key_der()
        .unwrap();
    let public = STANDARD.encode(public.as_bytes());
    let told = move |mut answer: Value| {
        if answer["KeySpec"] == "ECC_SECG_P256K1" {
            answer["PublicKey"] = public.clone().into();
        }
        answer
    };
    let always = usize::MAX;
    let proxy = &world.proxy;
    proxy.fail("GetPublicKey", always, Fault::Answer(Arc::new(told)));
    let sign = move |asked: Value| with_one_nonce(&key, &asked);
    let (at, operator) = ("/v1/keys", &world.operator);
    let new = json!({
        "name": "n-wk", "purpose": "wallet", "backend": "kms", "environment": "dev01", "owner": "k",
    });
    let made = operator.post(at, &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    proxy.fail("Sign", always, Fault::Instead(Arc::new(sign)));
    bring_back(&world.operator, "n-wk").await;
    let wallet = json!({ "name": "n-w", "key": "n-wk", "owner": "k", "chainId": 137 });
    let made = operator.post("/v1/wallets", &wallet).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let trader = world.in_kms.clone();
    Some((world, trader))
}

#[tokio::test]
async fn the_same_r_for_another_digest_never_leaves_and_suspends_the_key() {
    let Some((world, trader)) = broken().await else {
        return;
    };
    let path = "/v1/wallets/n-w/orders";
    let first = trader.post(path, &order()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = trader.post(path, &order()).await;
    let detail = "nothing was released";
    refused("repeated", &second, 500, "signature-invalid", detail);
    assert_eq!(state(&world.operator, "n-wk").await, "suspended");
    assert_eq!(end(&world, "n-wk").await, "repeated-r");
    world.server.heard("repeats the r of another digest").await;
    let points = "select count(*) from signature_points p join keys k on k.id = p.key_id
                  where k.name = 'n-wk'";
    let released = "select count(*) from signatures i
                    join keys k on k.id = i.key_id where k.name = 'n-wk' and i.order_hash is not null";
    assert_eq!(world.database.count(points).await, 1);
    assert_eq!(world.database.count(released).await, 1);
    let change = sqlx::query("delete from signature_points").execute(&world.database.pool);
    assert!(change.await.is_err());
}

#[tokio::test]
async fn of_two_replicas_that_release_the_same_r_at_once_one_does() {
    let Some((world, trader)) = broken().await else {
        return;
    };
    let server = world.deployment.serve(&CREDENTIALS).await;
    let other = server.caller(&trader.token);
    let path = "/v1/wallets/n-w/orders";
    let mut all = tokio::task::JoinSet::new();
    for number in 0..16 {
        let caller = if number % 2 == 0 { &trader } else { &other };
        let caller = caller.clone();
        all.spawn(async move { caller.post(path, &order()).await });
    }
    let answers: Vec<Answer> = all.join_all().await;
    let good = answers.iter().filter(|it| it.status == 200).count();
    assert_eq!(good, 1, "{answers:#?}");
    let stopped = ["signature-invalid", "key-not-active", "key-changed"];
    for answer in answers.iter().filter(|it| it.status != 200) {
        assert!(stopped.contains(&answer.problem()), "{}", answer.text);
    }
    assert_eq!(state(&world.operator, "n-wk").await, "suspended");
}

#[tokio::test]
async fn a_token_that_signs_something_else_has_its_key_suspended() {
    let Some(token) = Token::open("").await else {
        return;
    };
    let (operator, trader) = (&token.world.operator, &token.world.trader);
    // The other key of `other-key`.
    let new = json!({
        "name": "more", "purpose": "wallet", "backend": "device", "environment": "dev01", "owner": "d",
    });
    assert_eq!(operator.post("/v1/keys", &new).await.status, 201);
    let orders = "/v1/wallets/d-w/orders";
    assert_eq!(trader.post(orders, &order()).await.status, 200);
    for how in [
        "zero-r",
        "zero-s",
        "truncated",
        "overlong",
        "flipped",
        "other-key",
        "earlier",
        "earlier-r",
    ] {
        token.faults.falsify(1, how);
        let detail = "nothing was released";
        let answer = trader.post(orders, &order()).await;
        refused(how, &answer, 500, "signature-invalid", detail);
        assert_eq!(state(operator, "d-wk").await, "suspended", "{how}");
        token.faults.heal();
        bring_back(operator, "d-wk").await;
        let signed = trader.post(orders, &order()).await;
        assert_eq!(signed.status, 200, "{how}: {}", signed.text);
    }
    for how in ["high", "low", "stripped"] {
        token.faults.falsify(1, how);
        let signed = trader.post(orders, &order()).await;
        assert_eq!(signed.status, 200, "{how}: {}", signed.text);
    }
    assert_eq!(state(operator, "d-wk").await, "active");

    // The token says of itself that the key can be taken out (CKA_EXTRACTABLE).
    let new = json!({
        "name": "cp", "purpose": "checkpoint", "backend": "soft", "environment": "dev01", "owner": "ops",
    });
    assert_eq!(operator.post("/v1/keys", &new).await.status, 201);
    bring_back(operator, "cp").await;
    let rule = "C_GetAttributeValue 1 * attribute 0x162 01".to_owned();
    token.faults.set(&[rule]);
    let seen = operator.post("/v1/keys/d-wk/attestation", &json!({})).await;
    assert_eq!(seen.status, 201, "{}", seen.text);
    assert_eq!(seen.json["verdict"], "drift");
    let said = "its attribute extractable is true, and was false";
    assert_eq!(seen.json["findings"][0]["detail"], said, "{}", seen.text);
    assert_eq!(state(operator, "d-wk").await, "suspended");
}
