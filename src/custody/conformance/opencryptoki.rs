//! openCryptoki's software token, which `tests/pkcs11/opencryptoki` builds and starts: another
//! implementation than `SoftHSM2`, with other codes. Its daemon is one for the machine, so its tests
//! take turns.

use std::path::Path;
use std::process::Command;

use super::skipped;
use crate::custody::pkcs11::Settings;

const SCRIPT: &str = "tests/pkcs11/opencryptoki";

/// Runs `body` with settings that open a fresh token. `name` is the test's, as libtest calls it.
pub(crate) fn run(name: &str, body: impl AsyncFnOnce(Settings)) {
    let variable = |name| std::env::var_os(name)?.into_string().ok();
    if variable("CHANCERY_TEST_OPENCRYPTOKI").is_some() {
        let settings = Settings {
            module: variable("PKCS11_MODULE").unwrap().into(),
            token: None,
            token_label: variable("TOKEN_LABEL"),
            token_serial: None,
            read_only: false,
            pin_file: variable("PIN_FILE").unwrap().into(),
            sessions: 4,
            queue: 1024,
            timeout_ms: 5000,
            call_timeout_ms: 2000,
            replacements: 4,
            isolated: false,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(body(settings));
    }
    let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT))
        .arg("run")
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("CHANCERY_TEST_OPENCRYPTOKI", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let complained = String::from_utf8_lossy(&child.stderr);
    if child.status.code() == Some(77) {
        return skipped(complained.trim());
    }
    println!("{said}{complained}");
    assert!(child.status.success(), "{name} failed in its process");
    assert!(said.contains("1 passed"), "{name} is no test's name");
}
