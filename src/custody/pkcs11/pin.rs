//! The user's PIN: read from its file whenever somebody logs in, so that a change is followed, and
//! tried once as long as the file says the same, for tokens count wrong ones and lock.
//!
//! # Why
//! A change is made so that no crash locks anybody out. The new PIN lies beside the file, whole and on
//! disk, before the token hears of it; then it is a rename. Where that did not come to pass the token
//! has the new PIN and the file the old one, and the change, begun anew, finds that out with one try
//! of each. What is latched is the file's content, and not its time: who writes the same again does not
//! mean it to be tried again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::module::Module;
use super::token::Token;
use super::worker::Fault;
use super::{GENERATION, Pkcs11, Settings, blocking};
use crate::custody::CustodyError;

/// A PIN file, and what a token said of it.
pub struct Pin {
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
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            refused: Mutex::new(None),
        }
    }

    /// Reads the file.
    pub(super) fn read(&self) -> Result<SecretString, CustodyError> {
        read(&self.file)
    }

    /// The PIN to log in with. One that was refused is not tried again.
    pub(super) fn to_try(&self) -> Result<SecretString, CustodyError> {
        let pin = self.read()?;
        match &*self.refused() {
            Some(refused) if same(refused, &pin) => Err(CustodyError::PinRefused),
            _ => Ok(pin),
        }
    }

    /// The token refused this one.
    pub(super) fn was_refused(&self, pin: SecretString) {
        *self.refused() = Some(pin);
    }

    /// Whether the file holds what was refused.
    pub fn is_refused(&self) -> bool {
        match &*self.refused() {
            None => false,
            Some(refused) => self.read().map_or(true, |pin| same(refused, &pin)),
        }
    }

    fn refused(&self) -> MutexGuard<'_, Option<SecretString>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pkcs11 {
    /// Changes the user's PIN to what another file holds, in the token and then in the PIN file.
    ///
    /// In a process of its own: it logs out, and a login is the process's.
    pub async fn change_pin(settings: Settings, new: PathBuf) -> Result<PinChange, CustodyError> {
        blocking(move || {
            let (old, new) = (read(&settings.pin_file)?, read(&new)?);
            if same(&old, &new) {
                let why = "the PIN file holds the new PIN already";
                return Err(CustodyError::Refused(why.into()));
            }
            let unwritten = |error: io::Error| {
                let file = settings.pin_file.display();
                CustodyError::Refused(format!("the PIN file {file} cannot be replaced: {error}"))
            };
            let replacement = Replacement::beside(&settings.pin_file, &new).map_err(unwritten)?;
            let module = Module::open(&settings.module, settings.isolated)?;
            let token = Token::new(
                settings.token()?,
                false,
                Pin::new(&settings.pin_file).into(),
            );
            let call = module
                .enter(Instant::now() + GENERATION)
                .map_err(|_| CustodyError::Unavailable("the PKCS#11 module is down".into()))?;
            let change = token
                .change_pin(&call, &old, &new)
                .map_err(|fault| match fault {
                    Fault::Final(error) => error,
                    Fault::Device(error) => CustodyError::Refused(super::recovery::brief(&error)),
                    Fault::Absent(why) => CustodyError::Unavailable(why),
                    Fault::Closed(_) => {
                        CustodyError::Unavailable("the PKCS#11 module is down".into())
                    }
                })?;
            crate::fail_point!("pin-set");
            replacement.put().map_err(unwritten)?;
            Ok(change)
        })
        .await
    }
}

/// A file that is ready to take another's place.
struct Replacement {
    file: PathBuf,
    beside: PathBuf,
}

impl Replacement {
    /// With the PIN, and the owner and mode of the file whose place it takes.
    fn beside(file: &Path, pin: &SecretString) -> io::Result<Self> {
        let file = file.canonicalize()?; // a link stays one
        let mut beside = file.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let model = fs::metadata(&file)?;
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {} // of a change that was cut off
        }
        let mut written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        let made = written.metadata()?;
        if (made.uid(), made.gid()) != (model.uid(), model.gid()) {
            chown(&beside, Some(model.uid()), Some(model.gid()))?;
        }
        written.set_permissions(fs::Permissions::from_mode(model.mode() & 0o660))?;
        written.write_all(pin.expose_secret().as_bytes())?;
        written.write_all(b"\n")?;
        written.sync_all()?;
        sync_directory(&file)?;
        Ok(Self { file, beside })
    }

    fn put(&self) -> io::Result<()> {
        fs::rename(&self.beside, &self.file)?;
        sync_directory(&self.file)
    }
}

fn sync_directory(file: &Path) -> io::Result<()> {
    file.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn read(path: &Path) -> Result<SecretString, CustodyError> {
    let content = fs::read_to_string(path).map(Zeroizing::new);
    let content = content.map_err(|error| {
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

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
