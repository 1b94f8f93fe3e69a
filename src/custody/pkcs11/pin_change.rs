//! A change of the user's PIN, in the token and in its file.
//!
//! # Why
//! No crash may lock anybody out. The new PIN lies beside the file, whole and on disk, before the token
//! hears of it; then the file is renamed. Where a crash came between the two, the token has the new PIN
//! and the file the old one, and the change, begun anew, finds that out with one try of each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::device::{GENERATION, Pkcs11};
use super::fault::Fault;
use super::module::Module;
use super::pin::{Pin, PinChange, read, same};
use super::recovery::brief;
use super::settings::Settings;
use super::token::Token;
use crate::custody::CustodyError;
use crate::custody::aside::aside;

impl Pkcs11 {
    /// Changes the user's PIN to what another file holds, in the token and then in the PIN file.
    ///
    /// In a process of its own: it logs out, and a login is the process's.
    pub async fn change_pin(settings: Settings, new: PathBuf) -> Result<PinChange, CustodyError> {
        aside(move || {
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
                .enter(GENERATION)
                .map_err(|_| CustodyError::Unavailable("the PKCS#11 module is down".into()))?;
            let change = token
                .change_pin(&call, &old, &new)
                .map_err(|fault| match fault {
                    Fault::Final(error) => error,
                    Fault::Device(error) => CustodyError::Refused(brief(&error)),
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
