//! The files of an installation: each is written once, for whom it is.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::guarded_file;
use crate::sealing::SealingKey;

/// Two directories: the service's, and the owner's, which the service never reads.
pub(super) struct Files {
    service_dir: PathBuf,
    owner_dir: PathBuf,
    /// Who may read what is the service's, where we may give it to them.
    group: Option<u32>,
}

impl Files {
    /// Makes what is missing of the directories.
    pub(super) fn new(service: &Path, owner: &Path, group: &str) -> anyhow::Result<Self> {
        let group = if rustix::process::geteuid().is_root() {
            let id = group_id(group)?;
            Some(id.with_context(|| {
                format!("there is no group {group}: useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin {group}")
            })?)
        } else {
            None // whoever runs this runs the service, too
        };
        let files = Self {
            service_dir: std::path::absolute(service)?,
            owner_dir: std::path::absolute(owner)?,
            group,
        };
        for (dir, mode) in [(&files.service_dir, 0o755), (&files.owner_dir, 0o700)] {
            let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
            made.with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(files)
    }

    /// A file of the service.
    pub(super) fn services(&self, name: &str) -> PathBuf {
        self.service_dir.join(name)
    }

    /// A file of the owner.
    pub(super) fn owners(&self, name: &str) -> PathBuf {
        self.owner_dir.join(name)
    }

    /// Where those are.
    pub(super) fn owner_dir(&self) -> &Path {
        &self.owner_dir
    }

    /// Lets the service read a file that is there.
    fn hand_over(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(group) = self.group {
            chown(path, None, Some(group))?;
            std::fs::set_permissions(path, Permissions::from_mode(0o640))?;
        }
        Ok(())
    }

    /// Writes a file, unless it is there.
    pub(super) fn write_once(
        &self,
        path: &Path,
        text: &str,
        is_services: bool,
    ) -> anyhow::Result<()> {
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let written = match opened {
            Ok(mut file) => file
                .write_all(text.as_bytes())
                .and_then(|()| file.sync_all()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => Err(error),
        };
        written.with_context(|| format!("cannot write {}", path.display()))?;
        if is_services {
            self.hand_over(path)?;
        }
        Ok(())
    }

    /// Makes a key file, unless it is there.
    pub(super) fn key_once(&self, path: &Path) -> anyhow::Result<()> {
        if !path.exists() {
            let made = SealingKey::create_file(path);
            made.with_context(|| format!("cannot make {}", path.display()))?;
            self.hand_over(path)?;
        }
        Ok(())
    }

    /// A password in a file, made unless it is there.
    pub(super) fn password_once(
        &self,
        path: &Path,
        is_services: bool,
    ) -> anyhow::Result<SecretString> {
        let mut bytes = Zeroizing::new([0; 24]);
        aws_lc_rs::rand::fill(bytes.as_mut()).context("no randomness")?;
        let text = Zeroizing::new(hex::encode(bytes.as_ref()));
        self.secret_once(path, &text, is_services)
    }

    /// A PIN in a file, made unless it is there.
    pub(super) fn pin_once(&self, path: &Path, is_services: bool) -> anyhow::Result<SecretString> {
        let mut bytes = Zeroizing::new([0; 8]);
        aws_lc_rs::rand::fill(bytes.as_mut()).context("no randomness")?;
        let number = u64::from_le_bytes(*bytes) % 10_u64.pow(16);
        let text = Zeroizing::new(format!("{number:016}"));
        self.secret_once(path, &text, is_services)
    }

    fn secret_once(
        &self,
        path: &Path,
        fresh: &str,
        is_services: bool,
    ) -> anyhow::Result<SecretString> {
        self.write_once(path, fresh, is_services)?;
        let text = guarded_file::read_secret(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
    }
}

/// The number of a group of this machine.
fn group_id(name: &str) -> anyhow::Result<Option<u32>> {
    let groups = std::fs::read_to_string("/etc/group").context("cannot read /etc/group")?;
    let number = |line: &str| {
        let mut parts = line.split(':');
        let is_it = parts.next() == Some(name);
        is_it.then(|| parts.nth(1)?.parse().ok()).flatten()
    };
    Ok(groups.lines().find_map(number))
}

#[cfg(test)]
mod tests;
