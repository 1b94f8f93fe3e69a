//! What was signed behind the service's back is named, as far as the device has a word of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::attestation::{MODULE, PIN, Token};
use crate::evidence::{export, until};
use crate::kms::World;
use crate::kms_server::Fault;
use crate::support::{Caller, Database, Deployment, Server, order, skip};

const OFTEN: &str = "[evidence]\ncheckpoint_every_ms = 100\n";

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap()
}

/// Exports all there is so far, as an auditor; and the log's key.
async fn exported(
    (server, operator): (&Server, &Caller),
    database: &Database,
    deployment: &Deployment,
) -> (PathBuf, String) {
    let new = json!({ "name": "audit", "owner": "auditors", "roles": ["auditor"] });
    let made = operator.post("/v1/callers", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let auditor = server.caller(made.json["token"].as_str().unwrap());
    let all = database.count("select count(*) from leaves").await;
    let key = until("a checkpoint of all", async || {
        let log = auditor.get("/v1/log").await.json;
        let size: i64 = log["checkpoint"].as_str()?.lines().nth(1)?.parse().ok()?;
        (size >= all).then(|| log["key"].as_str().unwrap().to_owned())
    });
    let key = key.await;
    let file = deployment.file("export.jsonl");
    export(&auditor, &file).await;
    (file, key)
}

/// Whether all is reconciled, and the report.
fn reconciled(export: &Path, key: &str, args: &[&str]) -> (bool, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["audit", "reconcile"])
        .arg(export)
        .args(["--key", key])
        .args(args)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report: Value = report.unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["reconciled"], output.status.success(), "{report}");
    assert_eq!(report["log"]["verified"], true, "{report}");
    (output.status.success(), report)
}

fn kinds(findings: &Value) -> Vec<&str> {
    let all = findings.as_array().unwrap().iter();
    all.map(|it| it["kind"].as_str().unwrap()).collect()
}

/// Signatures as CloudTrail itself writes them: the key stands among the resources.
async fn events(world: &World) -> Value {
    let mut trail = world.kms.trail("Sign").await;
    for event in trail["Events"].as_array_mut().unwrap() {
        let text = event["CloudTrailEvent"].as_str().unwrap();
        let mut told: Value = serde_json::from_str(text).unwrap();
        told["resources"] = json!([{ "ARN": told["requestParameters"]["KeyId"] }]);
        event["CloudTrailEvent"] = told.to_string().into();
    }
    trail
}

#[tokio::test]
async fn what_somebody_else_signs_in_kms_is_named_by_cloudtrail() {
    let Some(world) = World::open(OFTEN).await else {
        return;
    };
    for _ in 0..3 {
        let signed = world.order().await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let assertions = "/v1/clients/k-c/assertions";
    assert_eq!(world.in_kms.post(assertions, &json!({})).await.status, 200);
    // KMS has signed and the answer was lost; it did not sign; it was never asked.
    world.proxy.fail("Sign", 1, Fault::Lost);
    assert_eq!(world.order().await.status, 200);
    world
        .proxy
        .fail("Sign", 1, Fault::Error(400, "ThrottlingException"));
    assert_eq!(world.order().await.status, 200);
    world.proxy.fail("Sign", 10_000, Fault::Reset);
    assert_ne!(world.order().await.status, 200);
    world.proxy.heal();

    let write = |trail: &Value| {
        let file = world.deployment.dir.write("trail.json", &trail.to_string());
        file.display().to_string()
    };
    let who = (&world.server, &world.operator);
    let (file, key) = exported(who, &world.database, &world.deployment).await;
    let trail = events(&world).await;
    assert_eq!(trail["Events"].as_array().unwrap().len(), 7);
    let (name, at) = (write(&trail), now());
    let early = "2026-01-01T00:00:00Z";
    let span = ["--from", early, "--until", &at];
    let args = [&["--cloudtrail", &name][..], &span].concat();
    let (good, report) = reconciled(&file, &key, &args);
    assert!(good, "{report:#}");
    assert_eq!(
        (
            &report["device_signatures"],
            &report["matched"],
            &report["outside"]
        ),
        (&json!(7), &json!(6), &json!(0)),
        "{report:#}"
    );
    assert_eq!(
        kinds(&report["notes"]),
        ["presumed", "unseen-intent"],
        "{report:#}"
    );
    assert_eq!(report["unobserved"], json!([]));

    // A release of which the device knows nothing.
    let mut less = trail.clone();
    let gone = less["Events"].as_array_mut().unwrap().pop().unwrap();
    let gone: Value = serde_json::from_str(gone["CloudTrailEvent"].as_str().unwrap()).unwrap();
    let name = write(&less);
    let args = [&["--cloudtrail", &name][..], &span].concat();
    let (good, report) = reconciled(&file, &key, &args);
    assert!(!good);
    assert_eq!(kinds(&report["faults"]), ["unseen-release"], "{report:#}");
    assert_eq!(report["faults"][0]["request"], gone["requestID"]);

    // Whoever may use the keys signs past the service: with the client's, with the wallet's just after an intent of
    // which nothing came, and with one of their own.
    let of = async |key: &str| {
        let key = world.operator.get(&format!("/v1/keys/{key}")).await;
        key.json["device_ref"].as_str().unwrap().to_owned()
    };
    let own = json!({ "KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY" });
    let own = world.kms.create(&own).await;
    for (key, algorithm) in [
        (&of("k-ck").await, "RSASSA_PKCS1_V1_5_SHA_256"),
        (&of("k-wk").await, "ECDSA_SHA_256"),
        (&own, "ECDSA_SHA_256"),
    ] {
        let sign = json!({
            "KeyId": key, "Message": STANDARD.encode([7; 32]), "MessageType": "DIGEST",
            "SigningAlgorithm": algorithm,
        });
        world.kms.call("Sign", &sign).await;
    }
    let trail = events(&world).await;
    // Also where it was signed after the newest leaf, for the auditor says until when both are whole.
    let (name, at) = (write(&trail), now());
    let args = ["--cloudtrail", &name, "--from", early, "--until", &at];
    let (good, report) = reconciled(&file, &key, &args);
    assert!(!good);
    assert_eq!(kinds(&report["faults"]), ["unrecorded"], "{report:#}");
    let fault = &report["faults"][0];
    assert_eq!(
        (&fault["key"], &fault["intent"]),
        (&json!("k-ck"), &Value::Null)
    );
    // It cannot be told from a call whose answer was lost, but it is shown with who made it.
    assert_eq!(kinds(&report["notes"]), ["presumed", "presumed"]);
    let notes = report["notes"].to_string();
    assert!(notes.contains("user/t from 127.0.0.1"), "{notes}");
    assert!(
        fault["detail"]
            .as_str()
            .unwrap()
            .contains("user/t from 127.0.0.1"),
        "{fault}"
    );
    assert_eq!(report["other_keys"], json!({ own: 1 }));
}

/// What a module's log counts.
fn counted(log: &Path) -> u64 {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    // Each signature begins once; how long it will be is asked by `C_Sign` too.
    let calls = log.lines().filter(|line| line.ends_with(": C_SignInit"));
    calls.count().try_into().unwrap()
}

#[tokio::test]
async fn what_somebody_else_signs_with_a_token_is_named_where_the_token_counts() {
    let spy = std::fs::read_dir("/usr/lib").unwrap().find_map(|folder| {
        let file = folder.unwrap().path().join("pkcs11-spy.so");
        file.exists().then_some(file)
    });
    let Some(spy) = spy else {
        return skip("no OpenSC");
    };
    let spy = spy.to_str().unwrap();
    // SoftHSM has no log of its own. OpenSC's spy stands before it and writes down each call, as an HSM's log does.
    let logs = crate::support::Scratch::new();
    let log = logs.path().join("calls");
    let through = [
        ("PKCS11SPY", MODULE),
        ("PKCS11SPY_OUTPUT", log.to_str().unwrap()),
    ];
    let Some(token) = Token::through(spy, &through).await else {
        return;
    };
    for _ in 0..3 {
        let signed = token.trader.post("/v1/wallets/d-w/orders", &order()).await;
        assert_eq!(signed.status, 200, "{}", signed.text);
    }
    let who = (&token.server, &token.operator);
    let (file, key) = exported(who, &token.database, &token.deployment).await;
    let count = |name: &str, signatures: u64| {
        let line = json!({ "key": name, "from": "2026-01-01T00:00:00Z", "until": now(), "signatures": signatures });
        let file = token
            .deployment
            .dir
            .write("counts.jsonl", &line.to_string());
        file.display().to_string()
    };
    assert_eq!(counted(&log), 3);
    let (good, report) = reconciled(&file, &key, &["--counts", &count("d-wk", counted(&log))]);
    assert!(good, "{report:#}");
    assert_eq!(report["unobserved"], json!([]));

    // Whoever has the PIN signs with the token's own tools.
    let wallet = token.operator.get("/v1/keys/d-wk").await.json;
    let id = wallet["id"].as_str().unwrap().replace('-', "");
    let digest = token.deployment.dir.write("digest", &"d".repeat(32));
    let signed = Command::new("pkcs11-tool")
        .args([
            "--module",
            spy,
            "--token-label",
            "t",
            "--login",
            "--pin",
            PIN,
        ])
        .args([
            "--sign",
            "--mechanism",
            "ECDSA",
            "--id",
            &id,
            "--input-file",
        ])
        .arg(digest)
        .arg("--output-file")
        .arg(token.deployment.file("signature"))
        .env("SOFTHSM2_CONF", token.deployment.file("softhsm2.conf"))
        .envs(through)
        .output()
        .unwrap();
    assert!(signed.status.success(), "{signed:?}");
    assert_eq!(counted(&log), 4);
    let (good, report) = reconciled(&file, &key, &["--counts", &count("d-wk", counted(&log))]);
    assert!(!good);
    assert_eq!(
        kinds(&report["faults"]),
        ["more-than-recorded"],
        "{report:#}"
    );
    let detail = report["faults"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("1 were made behind"), "{detail}");

    let (good, report) = reconciled(&file, &key, &["--counts", &count("d-wk", 2)]);
    assert!(!good);
    assert_eq!(kinds(&report["faults"]), ["fewer-than-released"]);
    // Without a word of the token, nobody can tell; the report says so.
    let (good, report) = reconciled(&file, &key, &["--counts", &count("d-ck", 0)]);
    assert!(good, "{report:#}");
    let alone = json!([{ "key": "d-wk", "backend": "hsm", "signatures": 3 }]);
    assert_eq!(report["unobserved"], alone);
}
