//! Finding objects on the token, and when an empty find proves that there are none.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::SessionState;

use super::desk::Desk;
use super::fault::Fault;
use super::uri::KeyName;
use crate::custody::CustodyError;
use crate::id::KeyId;

/// The one object of this name and class. That there is none is believed only of a healthy token.
pub(super) fn only(
    desk: &Desk<'_>,
    id: KeyId,
    name: &KeyName,
    class: ObjectClass,
) -> Result<ObjectHandle, Fault> {
    match find(desk, name, class)?.as_slice() {
        [object] => Ok(*object),
        objects => {
            if objects.is_empty() {
                healthy(desk)?;
            }
            let found = objects.len();
            Err(CustodyError::NotFound { id, found }.into())
        }
    }
}

/// The objects of this name and class. The name has to hold an id or a label.
pub(super) fn find(
    desk: &Desk<'_>,
    name: &KeyName,
    class: ObjectClass,
) -> Result<Vec<ObjectHandle>, Fault> {
    let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
    template.extend(name.id.clone().map(Attribute::Id));
    let label = name.label.as_ref().map(|label| label.as_bytes().to_vec());
    template.extend(label.map(Attribute::Label));
    Ok(desk.seat.session.find_objects(&template)?)
}

/// Whether the token is there, the login holds, and a key that was seen before is still found.
///
/// # Why
/// A token that lost its login or its disk finds nothing, and says so without an error.
pub(super) fn healthy(desk: &Desk<'_>) -> Result<(), Fault> {
    match desk.seat.session.get_session_info() {
        Ok(info)
            if !matches!(
                info.session_state(),
                SessionState::RwUser | SessionState::RoUser
            ) =>
        {
            let code = RvError::UserNotLoggedIn;
            return Err(Error::Pkcs11(code, Function::GetSessionInfo).into());
        }
        Err(error @ Error::Pkcs11(..)) => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    desk.token.info(desk.call)?;
    if let Some((sentinel, name)) = desk.token.sentinel()
        && find(desk, &name, ObjectClass::PRIVATE_KEY)?.is_empty()
    {
        return Err(Fault::Absent(format!(
            "key {sentinel} is not found any more"
        )));
    }
    Ok(())
}
