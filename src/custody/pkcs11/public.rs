//! The public half of a key in a token, wherever the token keeps it.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};

use super::desk::Desk;
use super::fault::Fault;
use super::find::find;
use super::uri::KeyName;
use crate::custody::{CustodyError, PublicKey};
use crate::id::KeyId;

/// The public half of a private key: from the public object of its name, or from the private object
/// itself. `None`: neither tells a key of a kind that is used here.
pub(super) fn of_private(
    desk: &Desk<'_>,
    id: KeyId,
    private: ObjectHandle,
) -> Result<Option<PublicKey>, Fault> {
    match partners(desk, private)?.as_slice() {
        [public] => of_object(desk, *public),
        [] => {
            // Not every token has this attribute, and some leave it empty.
            let told = desk
                .seat
                .session
                .get_attributes(private, &[AttributeType::PublicKeyInfo])?;
            let spki = told.iter().find_map(|attribute| match attribute {
                Attribute::PublicKeyInfo(spki) => PublicKey::from_spki_der(spki).ok(),
                _ => None,
            });
            spki.map_or_else(|| of_object(desk, private), |key| Ok(Some(key)))
        }
        several => {
            let found = several.len();
            Err(CustodyError::NotFound { id, found }.into())
        }
    }
}

/// The public objects with the `CKA_ID` of a private one, or with its label where it has no id.
pub(super) fn partners(desk: &Desk<'_>, private: ObjectHandle) -> Result<Vec<ObjectHandle>, Fault> {
    let asked = [AttributeType::Id, AttributeType::Label];
    let mut name = KeyName::default();
    for attribute in desk.seat.session.get_attributes(private, &asked)? {
        match attribute {
            Attribute::Id(id) => name.id = Some(id).filter(|id| !id.is_empty()),
            Attribute::Label(label) => {
                name.label = String::from_utf8(label).ok().filter(|l| !l.is_empty());
            }
            _ => {}
        }
    }
    if name.id.is_some() {
        name.label = None;
    }
    if name == KeyName::default() {
        return Ok(Vec::new()); // such a search would find every public key
    }
    find(desk, &name, ObjectClass::PUBLIC_KEY)
}

/// The public key that an object tells: a point, or modulus and exponent, which a private RSA key may tell
/// as well.
pub(super) fn of_object(desk: &Desk<'_>, key: ObjectHandle) -> Result<Option<PublicKey>, Fault> {
    let session = &desk.seat.session;
    let asked = [AttributeType::EcPoint];
    let told = session.get_attributes(key, &asked)?;
    let point = told.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => PublicKey::from_ec_point(point).ok(),
        _ => None,
    });
    if point.is_some() {
        return Ok(point);
    }
    let asked = [AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut modulus, mut exponent) = (None, None);
    for attribute in session.get_attributes(key, &asked)? {
        match attribute {
            Attribute::Modulus(n) => modulus = Some(n),
            Attribute::PublicExponent(e) => exponent = Some(e),
            _ => {}
        }
    }
    let parts = modulus.zip(exponent);
    Ok(parts.and_then(|(n, e)| PublicKey::from_rsa_parts(&n, &e).ok()))
}
