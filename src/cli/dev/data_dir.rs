//! The directory that `chancery dev` keeps everything in, and the lock on it.
//!
//! ```text
//! lock           held as long as somebody uses the directory
//! pg/            the Postgres cluster; owned by the user it runs as
//! run/           its socket, or a link to a directory with a shorter path
//! postgres.log
//! token/         softhsm2.conf, tokens/, pin, so-pin
//! ```

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A data directory that nobody else uses: it is locked until this and all that was started on it
/// are gone, however the process ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory if it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Self> {
        let root = rustix::process::geteuid().is_root();
        if !path.exists() {
            // Postgres does not run as root, and the user it steps down to has to get through.
            let mode = if root { 0o755 } else { 0o700 };
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(path)
                .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
                .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        }
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot find the data directory {}", path.display()))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write in the data directory {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another `chancery dev` uses {}; stop it, or give this one another --data-dir",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.join("lock").display()))
            }
        }
    }

    /// Where it is unless the command line says otherwise: `/var/lib/chancery` for root, else
    /// `chancery` in the user's state directory (XDG Base Directory Specification).
    pub fn default_path() -> Result<PathBuf> {
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/chancery"));
        }
        state_dir(std::env::var_os("XDG_STATE_HOME"), std::env::home_dir())
            .map(|state| state.join("chancery"))
            .context("there is no home directory to keep the data in; give a --data-dir")
    }

    /// The directory itself: absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same lock once more, for something that uses the directory on its own.
    pub(super) fn hold(&self) -> io::Result<File> {
        self.lock.try_clone()
    }
}

/// `chancery-` and 12 random hex digits.
pub(super) fn random_name() -> Result<String> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(format!("chancery-{}", hex::encode(bytes)))
}

/// A relative `$XDG_STATE_HOME` counts as none, as the specification has it.
fn state_dir(xdg: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg.map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| home.join(".local/state")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_user_at_a_time() {
        let scratch = super::super::scratch();
        let path = scratch.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let held = first.hold().unwrap();

        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains("another `chancery dev`"), "{refused}");
        drop(first);
        DataDir::open(&path).unwrap_err();
        drop(held);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn the_state_directory_is_absolute() {
        let home = Some(PathBuf::from("/home/ada"));
        let of = |xdg: &str| state_dir(Some(xdg.into()), home.clone()).unwrap();
        assert_eq!(of("/srv/state"), Path::new("/srv/state"));
        assert_eq!(of("state"), Path::new("/home/ada/.local/state"));
        assert_eq!(of(""), Path::new("/home/ada/.local/state"));
        assert_eq!(state_dir(None, None), None);
    }
}
