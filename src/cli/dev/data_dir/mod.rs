//! The directory that `chancery dev` keeps everything in, and the lock on it.
//!
//! Whoever could write there, or put a directory in its place, would choose policy, PIN and sealing key:
//! it and all in it belong to who runs the command, and nobody else may write them. A link in it is not
//! followed, but for the one to Postgres's socket.
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
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

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
        check_way_to(&path)?;
        let lock = open_lock(&path.join("lock"))
            .with_context(|| format!("cannot write in the data directory {}", path.display()))?;
        check_entries(&path)?;
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

/// The lock is not a link, and for its owner only: whoever can open it can hold it.
fn open_lock(path: &Path) -> io::Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    lock.set_permissions(Permissions::from_mode(0o600))?;
    Ok(lock)
}

/// Nobody else can put another directory in the place of this one, or of one above it.
fn check_way_to(dir: &Path) -> Result<()> {
    const STICKY: u32 = 0o1000;
    let us = rustix::process::geteuid().as_raw();
    for place in dir.ancestors() {
        let found = std::fs::symlink_metadata(place)
            .with_context(|| format!("cannot look at {}", place.display()))?;
        let is_it = place == dir;
        let shown = place.display();
        if found.uid() != us && (is_it || found.uid() != 0) {
            bail!(
                "{shown} belongs to user {}: whoever owns it chooses the keys; give --data-dir a place of your own",
                found.uid()
            );
        }
        let too_much = if is_it { 0o022 } else { 0o002 };
        if found.mode() & too_much != 0 && (is_it || found.mode() & STICKY == 0) {
            bail!("others can write in {shown}: chmod go-w {shown}, and look at what is in there");
        }
    }
    Ok(())
}

/// What is there is ours alone. Postgres sees to its own directory.
fn check_entries(dir: &Path) -> Result<()> {
    const POSTGRES: [&str; 3] = ["pg", "pg.new", "run"];
    let us = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (path, found) = (entry.path(), entry.metadata()?);
        let shown = path.display();
        if POSTGRES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if found.is_symlink() {
            bail!("{shown} is a link, which is not followed: remove it, and look at who made it");
        }
        if found.uid() != us || found.mode() & 0o022 != 0 {
            bail!(
                "{shown} belongs to user {} with mode {:o}: it has to be yours, and nobody else may write it; look at what it holds before you chown or chmod it",
                found.uid(),
                found.mode() & 0o7777
            );
        }
        if found.is_dir() {
            check_entries(&path)?;
        }
    }
    Ok(())
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
mod tests;
