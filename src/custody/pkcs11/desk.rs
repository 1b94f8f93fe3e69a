//! A desk: one session with a token, inside one call into its module.

use std::collections::HashMap;
use std::sync::Arc;

use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::fault::Fault;
use super::module::Call;
use super::token::{Token, close};
use crate::custody::CustodyError;
use crate::id::KeyId;

/// Where work is done: one session, inside one call.
pub(super) struct Desk<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) token: &'a Token,
    pub(super) seat: &'a mut Seat,
}

/// A session and what was found in it. Handles of one session mean nothing in another.
pub(super) struct Seat {
    pub(super) generation: u64,
    pub(super) session: Session,
    /// Whether the token hashes RSA messages itself.
    pub(super) hashes_rsa: bool,
    pub(super) mechanisms: Arc<[MechanismType]>,
    pub(super) writable: bool,
    pub(super) private_keys: HashMap<KeyId, ObjectHandle>,
    pub(super) sealing_keys: HashMap<KeyId, ObjectHandle>,
    /// Whether an operation may have stayed open in the session although the work has its answer.
    pub(super) worn: bool,
}

impl Desk<'_> {
    /// Refuses what would write where the token, or its section, allows no writing.
    pub(super) fn writes(&self) -> Result<(), Fault> {
        if self.seat.writable {
            return Ok(());
        }
        let why = "the token is read-only here: keys are made and destroyed elsewhere, and adopted";
        Err(CustodyError::Unsupported(why.into()).into())
    }

    /// Goes on in a fresh session.
    pub(super) fn sit_afresh(&mut self) -> Result<(), Fault> {
        let fresh = sit_down(self.token, self.call)?;
        close(std::mem::replace(self.seat, fresh).session);
        Ok(())
    }
}

/// Opens a session with a token.
pub(super) fn sit_down(token: &Token, call: &Call<'_>) -> Result<Seat, Fault> {
    let opened = token.open(call)?;
    Ok(Seat {
        generation: call.generation(),
        session: opened.session,
        hashes_rsa: opened.mechanisms.contains(&MechanismType::SHA256_RSA_PKCS),
        mechanisms: opened.mechanisms,
        writable: opened.writable,
        private_keys: HashMap::new(),
        sealing_keys: HashMap::new(),
        worn: false,
    })
}
