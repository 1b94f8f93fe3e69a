//! The third verifier: a page that works in a browser without a network, and shares no code with the others.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::builder_sdk;
use crate::evidence::proved;
use crate::stand::Stand;
use crate::support::{count, skip};

/// The browser of the tests: packages that drive one, and the one that is installed.
pub(crate) fn browser(script: &str) -> Option<Command> {
    if !Path::new("/usr/bin/chromium").exists() {
        skip("chromium is not installed");
        return None;
    }
    let source = |file: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("tests/browser").join(file)
    };
    let wanted = source("package-lock.json");
    let dir = builder_sdk::installed("browser-npm", &wanted, |dir| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(source(file), dir.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        npm
    })?;
    for file in [script, "looking.mjs"] {
        std::fs::copy(source(file), dir.join(file)).unwrap();
    }
    let mut node = Command::new("node");
    node.arg(script).current_dir(&dir);
    Some(node)
}

#[tokio::test]
async fn a_page_without_a_network_verifies_proofs_and_sees_every_change() {
    let Some(node) = browser("verify.mjs") else {
        return;
    };
    let settings = "[evidence]\norigin = \"chancery.test/log\"\ncheckpoint_every_ms = 200";
    let Some(stand) = Stand::new(settings).await else {
        return;
    };
    let auditor = stand.another("audit", "auditors", "auditor").await;
    let mut proofs = Vec::new();
    for _ in 0..3 {
        let (_, these) = proved(&stand, &auditor).await;
        proofs.extend(these.iter().map(|it| it["proof"].clone()));
    }
    let log = auditor.get("/v1/log").await;
    let page: PathBuf = [env!("CARGO_MANIFEST_DIR"), "deploy/verify-proof.html"]
        .iter()
        .collect();
    let asked = json!({
        "page": page, "key": log.json["key"], "proofs": proofs, "changes": count(300, 5_000),
    });
    let steps = tokio::task::spawn_blocking(move || builder_sdk::run(node, &asked));
    let steps = steps.await.unwrap();
    for (n, step) in steps[..proofs.len()].iter().enumerate() {
        let said = step["said"].as_str().unwrap();
        assert!(
            said.starts_with("Proved: the leaf at index "),
            "{n}: {said}"
        );
        let kind = ["kindintent", "kindreleased"][n % 2];
        let leaf = step["leaf"].as_str().unwrap();
        assert!(leaf.trim().starts_with(kind), "{n}: {leaf}");
    }
    let [.., file, other, changes] = &*steps else {
        panic!("{steps:?}");
    };
    assert!(
        file["said"].as_str().unwrap().starts_with("Proved"),
        "{file}"
    );
    assert!(
        other["said"].as_str().unwrap().starts_with("Not proved"),
        "{other}"
    );
    assert_eq!(changes["unseen"], json!([]));
    assert_eq!(changes["complaints"], json!([]));
    let asked = changes["asked"].as_array().unwrap();
    assert_eq!(asked.len(), 1, "the page alone: {asked:?}");
}
