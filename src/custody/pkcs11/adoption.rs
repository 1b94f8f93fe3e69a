//! Looking at a key that somebody else put into the token.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use super::uri::{KeyName, TokenName};
use super::worker::{Desk, Fault};
use super::{attributes, object, public};
use crate::custody::{CustodyError, Generated, PublicKey};
use crate::id::KeyId;

/// Reads the one private key of this name, if it can become ours. What it may do besides signing is
/// for its adopter to accept.
pub(super) fn look_up(
    desk: &mut Desk<'_>,
    name: &KeyName,
    token: Option<&TokenName>,
) -> Result<Generated, Fault> {
    if let Some(token) = token
        && !desk.token.is_called(desk.call, token)?
    {
        return Err(refused(name, "the URI is of a key in another token"));
    }
    let id = KeyId::new(); // it has none yet; this one goes into no answer
    let private = object::only(desk, id, name, ObjectClass::PRIVATE_KEY);
    let private = private.map_err(|fault| several(name, "private", fault))?;
    let asks_each_time = desk
        .seat
        .session
        .get_attributes(private, &[AttributeType::AlwaysAuthenticate])?;
    if asks_each_time.contains(&Attribute::AlwaysAuthenticate(true)) {
        return Err(refused(name, "it wants the PIN for each signature"));
    }
    let public_key = public::of_private(desk, id, private);
    let public_key = public_key.map_err(|fault| several(name, "public", fault))?;
    let algorithm = public_key.as_ref().and_then(PublicKey::algorithm);
    let Some(algorithm) = algorithm else {
        let why = "neither a public key object nor the private one tells a public key of a kind \
                   that is used here";
        return Err(refused(name, why));
    };
    let mut found = object::read(desk, private, public_key, algorithm)?;
    if let Some(why) = attributes::unadoptable_because(&found.attributes) {
        return Err(refused(name, &why));
    }
    found.device_ref = Some(name.device_ref()?);
    Ok(found)
}

fn several(name: &KeyName, class: &str, fault: Fault) -> Fault {
    match fault {
        Fault::Final(CustodyError::NotFound { found, .. }) => {
            let why =
                format!("{found} {class} keys of the token answer to that, and it has to be one");
            refused(name, &why)
        }
        other => other,
    }
}

fn refused(name: &KeyName, why: &str) -> Fault {
    CustodyError::NotAdoptable(format!("{name}: {why}")).into()
}
