//! A key that was brought: taken, shown to be the announced one, and kept or destroyed.
//!
//! # Why
//! An EC private key does not tell its public half, and a token stores whatever public key it is given. So
//! the private key signs something random, and is kept only if the signature verifies under the announced
//! public key. This signature does not go through the door: it never leaves this file, and what is signed
//! is a hash of our own words, which is no order and no assertion.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use sha2::{Digest, Sha256};

use super::super::desk::Desk;
use super::super::fault::Fault;
use super::super::find::{find, healthy};
use super::super::object::{read, sign, signs_by};
use super::super::uri::KeyName;
use super::super::{attributes, public};
use super::pair::{WRAPPING_BYTES, forget, unwrap, wrapping_objects};
use crate::custody::wrapping::{Scheme, halves};
use crate::custody::{
    Algorithm, CustodyError, DeviceKey, KeyRef, Material, Payload, PublicKey, RawSignature,
};
use crate::ethereum::Signature;
use crate::id::KeyId;

/// Takes a wrapped key.
pub(super) fn unwrap_key(
    desk: &mut Desk<'_>,
    announced: &KeyRef,
    scheme: Scheme,
    wrapped: &[u8],
) -> Result<DeviceKey, Fault> {
    let (id, algorithm) = (announced.place.id, announced.place.algorithm);
    desk.writes()?;
    let wrapping = wrapping_objects(desk, id, ObjectClass::PRIVATE_KEY)?;
    let ([wrapping], Some(halves)) = (wrapping.as_slice(), halves(wrapped, WRAPPING_BYTES)) else {
        healthy(desk)?;
        return Err(CustodyError::DoesNotUnwrap.into());
    };
    clear(desk, announced)?;
    let session = &desk.seat.session;
    let unwrapped = strictest(
        attributes::brought_private(id, algorithm),
        signs_by(desk, algorithm),
        |template| unwrap(session, *wrapping, scheme, halves, template),
    );
    match unwrapped {
        Ok(_) => {}
        Err(Error::Pkcs11(..)) => {
            desk.sit_afresh()?;
            healthy(desk)?; // then it is what was brought
            return Err(CustodyError::DoesNotUnwrap.into());
        }
        Err(error) => return Err(error.into()),
    }
    keep(desk, announced)
}

/// Takes an open key, for tokens that do not unwrap.
pub(super) fn create_key(
    desk: &mut Desk<'_>,
    announced: &KeyRef,
    material: &Material,
) -> Result<DeviceKey, Fault> {
    let (id, algorithm) = (announced.place.id, announced.place.algorithm);
    if *material.public_key() != announced.public_key {
        let why = "its public half is another".to_owned();
        return Err(CustodyError::NotTheKey(why).into());
    }
    desk.writes()?;
    clear(desk, announced)?;
    let nonsense = || CustodyError::Nonsense("a key without numbers".into());
    let mut template = attributes::numbers(material).ok_or_else(nonsense)?;
    template.extend(attributes::brought_private(id, algorithm));
    let session = &desk.seat.session;
    let created = strictest(template, signs_by(desk, algorithm), |template| {
        session.create_object(template)
    });
    created?;
    keep(desk, announced)
}

/// Keeps the key that was just put into the token if it is the announced one and safe; else destroys it.
fn keep(desk: &mut Desk<'_>, announced: &KeyRef) -> Result<DeviceKey, Fault> {
    let kept = prove(desk, announced);
    if kept.is_ok() {
        forget(desk, announced.place.id)?;
    } else {
        clear(desk, announced)?;
    }
    kept
}

fn prove(desk: &mut Desk<'_>, announced: &KeyRef) -> Result<DeviceKey, Fault> {
    let (id, algorithm) = (announced.place.id, announced.place.algorithm);
    let public = attributes::brought_public(id, &announced.public_key);
    desk.seat.session.create_object(&public)?;
    let payload = challenge(id, algorithm)?;
    let signed = match sign(desk, announced, &payload) {
        // A key that signs otherwise is another one, and a key of another kind does not sign like this.
        Err(
            Fault::Device(Error::Pkcs11(..))
            | Fault::Final(CustodyError::Nonsense(_) | CustodyError::NotASignature(_)),
        ) => {
            desk.sit_afresh()?;
            healthy(desk)?;
            None
        }
        signed => Some(signed?),
    };
    if !signed.is_some_and(|raw| verifies(&announced.public_key, &payload, &raw)) {
        let why = "what it signs does not verify".to_owned();
        return Err(CustodyError::NotTheKey(why).into());
    }
    let name = KeyName::of(&announced.place)?;
    let found = find(desk, &name, ObjectClass::PRIVATE_KEY)?;
    let [private] = found.as_slice() else {
        let found = found.len();
        return Err(CustodyError::NotFound { id, found }.into());
    };
    let public_key = public::of_private(desk, id, *private)?;
    let brought = read(desk, *private, public_key, algorithm)?;
    match attributes::unsafe_now(&brought.attributes) {
        None => Ok(brought),
        Some(why) => {
            Err(CustodyError::Refused(format!("what was brought is not kept: {why}")).into())
        }
    }
}

/// Destroys what an earlier attempt left under the id.
fn clear(desk: &mut Desk<'_>, key: &KeyRef) -> Result<(), Fault> {
    let (id, name) = (key.place.id, KeyName::of(&key.place)?);
    desk.seat.private_keys.remove(&id);
    desk.token.gone(id);
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in find(desk, &name, class)? {
            desk.seat.session.destroy_object(object)?;
        }
    }
    Ok(())
}

/// Makes a key by the strictest template that the token knows. Not every token knows every attribute, and
/// some know fewer for keys that are brought than for keys that they make. The result is read back.
fn strictest(
    plain: Vec<Attribute>,
    signs_by: &[MechanismType],
    create: impl Fn(&[Attribute]) -> Result<ObjectHandle, Error>,
) -> Result<ObjectHandle, Error> {
    let mut template = attributes::strict(&plain, signs_by);
    let mut key = create(&template);
    while matches!(&key, Err(error) if is_about_the_template(error)) && template.len() > plain.len()
    {
        attributes::wipe(template.pop());
        key = create(&template);
    }
    attributes::wipe(template);
    attributes::wipe(plain);
    key
}

fn is_about_the_template(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::AttributeTypeInvalid
                | RvError::AttributeValueInvalid
                | RvError::AttributeReadOnly
                | RvError::TemplateInconsistent,
            _
        )
    )
}

/// A message that means nothing else: our words, the key's id, and random bytes.
fn challenge(id: KeyId, algorithm: Algorithm) -> Result<Payload, CustodyError> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| CustodyError::Unavailable("no randomness".into()))?;
    let words = b"chancery: is this the key that was announced? ".as_slice();
    let message = [words, id.uuid().as_bytes(), &random].concat();
    Ok(match algorithm {
        Algorithm::Secp256k1 => Payload::Digest(Sha256::digest(message).into()),
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => Payload::Message(message),
    })
}

fn verifies(key: &PublicKey, payload: &Payload, raw: &RawSignature) -> bool {
    match (key, payload, raw) {
        (PublicKey::Secp256k1(key), Payload::Digest(digest), RawSignature::Ecdsa(raw)) => {
            Signature::check(raw, digest, key).is_ok()
        }
        (key, Payload::Message(message), RawSignature::Rsa(raw)) => key.verify_rs256(message, raw),
        _ => false,
    }
}
