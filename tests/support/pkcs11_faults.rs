//! The PKCS#11 module that fails on command (`tests/pkcs11-faults`): built, and told what to do.
#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on stops, and builds what it needs by itself"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `CKR_…`, as the standard numbers them.
pub(crate) mod code {
    pub(crate) const HOST_MEMORY: u64 = 0x02;
    pub(crate) const GENERAL_ERROR: u64 = 0x05;
    pub(crate) const FUNCTION_FAILED: u64 = 0x06;
    pub(crate) const DEVICE_ERROR: u64 = 0x30;
    pub(crate) const DEVICE_MEMORY: u64 = 0x31;
    pub(crate) const DEVICE_REMOVED: u64 = 0x32;
    pub(crate) const KEY_HANDLE_INVALID: u64 = 0x60;
    pub(crate) const OBJECT_HANDLE_INVALID: u64 = 0x82;
    pub(crate) const OPERATION_ACTIVE: u64 = 0x90;
    pub(crate) const PIN_INCORRECT: u64 = 0xa0;
    pub(crate) const PIN_LOCKED: u64 = 0xa4;
    pub(crate) const SESSION_CLOSED: u64 = 0xb0;
    pub(crate) const SESSION_COUNT: u64 = 0xb1;
    pub(crate) const SESSION_HANDLE_INVALID: u64 = 0xb3;
    pub(crate) const TOKEN_NOT_PRESENT: u64 = 0xe0;
    pub(crate) const USER_NOT_LOGGED_IN: u64 = 0x101;
    pub(crate) const CRYPTOKI_NOT_INITIALIZED: u64 = 0x190;
}

/// The module, built once beside the build. An error: it cannot be built here.
pub(crate) fn module() -> Result<PathBuf, String> {
    // target/debug/deps/test: the directory of CARGO_TARGET_TMPDIR, which unit tests are not told.
    let test = std::env::current_exe().unwrap();
    let dir = test.ancestors().nth(3).unwrap().join("pkcs11-faults");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pkcs11-faults/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--manifest-path"])
        .arg(package)
        .arg("--target-dir")
        .arg(&dir)
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS")
        .output()
        .map_err(|error| format!("no cargo to build pkcs11-faults with: {error}"))?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Err(format!("pkcs11-faults does not build: {said}"));
    }
    Ok(dir.join("debug/libpkcs11_faults.so"))
}

/// What is to go wrong. The rules are those of `tests/pkcs11-faults/README.md`.
#[derive(Clone)]
pub(crate) struct Faults {
    dir: PathBuf,
}

impl Faults {
    /// Told by files in this directory.
    pub(crate) fn at(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    /// The environment of a process that loads the module, in front of this one.
    pub(crate) fn environment(&self, real: &Path) -> [(&'static str, PathBuf); 2] {
        [
            ("PKCS11_FAULTS_MODULE", real.to_owned()),
            ("PKCS11_FAULTS_FILE", self.dir.join("faults")),
        ]
    }

    /// From now on these go wrong, and nothing else. Calls are counted from now.
    pub(crate) fn set(&self, rules: &[String]) {
        // Another text each time, so that the module sees that it is new.
        let mut text = format!("# {}\n", uuid::Uuid::new_v4());
        for rule in rules {
            writeln!(text, "{rule}").unwrap();
        }
        let new = self.dir.join("faults.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.dir.join("faults")).unwrap();
    }

    /// The next `times` calls of a function answer this code.
    pub(crate) fn fail(&self, function: &str, times: usize, code: u64) {
        self.set(&[format!("{function} 1 {times} code {code:#x}")]);
    }

    /// All calls of a function answer this code.
    pub(crate) fn fail_always(&self, function: &str, code: u64) {
        self.set(&[format!("{function} 1 * code {code:#x}")]);
    }

    /// The next `times` calls of a function hang until [`end_hang`](Self::end_hang).
    pub(crate) fn hang(&self, function: &str, times: usize) {
        let gate = self.dir.join("hang");
        std::fs::write(&gate, "").unwrap();
        self.set(&[format!("{function} 1 {times} hang {}", gate.display())]);
    }

    /// Lets calls that hang go on.
    pub(crate) fn end_hang(&self) {
        std::fs::remove_file(self.dir.join("hang")).unwrap();
    }

    /// The next `times` ECDSA or RSA signatures are false in this way.
    pub(crate) fn falsify(&self, times: usize, how: &str) {
        self.set(&[format!("C_Sign 1 {times} sign {how}")]);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.set(&[]);
    }

    /// How many calls of a function a rule has struck so far.
    pub(crate) fn struck(&self, function: &str) -> usize {
        let text = std::fs::read_to_string(self.dir.join("faults.struck")).unwrap_or_default();
        text.lines().filter(|line| *line == function).count()
    }
}
