//! A client that a public generator makes of the OpenAPI document.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::builder_sdk::{installed, python_packages, run};
use crate::stand::Stand;

#[tokio::test]
async fn a_generated_client_makes_a_key_signs_with_it_and_suspends_it() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let requirements = source("requirements.txt");
    let Some(dir) = installed("openapi-client", &requirements, |dir| {
        python_packages(dir, &requirements)
    }) else {
        return;
    };
    let generated = stand.deployment.dir.path().join("generated");
    std::fs::create_dir(&generated).unwrap();
    let document = serde_json::to_string(&chancery::http::openapi()).unwrap();
    let document = stand.deployment.dir.write("openapi.json", &document);
    // What the generator would have formatted afterwards stays as it is.
    let settings = stand
        .deployment
        .dir
        .write("generator.yml", "post_hooks: []\n");
    let output = Command::new("python3")
        .args(["-m", "openapi_python_client", "generate", "--meta", "none"])
        .args(["--fail-on-warning", "--path"])
        .arg(document)
        .arg("--config")
        .arg(settings)
        .arg("--output-path")
        .arg(generated.join("chancery_client"))
        .env("PYTHONPATH", dir.join("packages"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    let mut script = Command::new("python3");
    script
        .arg(source("keys.py"))
        .env(
            "PYTHONPATH",
            std::env::join_paths([dir.join("packages"), generated]).unwrap(),
        )
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let given = json!({
        "url": stand.server.base, "operator": stand.operator.token, "trader": stand.trader.token,
    });
    let said = run(script, &given).remove(0);
    let address = &said["address"];
    assert!(address.as_str().unwrap().starts_with("0x"), "{said}");
    let expected: Value = json!({
        "made": "pre-activation", "active": "active", "address": address, "signer": address,
        "suspended": "suspended", "shown": "suspended", "refused": "/problems/key-not-active",
    });
    assert_eq!(said, expected);
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/openapi-client")
        .join(file)
}
