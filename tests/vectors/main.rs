//! Runs what the official clients were recorded to do against what is done here, through the public
//! interface. `CHANCERY_VECTORS` names another directory of the same format.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test stops where something is wrong, says what it ran, and reads its switch"
)]

mod headers;
mod logins;
mod operations;
mod orders;

use std::path::PathBuf;

use serde_json::Value;

/// A file of recorded data.
fn file(name: &str) -> Value {
    let directory = std::env::var("CHANCERY_VECTORS").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
        PathBuf::from,
    );
    let path = directory.join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|why| panic!("no vectors at {}: {why}", path.display()));
    serde_json::from_str(&text)
        .unwrap_or_else(|why| panic!("{} is not JSON: {why}", path.display()))
}

/// A file of recorded cases. It has as many as it says.
fn recorded(name: &str) -> Value {
    let file = file(name);
    let cases = file["cases"].as_array().expect("a file has cases");
    assert!(!cases.is_empty(), "{name}");
    assert_eq!(file["count"], cases.len(), "{name}");
    file
}

/// Whether a case is about the secret of an API key and nothing else.
fn is_about_a_secret(case: &Value) -> bool {
    let what = case["what"].as_str().unwrap_or_default();
    what.contains("api secret")
}
