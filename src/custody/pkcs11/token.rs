//! A token: found by its name, logged in once for all sessions, opened again after a rebuild.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::SecretString;

use super::fault::Fault;
use super::module::Call;
use super::pin::{Pin, PinChange};
use super::recovery::{Step, brief, step};
use super::uri::{KeyName, Shown, TokenName};
use crate::custody::CustodyError;
use crate::id::KeyId;

/// A token and our login to it.
pub(super) struct Token {
    name: TokenName,
    /// The configuration's wish, whatever the token allows.
    read_only: bool,
    pin: Arc<Pin>,
    seated: Mutex<Option<Seated>>,
}

/// What is known of the token in one generation of its module.
struct Seated {
    generation: u64,
    slot: Slot,
    /// An idle session. The login lives as long as some session does, and no call fails in this one.
    anchor: Session,
    mechanisms: Arc<[MechanismType]>,
    /// Whether keys can be made and destroyed.
    writable: bool,
    /// How many sessions the token says that it allows, the anchor among them.
    limit: Option<usize>,
    /// A key seen in this generation. Once the token does not find it any more, an empty find proves nothing.
    sentinel: Option<(KeyId, KeyName)>,
}

/// A session, logged in, and what can be done in it.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) mechanisms: Arc<[MechanismType]>,
    pub(super) writable: bool,
}

impl Token {
    pub(super) fn new(name: TokenName, read_only: bool, pin: Arc<Pin>) -> Self {
        Self {
            name,
            read_only,
            pin,
            seated: Mutex::new(None),
        }
    }

    /// Opens a logged-in session.
    ///
    /// A dropped session calls nothing; only [`close`] closes it. So a session of a finalized generation that
    /// is dropped later cannot close the new session that has its number.
    pub(super) fn open(&self, call: &Call<'_>) -> Result<Opened, Fault> {
        let mut seated = self.seated();
        let here = match seated.take() {
            Some(here) if here.generation == call.generation() => here,
            _ => self.sit_down(call)?,
        };
        let session = session(call, here.slot, here.writable);
        let (mechanisms, writable) = (Arc::clone(&here.mechanisms), here.writable);
        *seated = Some(here);
        Ok(Opened {
            session: session?,
            mechanisms,
            writable,
        })
    }

    /// How many sessions there may be besides the anchor, as far as the token told.
    pub(super) fn limit(&self) -> Option<usize> {
        let limit = self.seated().as_ref().and_then(|here| here.limit);
        limit.map(|limit| limit.saturating_sub(1).max(1))
    }

    /// Whether the token that we are logged in to has this name.
    pub(super) fn is_called(&self, call: &Call<'_>, name: &TokenName) -> Result<bool, Fault> {
        let slot = self.seated().as_ref().map(|here| here.slot);
        let slot = slot.ok_or_else(|| Fault::Absent("the token has no slot".into()))?;
        let info = info(call, slot)?;
        Ok(name.fits(slot.id(), info.as_ref().map(shown)))
    }

    /// Logs in again after the device forgot the login.
    pub(super) fn login_again(&self, call: &Call<'_>) -> Result<(), Fault> {
        match &*self.seated() {
            Some(here) if here.generation == call.generation() => self.login(&here.anchor),
            _ => Ok(()), // the next `open` logs in
        }
    }

    /// Whether the PIN was refused, and its file still holds it.
    pub(super) fn pin_refused(&self) -> bool {
        self.pin.is_refused()
    }

    /// Asks the token whether it is there. An answer that cannot be parsed passes: some tokens' clocks are no
    /// numbers.
    pub(super) fn info(&self, call: &Call<'_>) -> Result<(), Fault> {
        let slot = self.seated().as_ref().map(|here| here.slot);
        let slot = slot.ok_or_else(|| Fault::Absent("the token has no slot".into()))?;
        info(call, slot).map(|_| ())
    }

    /// The token's description of itself, if that can be parsed, and the mechanisms that it offers.
    pub(super) fn told(
        &self,
        call: &Call<'_>,
    ) -> Result<(Option<TokenInfo>, Arc<[MechanismType]>), Fault> {
        let seated = self.seated();
        let here = seated.as_ref();
        let here = here.ok_or_else(|| Fault::Absent("the token has no slot".into()))?;
        Ok((info(call, here.slot)?, Arc::clone(&here.mechanisms)))
    }

    /// The key that proves that finds work.
    pub(super) fn sentinel(&self) -> Option<(KeyId, KeyName)> {
        self.seated()
            .as_ref()
            .and_then(|here| here.sentinel.clone())
    }

    /// Records that a key was found just now, by this name.
    pub(super) fn seen(&self, id: KeyId, name: &KeyName) {
        if let Some(here) = self.seated().as_mut() {
            here.sentinel.get_or_insert_with(|| (id, name.clone()));
        }
    }

    /// Records that a key was destroyed just now.
    pub(super) fn gone(&self, id: KeyId) {
        if let Some(here) = self.seated().as_mut() {
            here.sentinel.take_if(|(sentinel, _)| *sentinel == id);
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
        let (slot, info) = self.slot(call)?;
        if let Some(info) = &info {
            self.heed_the_pin(info)?;
        }
        let protected = info.as_ref().is_some_and(TokenInfo::write_protected);
        let writable = !self.read_only && !protected;
        if protected && !self.read_only {
            tracing::warn!(
                custody.token = %self.name,
                "the token is write-protected: it signs, and no key is made or destroyed in it"
            );
        }
        let mechanisms = call.context().get_mechanism_list(slot)?.into();
        let anchor = session(call, slot, writable)?;
        if let Err(fault) = self.login(&anchor) {
            close(anchor);
            return Err(fault);
        }
        Ok(Seated {
            generation: call.generation(),
            slot,
            anchor,
            mechanisms,
            writable,
            limit: info.as_ref().and_then(|info| limit(info, writable)),
            sentinel: None,
        })
    }

    /// Stays away from a token that one more wrong PIN would lock, or that is locked.
    fn heed_the_pin(&self, info: &TokenInfo) -> Result<(), Fault> {
        let why = if info.user_pin_locked() {
            "the token says that the PIN is locked (CKF_USER_PIN_LOCKED): its security officer sets a new one"
        } else if info.user_pin_final_try() {
            "the token says that one more wrong PIN locks it (CKF_USER_PIN_FINAL_TRY): log in with another \
             tool and the right PIN, then look at the PIN file"
        } else {
            if info.user_pin_count_low() {
                tracing::warn!(custody.token = %self.name, "somebody gave the token a wrong PIN");
            }
            return Ok(());
        };
        tracing::error!(custody.token = %self.name, "{why}");
        Err(CustodyError::Unavailable(why.into()).into())
    }

    fn slot(&self, call: &Call<'_>) -> Result<(Slot, Option<TokenInfo>), Fault> {
        let mut others = Vec::new();
        let mut matching = Vec::new();
        for slot in call.context().get_slots_with_token()? {
            // Another token's trouble is not ours. A token that cannot be read can still be named by its slot.
            let info = call.context().get_token_info(slot).ok();
            if self.name.fits(slot.id(), info.as_ref().map(shown)) {
                matching.push((slot, info));
            } else if let Some(info) = info.filter(TokenInfo::token_initialized) {
                others.push(info.label().to_owned());
            }
        }
        match matching.len() {
            0 => Err(Fault::Absent(format!(
                "no token is {}; there are {others:?}",
                self.name
            ))),
            1 => Ok(matching.remove(0)),
            many => Err(CustodyError::Refused(format!(
                "{many} tokens are {}: name one by its serial number too",
                self.name
            ))
            .into()),
        }
    }

    fn login(&self, session: &Session) -> Result<(), Fault> {
        let pin = self.pin.to_try()?;
        match session.login(UserType::User, Some(&pin)) {
            // The login is the process's: another session or backend made it.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) if step(&error) == Step::PinRefused => {
                self.pin.was_refused(pin);
                tracing::error!(
                    custody.token = %self.name,
                    error = brief(&error),
                    "the token refused the PIN; it is tried again when the PIN file says another"
                );
                Err(CustodyError::PinRefused.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the PIN, in a session of its own, and logs in with the new one.
    pub(super) fn change_pin(
        &self,
        call: &Call<'_>,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<PinChange, Fault> {
        let (slot, told) = self.slot(call)?;
        if let Some(told) = &told {
            self.heed_the_pin(told)?;
        }
        let session = session(call, slot, true)?;
        let changed = self.changed(&session, call, slot, (old, new));
        close(session);
        changed
    }

    fn changed(
        &self,
        session: &Session,
        call: &Call<'_>,
        slot: Slot,
        (old, new): (&SecretString, &SecretString),
    ) -> Result<PinChange, Fault> {
        let log_in = |pin| session.login(UserType::User, Some(pin));
        let refuses = |error: &Error| step(error) == Step::PinRefused;
        match log_in(old) {
            Ok(()) => {}
            // A change may have been cut off. One more wrong PIN is risked only if the token bears it.
            Err(error) if refuses(&error) => {
                if let Some(told) = info(call, slot)? {
                    self.heed_the_pin(&told)?;
                }
                return match log_in(new) {
                    Ok(()) => Ok(PinChange::Finished),
                    Err(error) if refuses(&error) => Err(CustodyError::PinRefused.into()),
                    Err(error) => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        }
        session.set_pin(old, new)?;
        session.logout()?;
        log_in(new)?;
        Ok(PinChange::Made)
    }

    fn seated(&self) -> MutexGuard<'_, Option<Seated>> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that is closed by [`close`] only.
fn session(call: &Call<'_>, slot: Slot, writable: bool) -> Result<Session, Error> {
    if writable {
        call.context().open_rw_session_no_drop(slot)
    } else {
        call.context().open_ro_session_no_drop(slot)
    }
}

/// The token's description of itself. `None`: it cannot be parsed; some tokens' clocks are no numbers.
fn info(call: &Call<'_>, slot: Slot) -> Result<Option<TokenInfo>, Fault> {
    match call.context().get_token_info(slot) {
        Ok(info) => Ok(Some(info)),
        Err(error @ Error::Pkcs11(..)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn shown(info: &TokenInfo) -> Shown<'_> {
    [
        info.label(),
        info.serial_number(),
        info.manufacturer_id(),
        info.model(),
    ]
}

/// How many sessions the token allows, if it says.
fn limit(info: &TokenInfo, writable: bool) -> Option<usize> {
    let all = Option::<u64>::from(info.max_session_count());
    let writing = Option::<u64>::from(info.max_rw_session_count()).filter(|_| writable);
    let limit = all.into_iter().chain(writing).min()?;
    usize::try_from(limit).ok()
}

/// Closes a session. A failure is no news: sessions are closed because something failed.
pub(super) fn close(session: Session) {
    if let Err(error) = session.close() {
        tracing::debug!(error = brief(&error), "C_CloseSession failed");
    }
}
