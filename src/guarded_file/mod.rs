//! Files that decide what is signed, or open what is sealed: who else could have written them?
//!
//! What others may write is not taken: whoever put theirs in a secret's place would have all that is sealed from
//! then on, and whoever writes a policy or a configuration decides what is signed. What is looked at is the file
//! that was opened, and not its name.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
/// More than any of these files has.
const LIMIT: u64 = 16 * 1024 * 1024;

/// How a file can be somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Everybody may write it.
    #[error("everybody may write it: chmod o-w")]
    OthersWrite,
    /// Everybody may read it.
    #[error("everybody may read it: chmod o-r")]
    OthersRead,
    /// Its group may.
    #[error("its group may write it: chmod g-w")]
    GroupWrites,
    /// It belongs to somebody who is neither this user nor root.
    #[error("it belongs to user {0}, who is neither this one nor root: chown it")]
    Foreign(u32),
}

/// Opens a file that nobody else may write.
pub fn open_secret(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    match weakness(&file)? {
        None => Ok(file),
        Some(weakness) => Err(refusal(weakness)),
    }
}

/// Reads a file that holds a secret, as text.
pub fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    read(open_secret(path)?)
}

/// The same of one that nobody but its owner and group may read either.
pub fn read_private(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = open_secret(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.mode() & OTHERS_READ != 0 {
        return Err(refusal(Weakness::OthersRead));
    }
    read(file)
}

/// Reads a configuration or a policy.
pub fn read_rules(path: &Path) -> io::Result<String> {
    read_secret(path).map(|text| text.to_string())
}

/// How else this file could have been written, the worst first.
pub fn weakness(file: &File) -> io::Result<Option<Weakness>> {
    let found = file.metadata()?;
    // What is no file, such as /dev/null or a pipe, was not written before.
    if !found.is_file() {
        return Ok(None);
    }
    let us = rustix::process::geteuid().as_raw();
    Ok(if found.mode() & OTHERS_WRITE != 0 {
        Some(Weakness::OthersWrite)
    } else if found.mode() & GROUP_WRITES != 0 {
        Some(Weakness::GroupWrites)
    } else if found.uid() != us && found.uid() != 0 {
        Some(Weakness::Foreign(found.uid()))
    } else {
        None
    })
}

fn refusal(weakness: Weakness) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, weakness)
}

/// In one allocation, so that no copy is left behind.
fn read(file: File) -> io::Result<Zeroizing<String>> {
    let length = file.metadata()?.len().min(LIMIT);
    let capacity = usize::try_from(length).unwrap_or(0).saturating_add(64);
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    file.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
