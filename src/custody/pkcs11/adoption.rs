//! Keys that somebody else put into the token.

use async_trait::async_trait;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};

use super::desk::Desk;
use super::device::Pkcs11;
use super::fault::Fault;
use super::find::{find, only};
use super::uri::{KeyName, TokenName};
use super::{attributes, object, public};
use crate::custody::{Adopter, CustodyError, DeviceKey, DeviceRef, PublicKey};
use crate::id::KeyId;

#[async_trait]
impl Adopter for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn look_up(&self, device_ref: &DeviceRef) -> Result<DeviceKey, CustodyError> {
        let (name, token) = KeyName::parse(device_ref.as_str())
            .map_err(|error| CustodyError::NotAdoptable(error.to_string()))?;
        self.run(move |desk| look_up(desk, &name, token.as_ref()))
            .await
    }
}

/// Reads the one private key of this name, if it can become ours. The adopter has to accept what the key may
/// do besides signing.
fn look_up(
    desk: &mut Desk<'_>,
    name: &KeyName,
    token: Option<&TokenName>,
) -> Result<DeviceKey, Fault> {
    if let Some(token) = token
        && !desk.token.is_called(desk.call, token)?
    {
        return Err(refused(name, "the URI is of a key in another token"));
    }
    let id = KeyId::new(); // the key has none yet, and no answer tells this one
    let private = only(desk, id, name, ObjectClass::PRIVATE_KEY);
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
    let own = own_name(desk, name, private)?;
    let mut found = object::read(desk, private, public_key, algorithm)?;
    if let Some(why) = attributes::unadoptable_because(&found.attributes) {
        return Err(refused(name, &why));
    }
    found.device_ref = Some(own.device_ref()?);
    Ok(found)
}

/// The name that goes on record: the key's `CKA_ID`, where that alone finds it. People edit labels, and a
/// key has one name on record however it was looked up.
fn own_name(desk: &Desk<'_>, name: &KeyName, private: ObjectHandle) -> Result<KeyName, Fault> {
    let told = desk
        .seat
        .session
        .get_attributes(private, &[AttributeType::Id])?;
    let id = told.into_iter().find_map(|attribute| match attribute {
        Attribute::Id(id) => Some(id).filter(|id| !id.is_empty()),
        _ => None,
    });
    let by_id = KeyName { id, label: None };
    if by_id.id.is_none() {
        return Ok(name.clone());
    }
    let alone = find(desk, &by_id, ObjectClass::PRIVATE_KEY)? == [private];
    let label = name.label.clone().filter(|_| !alone);
    Ok(KeyName { label, ..by_id })
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
