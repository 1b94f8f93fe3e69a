//! A private `SoftHSM` for one test, in a process of its own.
//!
//! It reads its configuration from the environment when it is initialized, and a process has one
//! environment and one of it. So a test starts its own binary again, with the environment set.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::custody::CustodyError;
use crate::custody::pkcs11::{Pkcs11, Settings};

use super::skipped;

#[path = "../../../tests/support/pkcs11_faults.rs"]
pub(crate) mod faults;

use faults::Faults;

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const DIRECTORY: &str = "CHANCERY_TEST_SOFTHSM";
/// The token's label and PIN.
pub(crate) const LABEL: &str = "wallet";
const PIN: &str = "1234567";

/// A directory with a configuration, a PIN file and an initialized token.
pub(crate) struct SoftHsm {
    directory: PathBuf,
}

/// Runs `body` with a private token. `name` is the test's, as libtest calls it.
pub(crate) fn run(name: &str, body: impl AsyncFnOnce(SoftHsm)) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let directory = PathBuf::from(directory);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let softhsm = SoftHsm { directory };
            softhsm.init(LABEL).await.unwrap();
            body(softhsm).await;
        });
        return;
    }
    if !Path::new(MODULE).exists() {
        return skipped("no SoftHSM2");
    }
    let directory = std::env::temp_dir().join(format!("chancery-{}", uuid::Uuid::now_v7()));
    let tokens = directory.join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    std::fs::write(directory.join("pin"), format!("{PIN}\n")).unwrap();
    let configuration = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(directory.join("softhsm2.conf"), configuration).unwrap();

    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", directory.join("softhsm2.conf"))
        .env(DIRECTORY, &directory)
        .envs(Faults::at(&directory).environment(Path::new(MODULE)))
        .env(
            "P11_KIT_SERVER_ADDRESS",
            format!("unix:path={}", socket(&directory).display()),
        )
        .output()
        .unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    println!("{said}{}", String::from_utf8_lossy(&child.stderr));
    let status = child.status;
    assert!(status.success(), "{name} failed in its process: {status}");
    assert!(said.contains("1 passed"), "{name} is no test's name");
}

/// Where `p11-kit server` listens. Its client knows from the environment.
fn socket(directory: &Path) -> PathBuf {
    directory.join("p11-kit")
}

impl SoftHsm {
    /// Where `p11-kit server` listens.
    pub(crate) fn p11_kit_socket(&self) -> PathBuf {
        socket(&self.directory)
    }

    /// Where the tokens' files are.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.directory.join("tokens")
    }

    /// Settings that open the token.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            module: MODULE.into(),
            token: None,
            token_label: Some(LABEL.into()),
            token_serial: None,
            read_only: false,
            pin_file: self.directory.join("pin"),
            sessions: 4,
            queue: 1024,
            timeout_ms: 5000,
            call_timeout_ms: 2000,
            replacements: 4,
            isolated: false,
        }
    }

    /// Settings that open it through the module that fails on command, and the commands. `None`: that
    /// cannot be built here.
    pub(crate) fn faulty(&self) -> Option<(Settings, Faults)> {
        let module = match faults::module() {
            Ok(module) => module,
            Err(why) => {
                skipped(&why);
                return None;
            }
        };
        let settings = Settings {
            module,
            ..self.settings()
        };
        Some((settings, Faults::at(&self.directory)))
    }

    /// Settings with another PIN.
    pub(crate) fn with_pin(&self, pin: &str) -> Settings {
        let pin_file = self.directory.join("another-pin");
        std::fs::write(&pin_file, pin).unwrap();
        Settings {
            pin_file,
            ..self.settings()
        }
    }

    /// Opens the token.
    pub(crate) async fn open(&self) -> Pkcs11 {
        Pkcs11::open("hsm", self.settings()).await.unwrap()
    }

    /// Initializes another token.
    pub(crate) async fn init(&self, label: &str) -> Result<(), CustodyError> {
        let so_pin = "7654321".to_owned().into();
        Pkcs11::init_token(Path::new(MODULE), so_pin, PIN.to_owned().into(), label).await
    }
}
