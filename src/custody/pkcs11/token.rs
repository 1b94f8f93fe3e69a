//! A token: found by its label, logged in once for all sessions, opened again after a rebuild.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::SecretString;

use super::module::Call;
use super::worker::Fault;
use crate::custody::CustodyError;
use crate::id::KeyId;

/// A token and our login to it.
pub(super) struct Token {
    label: String,
    serial: Option<String>,
    pin: SecretString,
    /// Latched: tokens count wrong PINs and lock.
    pin_refused: AtomicBool,
    seated: Mutex<Option<Seated>>,
}

/// What is known of the token in one generation of its module.
struct Seated {
    generation: u64,
    slot: Slot,
    /// Does nothing. The login lives as long as some session does, and this one never fails a call.
    anchor: Session,
    hashes_rsa: bool,
    /// A key seen in this generation. If it cannot be found any more, an empty find proves nothing.
    sentinel: Option<KeyId>,
}

impl Token {
    pub(super) fn new(label: String, serial: Option<String>, pin: SecretString) -> Self {
        Self {
            label,
            serial,
            pin,
            pin_refused: AtomicBool::new(false),
            seated: Mutex::new(None),
        }
    }

    /// Opens a logged-in session, and says whether the token hashes RSA messages itself.
    ///
    /// Dropping the session calls nothing; [`close`] does. So a session of a finalized generation,
    /// dropped later, cannot close the new one that has its number.
    pub(super) fn open(&self, call: &Call<'_>) -> Result<(Session, bool), Fault> {
        let mut seated = self.seated();
        let here = match seated.take() {
            Some(here) if here.generation == call.generation() => here,
            _ => self.sit_down(call)?,
        };
        let session = call.context().open_rw_session_no_drop(here.slot);
        let hashes_rsa = here.hashes_rsa;
        *seated = Some(here);
        Ok((session?, hashes_rsa))
    }

    /// Logs in again after the device forgot the login.
    pub(super) fn login_again(&self, call: &Call<'_>) -> Result<(), Fault> {
        match &*self.seated() {
            Some(here) if here.generation == call.generation() => self.login(&here.anchor),
            _ => Ok(()), // the next `open` logs in
        }
    }

    /// Whether the PIN was refused.
    pub(super) fn pin_refused(&self) -> bool {
        self.pin_refused.load(Ordering::Relaxed)
    }

    /// The token's own word that it is there. What cannot be parsed is let pass: some tokens' clocks
    /// are no numbers.
    pub(super) fn info(&self, call: &Call<'_>) -> Result<(), Fault> {
        let slot = self.seated().as_ref().map(|here| here.slot);
        let slot = slot.ok_or_else(|| Fault::Absent("the token has no slot".into()))?;
        match call.context().get_token_info(slot) {
            Err(error @ Error::Pkcs11(..)) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The key that proves that finds work.
    pub(super) fn sentinel(&self) -> Option<KeyId> {
        self.seated().as_ref().and_then(|here| here.sentinel)
    }

    /// This key was found just now.
    pub(super) fn seen(&self, id: KeyId) {
        if let Some(here) = self.seated().as_mut() {
            here.sentinel.get_or_insert(id);
        }
    }

    /// This key was destroyed just now.
    pub(super) fn gone(&self, id: KeyId) {
        if let Some(here) = self.seated().as_mut() {
            here.sentinel.take_if(|sentinel| *sentinel == id);
        }
    }

    /// Closes the anchor, if it is of this generation: the end of the backend.
    pub(super) fn leave(&self, call: &Call<'_>) {
        if let Some(here) = self.seated().take()
            && here.generation == call.generation()
        {
            close(here.anchor);
        }
    }

    fn sit_down(&self, call: &Call<'_>) -> Result<Seated, Fault> {
        if self.pin_refused() {
            return Err(CustodyError::PinRefused.into());
        }
        let slot = self.slot(call)?;
        let mechanisms = call.context().get_mechanism_list(slot)?;
        let anchor = call.context().open_rw_session_no_drop(slot)?;
        if let Err(fault) = self.login(&anchor) {
            close(anchor);
            return Err(fault);
        }
        Ok(Seated {
            generation: call.generation(),
            slot,
            anchor,
            hashes_rsa: mechanisms.contains(&MechanismType::SHA256_RSA_PKCS),
            sentinel: None,
        })
    }

    fn slot(&self, call: &Call<'_>) -> Result<Slot, Fault> {
        let mut others = Vec::new();
        let mut matching = Vec::new();
        for slot in call.context().get_slots_with_token()? {
            let Ok(info) = call.context().get_token_info(slot) else {
                continue; // another token's trouble is not ours
            };
            if self.is_ours(&info) {
                matching.push(slot);
            } else if info.token_initialized() {
                others.push(info.label().to_owned());
            }
        }
        match matching.as_slice() {
            [slot] => Ok(*slot),
            [] => Err(Fault::Absent(format!(
                "no token is labelled {:?}{}; there are {others:?}",
                self.label,
                self.serial
                    .as_ref()
                    .map_or_else(String::new, |s| format!(" with serial {s:?}")),
            ))),
            _ => Err(CustodyError::Refused(format!(
                "{} tokens are labelled {:?}: set token_serial",
                matching.len(),
                self.label
            ))
            .into()),
        }
    }

    fn is_ours(&self, info: &TokenInfo) -> bool {
        info.label() == self.label
            && self
                .serial
                .as_deref()
                .is_none_or(|serial| serial == info.serial_number())
    }

    fn login(&self, session: &Session) -> Result<(), Fault> {
        if self.pin_refused() {
            return Err(CustodyError::PinRefused.into());
        }
        match session.login(UserType::User, Some(&self.pin)) {
            // The login is the process's: another session or another backend made it.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) if super::recovery::step(&error) == super::recovery::Step::PinRefused => {
                self.pin_refused.store(true, Ordering::Relaxed);
                tracing::error!(
                    custody.token = self.label,
                    error = super::recovery::brief(&error),
                    "the token refused the PIN; correct the PIN file and restart"
                );
                Err(CustodyError::PinRefused.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn seated(&self) -> MutexGuard<'_, Option<Seated>> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a session. That it fails is no news: it is closed because something failed.
pub(super) fn close(session: Session) {
    if let Err(error) = session.close() {
        tracing::debug!(
            error = super::recovery::brief(&error),
            "C_CloseSession failed"
        );
    }
}
