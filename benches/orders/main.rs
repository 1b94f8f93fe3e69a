//! `cargo bench --bench orders`: `chancery bench`, optimised, with an emulated KMS where there can be one.
//!
//! Whatever it is given goes to the command: `cargo bench --bench orders -- --seconds 4 --only sealed`. With
//! every device, once `tests/pkcs11/opencryptoki build` has made the second:
//! `tests/pkcs11/opencryptoki run cargo bench --bench orders`.

#[path = "../../tests/support/kms.rs"]
mod kms_server;

use std::process::{Command, ExitCode};

use kms_server::MiniStack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_chancery"));
    bench.arg("bench");
    // `cargo bench` says this to every benchmark.
    bench.args(arguments.iter().filter(|it| *it != "--bench"));
    let after = |name: &str| {
        let said = arguments.iter().skip_while(|it| *it != name).nth(1);
        said.cloned().unwrap_or_default()
    };
    let (backend, only) = (after("--backend"), after("--only"));
    let has_kms = backend.is_empty() || backend.contains("kms");
    let named = ["token", "sealed", "second"];
    let kms = if has_kms && !named.iter().any(|it| only.contains(it)) {
        MiniStack::start().await.ok()
    } else {
        None
    };
    if let Some(kms) = &kms {
        bench.args(["--kms-endpoint", &kms.url]);
    }
    let ended = bench.status();
    drop(kms);
    if ended.is_ok_and(|status| status.success()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
