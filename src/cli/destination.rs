//! Where a command puts what it is given once: a new file, or standard output.
//!
//! It is opened before anything is asked for. A file that cannot be made, or that is there already, is
//! found out while nothing has happened yet.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// An open place for one secret or document.
#[derive(Debug)]
#[must_use]
pub(super) struct Destination(Option<NewFile>);

/// A file that was made for this. It goes again if nothing is written to it.
#[derive(Debug)]
struct NewFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl Destination {
    /// Makes the file, readable by its owner only; standard output where none is named.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot make {}; nothing was done", path.display()))?;
        Ok(Self(Some(NewFile {
            path: path.to_owned(),
            file,
            is_written: false,
        })))
    }

    /// Writes the text with a line end, and is content when it is on disk or taken by who reads.
    pub(super) fn write(self, text: &str) -> anyhow::Result<()> {
        if let Some(mut new) = self.0 {
            let written = writeln!(new.file, "{text}").and_then(|()| new.file.sync_all());
            written.with_context(|| format!("cannot write {}", new.path.display()))?;
            new.is_written = true;
        } else {
            let mut out = std::io::stdout();
            let written = writeln!(out, "{text}").and_then(|()| out.flush());
            written.context("nobody reads standard output")?;
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::dev::scratch;
    use super::*;

    #[test]
    fn a_destination_is_a_new_file_of_its_owner_or_nothing() {
        let scratch = scratch();
        let path = scratch.path().join("token");
        drop(Destination::open(Some(&path)).unwrap());
        assert!(!path.exists(), "nothing was written");

        let destination = Destination::open(Some(&path)).unwrap();
        destination.write("secret").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let refused = Destination::open(Some(&path)).unwrap_err();
        assert!(refused.to_string().contains("nothing was done"));
        let elsewhere = scratch.path().join("no/such/directory");
        Destination::open(Some(&elsewhere)).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret\n");
    }
}
