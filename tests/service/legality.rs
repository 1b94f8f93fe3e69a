//! What was never allowed is found by both verifiers, also where whoever did it has the log's key.

use std::io::Cursor;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chancery::audit::leaf::{Admin, Event, Intent, Leaf};
use chancery::tlog::Policy;
use chancery::verification;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use uuid::Uuid;

use crate::builder_sdk::{installed, python_packages};
use crate::support::Scratch;
use crate::verifiers::{signed, source, the_other};

const KEY: Uuid = Uuid::from_u128(1);
const PROPOSAL: Uuid = Uuid::from_u128(2);

fn admin(action: &str, subject: Uuid, details: &Value) -> Event {
    Event::Admin(Admin {
        actor: Uuid::from_u128(9),
        action: action.into(),
        subject,
        approval: "by right".into(),
        details: details.to_string(),
    })
}

fn step(from: &str, to: &str, epoch: i64) -> Event {
    admin(
        "step-key",
        KEY,
        &json!({ "from": from, "to": to, "epoch": epoch }),
    )
}

fn order(epoch: i64) -> Event {
    signs("order", "{}", epoch)
}

fn signs(operation: &str, record: &str, epoch: i64) -> Event {
    Event::Intent(Box::new(Intent {
        intent: Uuid::now_v7(),
        operation: operation.into(),
        caller: KEY,
        credential: KEY,
        subject: KEY,
        key: KEY,
        key_epoch: epoch,
        policy: [0; 32],
        request_digest: [0; 32],
        idempotency_key: None,
        digest: [0; 32],
        record: record.into(),
        credential_kind: None,
    }))
}

fn made(nonce: &str, api_key: &str) -> Event {
    let details = json!({ "chainId": 137, "address": "0xab", "nonce": nonce, "apiKey": api_key });
    admin("record-credential", Uuid::now_v7(), &details)
}

/// The document of the proposal: whoever asks is person 0, and two officers have to approve.
fn document() -> String {
    let requester = json!({ "person": Uuid::from_u128(100) });
    json!({ "requester": requester, "quorum": { "security-officer": 2 } }).to_string()
}

/// Signs a message as `ssh-keygen -Y sign` does.
fn ssh(message: &str) -> (Vec<u8>, Value) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let put = |parts: &[&[u8]]| -> Vec<u8> {
        let with_length =
            |it: &&[u8]| [&u32::try_from(it.len()).unwrap().to_be_bytes(), *it].concat();
        parts.iter().flat_map(with_length).collect()
    };
    let key = put(&[b"ssh-ed25519", pair.public_key().as_ref()]);
    let about: [&[u8]; 3] = [b"chancery-approval", b"", b"sha512"];
    let hash = Sha512::digest(message);
    let whole = [&b"SSHSIG"[..], &put(&about), &put(&[&hash])].concat();
    let signature = put(&[b"ssh-ed25519", pair.sign(&whole).as_ref()]);
    let parts = [&key, about[0], about[1], about[2], &signature];
    let blob = [&b"SSHSIG\0\0\0\x01"[..], &put(&parts)].concat();
    let text = STANDARD.encode(blob);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(70)
        .map(|it| std::str::from_utf8(it).unwrap())
        .collect();
    let armored = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        lines.join("\n")
    );
    (key, json!({ "ssh": armored }))
}

/// Signs a hash as a browser does with a passkey.
fn passkey(hash: &[u8]) -> (Vec<u8>, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let header = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let key = [&header, pair.public_key().as_ref()].concat();
    let client = json!({
        "type": "webauthn.get", "challenge": URL_SAFE_NO_PAD.encode(hash), "origin": "https://sign.chancery.example",
    });
    let client = client.to_string();
    let data = [&Sha256::digest("chancery.example")[..], &[5, 0, 0, 0, 0]].concat();
    let whole = [&data[..], &Sha256::digest(&client)[..]].concat();
    let signature = pair.sign(&SystemRandom::new(), &whole).unwrap();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let assertion = json!({
        "credential_id": text(&[1]), "authenticator_data": text(&data), "client_data": text(client.as_bytes()),
        "signature": text(signature.as_ref()),
    });
    (key, json!({ "passkey": assertion }))
}

fn approval(person: u128, (key, signature): (Vec<u8>, Value)) -> Value {
    json!({
        "person": Uuid::from_u128(person), "name": format!("p{person}"), "roles": ["security-officer"],
        "public_key": hex::encode(key), "signature": signature,
    })
}

fn carried_out(approvals: &[Value]) -> Event {
    let hash = hex::encode(Sha256::digest(document()));
    admin(
        "carry-out-proposal",
        PROPOSAL,
        &json!({ "hash": hash, "approvals": approvals }),
    )
}

fn under_the_proposal(event: Event) -> Event {
    let Event::Admin(mut it) = event else {
        unreachable!("it is a change")
    };
    it.approval = format!("proposal {PROPOSAL}, approved by p101, p102");
    Event::Admin(it)
}

/// By a person at a terminal, and one at a browser.
fn both() -> [Value; 2] {
    let hash = Sha256::digest(document());
    let message = format!("{}\n", hex::encode(hash));
    [approval(101, ssh(&message)), approval(102, passkey(&hash))]
}

fn story() -> Vec<Event> {
    let hash = hex::encode(Sha256::digest(document()));
    let errand = r#"{"claims":{},"errand":"probe"}"#;
    vec![
        admin("create-key", KEY, &json!({})),
        signs("assertion", errand, 0), // a probe, which goes with a key that does not sign yet
        step("pre-activation", "active", 1),
        order(1),
        made("1", "a"),
        made("1", "a"), // derived again
        made("2", "b"),
        step("active", "suspended", 2),
        admin(
            "propose",
            PROPOSAL,
            &json!({ "hash": hash, "document": document() }),
        ),
        under_the_proposal(step("suspended", "active", 3)),
        carried_out(&both()),
        order(3),
    ]
}

type Change = fn(&mut Vec<Event>);

const CHANGES: [(&str, Change, &[&str]); 18] = [
    ("nothing", |_| {}, &[]),
    (
        "an order before the key was active",
        |it| it.push(order(0)),
        &["key-state"],
    ),
    (
        "an order while it was suspended",
        |it| it.push(order(2)),
        &["key-state"],
    ),
    (
        "an assertion while it was suspended",
        |it| it.push(signs("assertion", "{}", 2)),
        &["key-state"],
    ),
    (
        "an order in an epoch that never was",
        |it| it.push(order(7)),
        &["key-state"],
    ),
    (
        "a step that there is not",
        |it| it.push(step("active", "pre-activation", 4)),
        &["key-step"],
    ),
    (
        "a step from elsewhere",
        |it| it.push(step("retiring", "suspended", 4)),
        &["key-step"],
    ),
    (
        "a step that left one out",
        |it| it.push(step("active", "suspended", 5)),
        &["key-step"],
    ),
    (
        "a step that was taken twice",
        |it| it.push(step("suspended", "active", 3)),
        &["key-step"],
    ),
    (
        "a step that is gone",
        |it| drop(it.remove(7)),
        &["key-step"],
    ),
    (
        "a nonce that made two API keys",
        |it| it.push(made("2", "c")),
        &["nonce-twice"],
    ),
    (
        "an approval of one",
        |it| it[10] = carried_out(&both()[..1]),
        &["approval"],
    ),
    (
        "an approval of one who signed twice",
        |it| it[10] = carried_out(&[both()[0].clone(), both()[0].clone()]),
        &["approval"],
    ),
    (
        "an approval by whoever asked",
        |it| {
            let [mut one, other] = both();
            one["person"] = json!(Uuid::from_u128(100));
            it[10] = carried_out(&[one, other]);
        },
        &["approval"],
    ),
    (
        "an approval by people without the role",
        |it| {
            let [mut one, other] = both();
            one["roles"] = json!(["trader"]);
            it[10] = carried_out(&[one, other]);
        },
        &["approval"],
    ),
    (
        "signatures of something else",
        |it| {
            let hash = Sha256::digest("something else");
            let message = format!("{}\n", hex::encode(hash));
            it[10] = carried_out(&[approval(101, ssh(&message)), approval(102, passkey(&hash))]);
        },
        &["approval"],
    ),
    (
        "a document that was changed",
        |it| {
            let hash = hex::encode(Sha256::digest(document()));
            let other = document().replace('2', "1");
            it[8] = admin(
                "propose",
                PROPOSAL,
                &json!({ "hash": hash, "document": other }),
            );
        },
        &["approval"],
    ),
    (
        "nobody carried it out",
        |it| drop(it.remove(10)),
        &["approval"],
    ),
];

#[test]
fn what_was_never_allowed_is_found_by_both_verifiers() {
    let requirements = source("requirements.txt");
    let Some(packages) = installed("verifier", &requirements, |dir| {
        python_packages(dir, &requirements)
    }) else {
        return;
    };
    let scratch = Scratch::new();
    let mut ours = Vec::new();
    let mut key = None;
    for (n, (what, change, expected)) in CHANGES.into_iter().enumerate() {
        let mut events = story();
        change(&mut events);
        let leaves: Vec<_> = (1..)
            .zip(events)
            .map(|(at, it)| Leaf::new(at, it))
            .collect();
        let (export, by) = signed(&leaves);
        let report = verification::verify(Cursor::new(&export), &Policy::of_log(by.clone()), &[]);
        let report = report.unwrap();
        let kinds: Vec<_> = report.faults.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, expected, "{what}: {report:?}");
        scratch.write(&format!("{n:02}"), &export);
        ours.push((what, expected));
        key = Some(by);
    }
    let theirs = the_other(&packages, scratch.path(), &key.unwrap(), &[]);
    assert_eq!(theirs.len(), ours.len());
    for ((what, expected), found) in ours.iter().zip(&theirs) {
        let kinds = found["faults"].as_array().unwrap().iter();
        let kinds: Vec<_> = kinds.map(|it| it["kind"].as_str().unwrap()).collect();
        assert_eq!(&kinds, expected, "{what}: {found}");
    }
}
