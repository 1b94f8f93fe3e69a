//! A fresh token: an empty slot, initialized.

use std::path::Path;

use cryptoki::session::UserType;
use secrecy::SecretString;

use super::device::{GENERATION, Pkcs11};
use super::module::Module;
use super::recovery::brief;
use super::token;
use crate::custody::CustodyError;
use crate::custody::aside::aside;

impl Pkcs11 {
    /// Initializes an empty slot as a token with this label and these PINs, for `dev` and tests.
    ///
    /// In the product, so that no PIN stands on a command line. A token that has the label already is
    /// left alone, and refused.
    pub async fn init_token(
        module: &Path,
        so_pin: SecretString,
        pin: SecretString,
        label: &str,
    ) -> Result<(), CustodyError> {
        let (path, label) = (module.to_owned(), label.to_owned());
        aside(move || {
            let module = Module::shared(&path)?;
            init_token(&module, &so_pin, &pin, &label)
        })
        .await
    }
}

fn init_token(
    module: &Module,
    so_pin: &SecretString,
    pin: &SecretString,
    label: &str,
) -> Result<(), CustodyError> {
    let refused = |error: &cryptoki::error::Error| CustodyError::Refused(brief(error));
    if label.is_empty() || label.len() > 32 {
        let why = "a token's label has 1 to 32 bytes";
        return Err(CustodyError::Refused(why.into()));
    }
    let call = module
        .enter(GENERATION)
        .map_err(|_| CustodyError::Unavailable("the PKCS#11 module is down".into()))?;
    let context = call.context();
    let mut free = None;
    for slot in context.get_slots_with_token().map_err(|e| refused(&e))? {
        let Ok(info) = context.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            free.get_or_insert(slot);
        } else if info.label() == label {
            let why = format!("token exists: {label:?}");
            return Err(CustodyError::Refused(why));
        }
    }
    let slot = free.ok_or_else(|| CustodyError::Refused("no slot is free".into()))?;
    let init = || {
        context.init_token(slot, so_pin, label)?;
        let session = context.open_rw_session_no_drop(slot)?;
        let made = session
            .login(UserType::So, Some(so_pin))
            .and_then(|()| session.init_pin(pin));
        token::close(session);
        made
    };
    init().map_err(|e| refused(&e))
}
