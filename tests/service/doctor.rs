//! `chancery doctor` on a world that is broken in many places: it says each thing, and what to do.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::attestation::Token;
use crate::support::{Deployment, Postgres, desk};

/// Runs it; whether it was content, and what it said.
pub(crate) fn doctor(deployment: &Deployment, environment: &[(&str, &str)]) -> (bool, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_chancery"))
        .args(["doctor", "--json", "--config"])
        .arg(deployment.file("config.toml"))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], output.status.success());
    (output.status.success(), report)
}

/// What was found by its subject: verdict and detail. A subject may be there twice.
fn found(report: &Value) -> BTreeMap<String, Vec<(String, String)>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for check in report["checks"].as_array().unwrap() {
        let text = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
        if check["verdict"] != "ok" {
            assert!(!text("advice").is_empty(), "{check}");
        }
        let said = (text("verdict"), text("detail"));
        all.entry(text("what")).or_default().push(said);
    }
    all
}

#[track_caller]
pub(crate) fn says(report: &Value, what: &str, verdict: &str, detail: &str) {
    let all = found(report);
    let said = all
        .get(what)
        .unwrap_or_else(|| panic!("nothing of {what}: {all:#?}"));
    let is = |it: &&(String, String)| it.0 == verdict && it.1.contains(detail);
    assert!(said.iter().any(|it| is(&it)), "{what}: {said:?}");
}

fn mode(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_doctor_says_each_thing_that_is_broken() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database().await;
    let deployment = Deployment::new(&database.url);
    let token = deployment.bootstrap();
    let server = deployment.serve(&[]).await;
    let operator = server.caller(&token);
    desk(&operator, "d", "soft").await;
    desk(&operator, "e", "soft").await;
    // An environment's server that is nobody's: that may be all right, so it is no fault.
    let file = deployment.file("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("https://pmx-dev01.us.auth0.com", "http://127.0.0.1:1");
    std::fs::write(&file, text).unwrap();
    let (content, report) = doctor(&deployment, &[]);
    assert!(content, "{report:#}");
    for key in ["d-wk", "d-ck", "e-wk", "e-ck"] {
        says(&report, &format!("key {key}"), "ok", "active, as recorded");
    }
    says(&report, "ledger settings", "ok", "keeps");
    says(&report, "environment dev01", "unknown", "127.0.0.1:1");

    let new = json!({
        "name": "old", "purpose": "wallet", "backend": "soft", "environment": "dev01", "owner": "d",
    });
    assert_eq!(operator.post("/v1/keys", &new).await.status, 201);
    let end = json!({ "reason": "never used" });
    let end = operator.post("/v1/keys/old/destruction", &end).await;
    assert_eq!(end.status, 201, "{}", end.text);
    for change in [
        "delete from sealed_keys where key_id = (select id from keys where name = 'd-wk')",
        "update sealed_keys set public_key = (select public_key from keys where name = 'e-wk')
         where key_id = (select id from keys where name = 'd-ck')",
        "insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin,
                           cryptoperiod_ends_at)
         select gen_random_uuid(), 'lost', purpose, algorithm, backend, environment, owner, origin,
                cryptoperiod_ends_at from keys where name = 'e-wk'",
        "alter system set full_page_writes = off",
        "select pg_reload_conf()",
    ] {
        sqlx::query(change).execute(&database.pool).await.unwrap();
    }
    deployment.restate().await;
    let off =
        "select count(*) from pg_settings where name = 'full_page_writes' and setting = 'off'";
    database.becomes(off, 1).await;
    mode(&deployment.file("sealing.key"), 0o660);
    let (content, report) = doctor(&deployment, &[]);
    assert!(!content);
    says(&report, "sealing key file", "wrong", "mode 0660");
    says(&report, "sealing key", "wrong", "its group may write it");
    says(&report, "custody.soft master key file", "ok", "mode 0");
    says(
        &report,
        "ledger settings",
        "wrong",
        "full_page_writes = off",
    );
    says(&report, "key d-wk", "wrong", "holds 0 keys");
    says(&report, "key d-ck", "wrong", "public key is another one");
    says(&report, "key lost", "wrong", "never made it");
    says(&report, "key old", "unknown", "waiting to be destroyed");
    says(&report, "key e-wk", "ok", "as recorded");
    let wrong = found(&report).into_values().flatten();
    assert_eq!(wrong.filter(|(verdict, _)| verdict == "wrong").count(), 6);

    std::fs::write(&file, "[ledger]\n").unwrap();
    let (content, report) = doctor(&deployment, &[]);
    assert!(!content);
    says(&report, "configuration", "wrong", "is wrong");
}

#[tokio::test]
async fn the_doctor_describes_a_token_and_names_keys_that_no_record_has() {
    let Some(token) = Token::open().await else {
        return;
    };
    let conf = token.deployment.file("softhsm2.conf");
    let environment = [("SOFTHSM2_CONF", conf.to_str().unwrap())];
    mode(&token.deployment.file("pin"), 0o644);
    let (_, report) = doctor(&token.deployment, &environment);
    says(&report, "custody.hsm PIN file", "wrong", "mode 0644");
    says(
        &report,
        "custody.hsm",
        "ok",
        "token \"t\", SoftHSM project SoftHSM v2",
    );
    let known = found(&report)["custody.hsm"].len();
    assert_eq!(known, 1, "{report:#}");

    mode(&token.deployment.file("pin"), 0o400);
    token.import("00112233445566778899aabbccddeeff");
    let (_, report) = doctor(&token.deployment, &environment);
    says(&report, "custody.hsm PIN file", "ok", "mode 0400");
    let stranger =
        "1 private keys that no record names by id: 00112233-4455-6677-8899-aabbccddeeff";
    says(&report, "custody.hsm", "unknown", stranger);
}
