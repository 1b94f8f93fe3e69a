//! The user's PIN. It is read from its file at each login, so that a change takes effect, and a refused
//! PIN is not tried again while the file holds the same: tokens count wrong PINs and lock.
//!
//! # Why
//! The refused content is remembered, not the file's time: whoever writes the same content again does not
//! mean it to be tried again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};

use crate::custody::CustodyError;
use crate::guarded_file;

/// A PIN file, and what a token said of it.
pub(super) struct Pin {
    file: PathBuf,
    /// The PIN that was refused.
    refused: Mutex<Option<SecretString>>,
}

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinChange {
    /// The token has the new PIN, and so has the file.
    Made,
    /// The token had the new one already, from a change that was cut off. The file has it now too.
    Finished,
}

impl Pin {
    /// The PIN in this file.
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            refused: Mutex::new(None),
        }
    }

    /// Reads the file.
    pub(super) fn read(&self) -> Result<SecretString, CustodyError> {
        read(&self.file)
    }

    /// The PIN to log in with, unless the token refused it.
    pub(super) fn to_try(&self) -> Result<SecretString, CustodyError> {
        let pin = self.read()?;
        match &*self.refused() {
            Some(refused) if same(refused, &pin) => Err(CustodyError::PinRefused),
            _ => Ok(pin),
        }
    }

    /// Records that the token refused this PIN.
    pub(super) fn was_refused(&self, pin: SecretString) {
        *self.refused() = Some(pin);
    }

    /// Whether the file still holds the refused PIN.
    pub(super) fn is_refused(&self) -> bool {
        match &*self.refused() {
            None => false,
            Some(refused) => self.read().map_or(true, |pin| same(refused, &pin)),
        }
    }

    fn refused(&self) -> MutexGuard<'_, Option<SecretString>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a file that holds a PIN.
pub(super) fn read(path: &Path) -> Result<SecretString, CustodyError> {
    let content = guarded_file::read_secret(path).map_err(|error| {
        CustodyError::Refused(format!("the PIN file {}: {error}", path.display()))
    })?;
    let readable = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0);
    if readable {
        tracing::warn!(file = %path.display(), "the PIN file is readable by everybody");
    }
    let pin = content.trim_end_matches(['\r', '\n']);
    if pin.is_empty() {
        let why = format!("the PIN file {} is empty", path.display());
        return Err(CustodyError::Refused(why));
    }
    Ok(pin.to_owned().into())
}

/// Whether two PINs are the same.
pub(super) fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
