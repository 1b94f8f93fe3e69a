//! An evidence pack: the same past has the same bytes, and each of them is proved.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::evidence::{proved, said};
use crate::stand::Stand;
use crate::support::Caller;

async fn export(auditor: &Caller, folder: &Path, more: &[&str]) -> (bool, String) {
    let token_file = folder.with_extension("token");
    std::fs::write(&token_file, &auditor.token).unwrap();
    let (url, token_file) = (auditor.base.clone(), token_file.display().to_string());
    let folder = folder.display().to_string();
    let more: Vec<String> = more.iter().map(|it| (*it).to_owned()).collect();
    let done = tokio::task::spawn_blocking(move || {
        let mut args = vec![
            "audit",
            "export",
            &folder,
            "--url",
            &url,
            "--token-file",
            &token_file,
        ];
        args.extend(more.iter().map(String::as_str));
        said(&args)
    });
    done.await.unwrap()
}

/// All files of a pack but the proof of its index, which is another each time it is made.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let all = all.filter(|it| it.file_name() != "index.tlog-proof");
    all.map(|it| {
        (
            it.file_name().into_string().unwrap(),
            std::fs::read(it.path()).unwrap(),
        )
    })
    .collect()
}

fn rows(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn a_pack_of_the_same_past_has_the_same_bytes_and_proves_itself() {
    let Some(stand) = Stand::new("[evidence]\ncheckpoint_every_ms = 100").await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let moment = async || {
        tokio::time::sleep(Duration::from_millis(500)).await; // a checkpoint more
        chancery::clock::timestamp(time::OffsetDateTime::now_utc())
    };
    let (before, _) = proved(&stand, &auditor).await;
    let from = moment().await;
    let (within, _) = proved(&stand, &auditor).await;
    let denied = stand.trader.get("/v1/log").await;
    assert_eq!(denied.status, 403, "{}", denied.text);
    let suspend = json!({ "to": "suspended", "reason": "=for the test" });
    let suspended = stand.operator.post("/v1/keys/d-ck/steps", &suspend).await;
    assert_eq!(suspended.status, 201, "{}", suspended.text);
    let until = moment().await;
    let (after, _) = proved(&stand, &auditor).await;

    let times = ["--from", &from, "--until", &until];
    let (early, late) = (
        stand.deployment.file("early"),
        stand.deployment.file("late"),
    );
    let now = chancery::clock::timestamp(time::OffsetDateTime::now_utc());
    let (good, text) = export(&auditor, &late, &["--until", &now]).await;
    assert!(!good && text.contains("ten seconds ago"), "{text}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (good, text) = export(&auditor, &early, &times).await;
    assert!(good, "{text}");

    let signed = rows(&early, "signatures.jsonl");
    let ids: Vec<_> = signed
        .iter()
        .map(|it| it["signature"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [within.as_str()], "neither {before} nor {after}");
    let one = &signed[0];
    assert_eq!(
        (&one["caller_name"], &one["subject_name"], &one["key_name"]),
        (&json!("d-trader"), &json!("d-w"), &json!("d-wk"))
    );
    assert_eq!(rows(&early, "refusals.jsonl")[0]["action"], "view_log");
    let states = rows(&early, "key-states.jsonl");
    let last = states.last().unwrap();
    assert_eq!(
        (&last["key_name"], &last["from"], &last["to"]),
        (&json!("d-ck"), &json!("active"), &json!("suspended"))
    );
    let credentials = std::fs::read_to_string(early.join("credentials.jsonl")).unwrap();
    assert!(
        credentials.contains("token") && !credentials.contains("hash"),
        "{credentials}"
    );
    let index: Value = serde_json::from_slice(&files(&early)["index.json"]).unwrap();
    for control in index["controls"].as_array().unwrap() {
        for file in control["files"].as_array().unwrap() {
            assert!(early.join(file.as_str().unwrap()).exists(), "{control}");
        }
    }

    // Another one, later, when more has happened; one that was interrupted is gone on with.
    let (good, text) = export(&auditor, &late, &times).await;
    assert!(good, "{text}");
    assert!(files(&early) == files(&late));
    for name in ["leaves.jsonl", "statements.jsonl"] {
        let whole = std::fs::read(late.join(name)).unwrap();
        std::fs::write(late.join(name), &whole[..whole.len() - 40]).unwrap();
    }
    std::fs::remove_file(late.join("index.json")).unwrap();
    let (good, text) = export(&auditor, &late, &times).await;
    assert!(good, "{text}");
    assert!(files(&early) == files(&late));
    let (good, text) = export(&auditor, &late, &["--until", &until]).await;
    assert!(!good && text.contains("no such export"), "{text}");

    let log = auditor.get("/v1/log").await;
    let key = log.json["key"].as_str().unwrap();
    let name = early.display().to_string();
    let verify = || said(&["audit", "verify", &name, "--key", key]);
    let (good, report) = verify();
    assert!(good, "{report}");
    let exports = auditor
        .get("/v1/audit/events?action=export-log&caller=audit")
        .await;
    assert_eq!(
        exports.json.as_array().unwrap().len(),
        3,
        "{}",
        exports.text
    );

    // Each file that is changed is named; a sheet that is made to fit the index is no better.
    for (name, bytes) in files(&early) {
        let mut changed = bytes.clone();
        let Some(at) = changed.iter().rposition(u8::is_ascii_alphanumeric) else {
            continue; // a sheet without a row
        };
        changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
        std::fs::write(early.join(&name), &changed).unwrap();
        let (good, report) = verify();
        assert!(!good, "{name}: {report}");
        std::fs::write(early.join(&name), &bytes).unwrap();
    }
    let (sheet, index) = (early.join("refusals.csv"), early.join("index.json"));
    let text = std::fs::read_to_string(&sheet).unwrap();
    let without = format!("{}\r\n", text.lines().next().unwrap());
    std::fs::write(&sheet, &without).unwrap();
    let hash = |text: &str| {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(text))
    };
    let listed = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, listed.replace(&hash(&text), &hash(&without))).unwrap();
    let (good, report) = verify();
    assert!(
        !good && report.contains("otherwise than it follows"),
        "{report}"
    );
    assert!(
        report.contains("does not show that this index is in the log"),
        "{report}"
    );
}
