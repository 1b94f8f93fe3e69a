//! Where the private cluster's socket is: beside its data, or elsewhere where that path is too long.

use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::data_dir::random_name;
use super::server::Server;

/// Names the socket; nothing listens on the port.
pub(super) const PORT: u16 = 5432;
/// A socket's path ends at 107 bytes on Linux and at 103 on macOS.
const LONGEST_SOCKET: usize = 100;

/// Whether a socket may be in `dir`: its path stays short, and needs no quoting in a setting or a URL.
pub(super) fn is_fit(dir: &Path) -> bool {
    let bytes = dir.as_os_str().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._".contains(byte);
    bytes.len() + format!("/.s.PGSQL.{PORT}").len() <= LONGEST_SOCKET && bytes.iter().all(plain)
}

/// `run` itself if it is fit, else what `run` links to.
pub(super) fn socket_dir(server: &Server, run: &Path) -> Result<PathBuf> {
    let linked = std::fs::read_link(run).ok();
    if is_fit(run) {
        if linked.is_some() {
            std::fs::remove_file(run)?;
        }
        server.private_dir(run)?;
        return Ok(run.to_owned());
    }
    match linked {
        Some(dir) if belongs_to(&dir, server.uid()) => return Ok(dir),
        // Anybody may have made a directory of that name since.
        Some(_) => std::fs::remove_file(run)?,
        None if run.exists() => std::fs::remove_dir_all(run)?,
        None => {}
    }
    let root = rustix::process::geteuid().is_root();
    let short = ["/run", "/tmp"].map(Path::new);
    let short = short[usize::from(!(root && short[0].is_dir()))];
    let dir = short.join(random_name()?);
    DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("cannot make {} for the socket", dir.display()))?;
    server.private_dir(&dir)?;
    symlink(&dir, run)?;
    Ok(dir)
}

fn belongs_to(dir: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o777 == 0o700)
}
