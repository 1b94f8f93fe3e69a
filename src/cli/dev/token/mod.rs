//! The private `SoftHSM2` token: where its module, its configuration and its PINs are.
//!
//! `SoftHSM2` reads `SOFTHSM2_CONF` when the module is initialised, and a process with threads cannot
//! change its environment safely. So the program starts itself anew with the variable set, before it
//! has opened anything: [`SoftToken::enter`].

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

/// The variable that `SoftHSM2` reads.
const CONF: &str = "SOFTHSM2_CONF";
/// Set to the same path by [`SoftToken::enter`], so that it happens once.
const ENTERED: &str = "CHANCERY_DEV_SOFTHSM2_CONF";

/// Where distributions put the module.
const MODULES: [&str; 8] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/lib/libsofthsm2.so",
];

/// A token of one's own in the data directory. The token itself is initialised through the module.
#[derive(Debug)]
pub struct SoftToken {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// Holds the user's PIN, without a line end.
    pub pin_file: PathBuf,
    /// Holds the security officer's PIN, without a line end; needed only to initialise the token.
    pub so_pin_file: PathBuf,
    /// The token's label, by which its slot is found.
    pub label: &'static str,
    /// The configuration that `SOFTHSM2_CONF` names.
    pub conf: PathBuf,
}

impl SoftToken {
    /// Finds the module, and makes in `data_dir` what is missing. Existing PINs and keys are kept.
    pub fn prepare(data_dir: &Path) -> Result<Self> {
        let module = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
        let module = module.context(
            "SoftHSM2 is not installed (Debian, Ubuntu: apt-get install softhsm2; \
             Fedora: dnf install softhsm; macOS: brew install softhsm)",
        )?;
        let dir = data_dir.join("token");
        let tokens = dir.join("tokens");
        let conf = configuration(&tokens)?;
        private_dir(&dir)?;
        private_dir(&tokens)?;
        let token = Self {
            module,
            pin_file: dir.join("pin"),
            so_pin_file: dir.join("so-pin"),
            label: "chancery-dev",
            conf: Self::conf_in(data_dir),
        };
        // Written each time: the data directory may have moved.
        write(&token.conf, &conf)?;
        for file in [&token.pin_file, &token.so_pin_file] {
            if !file.exists() {
                write(file, random_pin()?.as_bytes())?;
            }
        }
        Ok(token)
    }

    /// Where the configuration is in a data directory, if there is a token.
    pub fn conf_in(data_dir: &Path) -> PathBuf {
        data_dir.join("token/softhsm2.conf")
    }

    /// Returns in a process whose environment points `SoftHSM2` at this token: in this one if it does
    /// so already, else in the same program started anew in this one's place, with the same
    /// arguments. Locks are lost on the way.
    pub fn enter(&self) -> Result<()> {
        match step(
            self.conf.as_os_str(),
            std::env::var_os(CONF).as_deref(),
            std::env::var_os(ENTERED).as_deref(),
        )? {
            Step::Go => Ok(()),
            Step::Restart => {
                let program = std::env::current_exe().context("cannot find this program")?;
                let mut arguments = std::env::args_os();
                let mut command = Command::new(&program);
                if let Some(name) = arguments.next() {
                    command.arg0(name);
                }
                let error = command
                    .args(arguments)
                    .env(CONF, &self.conf)
                    .env(ENTERED, &self.conf)
                    .exec();
                Err(error).with_context(|| format!("cannot start {} again", program.display()))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Go,
    Restart,
}

fn step(ours: &OsStr, current: Option<&OsStr>, entered: Option<&OsStr>) -> Result<Step> {
    if current == Some(ours) {
        Ok(Step::Go)
    } else if entered == Some(ours) {
        bail!("something changes {CONF} back when the program starts; unset it there")
    } else {
        Ok(Step::Restart)
    }
}

/// Values end at the line's end, and `#` starts a comment: there is no way to quote them.
fn configuration(tokens: &Path) -> Result<Vec<u8>> {
    let path = tokens.as_os_str().as_bytes();
    if path.iter().any(|byte| matches!(byte, b'#' | b'\n' | b'\r')) {
        bail!(
            "SoftHSM2 cannot keep a token in {}: its path has a # or a line break",
            tokens.display()
        );
    }
    Ok([
        b"directories.tokendir = ",
        path,
        b"\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
    ]
    .concat())
}

/// 128 random bits as text.
fn random_pin() -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(bytes.as_mut()).context("the system gives no random bytes")?;
    Ok(Zeroizing::new(hex::encode(bytes.as_ref())))
}

fn private_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Writes a file for the owner alone, whole or not at all: half a PIN would lock its token away.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
