//! Objects on the token: finding exactly one, making, reading back, signing.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use sha2::{Digest, Sha256};

use super::attributes;
use super::worker::{Desk, Fault};
use crate::custody::{Algorithm, CustodyError, Generated, Payload, PublicKey, RawSignature};
use crate::id::KeyId;

/// DER before a SHA-256 digest in a `DigestInfo` (RFC 8017 §9.2, note 1).
const SHA256_DIGEST_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// Handles that a session remembers. Past it they are forgotten and found again.
const MANY_HANDLES: usize = 10_000;

/// Signs with the private key of this id.
pub(super) fn sign(
    desk: &mut Desk<'_>,
    id: KeyId,
    payload: &Payload,
) -> Result<RawSignature, Fault> {
    let key = private_key(desk, id)?;
    let session = &desk.seat.session;
    match payload {
        // CKM_ECDSA signs anything; that it is a digest is for us to see to, and the type does.
        Payload::Digest(digest) => {
            let signature = session.sign(&Mechanism::Ecdsa, key, digest)?;
            let length = signature.len();
            let signature = signature.try_into().map_err(|_| {
                CustodyError::NotASignature(format!("{length} bytes for an ECDSA signature"))
            })?;
            Ok(RawSignature::Ecdsa(signature))
        }
        Payload::Message(message) => {
            let signature = if desk.seat.hashes_rsa {
                session.sign(&Mechanism::Sha256RsaPkcs, key, message)?
            } else {
                session.sign(&Mechanism::RsaPkcs, key, &digest_info(message))?
            };
            Ok(RawSignature::Rsa(signature))
        }
        Payload::Hmac { .. } => {
            Err(CustodyError::Refused("an HMAC is not the token's".into()).into())
        }
    }
}

/// Makes a key pair, reads it back, and destroys it again if it is not as safe as it was ordered.
pub(super) fn generate(
    desk: &mut Desk<'_>,
    id: KeyId,
    algorithm: Algorithm,
) -> Result<Generated, Fault> {
    healthy(desk)?; // else the finds below prove nothing
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if !find(desk, id, class)?.is_empty() {
            let why = "the token already holds a key with this id";
            return Err(CustodyError::Refused(why.into()).into());
        }
    }
    let mechanism = match algorithm {
        Algorithm::Secp256k1 => Mechanism::EccKeyPairGen,
        _ => Mechanism::RsaPkcsKeyPairGen,
    };
    let signs_by = match algorithm {
        Algorithm::Secp256k1 => MechanismType::ECDSA,
        _ if desk.seat.hashes_rsa => MechanismType::SHA256_RSA_PKCS,
        _ => MechanismType::RSA_PKCS,
    };
    let public = attributes::public(id, algorithm);
    let plain = attributes::private(id, algorithm);
    let strict = attributes::strict(&plain, signs_by);
    let session = &desk.seat.session;
    let (public, private) = match session.generate_key_pair(&mechanism, &public, &strict) {
        // Not every token knows these attributes. A refused template makes no key, and what the token
        // did instead is read back below and kept with the key.
        Err(Error::Pkcs11(
            RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::TemplateInconsistent,
            _,
        )) => session.generate_key_pair(&mechanism, &public, &plain)?,
        made => made?,
    };
    let made = read(desk, public, private, algorithm);
    let refused = match &made {
        Ok(made) => attributes::unsafe_because(&made.attributes),
        Err(Fault::Final(error)) => Some(error.to_string()),
        Err(_) => None,
    };
    if let Some(why) = refused {
        for object in [private, public] {
            desk.seat.session.destroy_object(object)?;
        }
        return Err(CustodyError::Refused(format!("the new key was destroyed: {why}")).into());
    }
    if made.is_ok() {
        desk.token.seen(id);
    }
    made
}

/// Reads the pair of this id back.
pub(super) fn inspect(
    desk: &mut Desk<'_>,
    id: KeyId,
    algorithm: Algorithm,
) -> Result<Generated, Fault> {
    let private = only(desk, id, ObjectClass::PRIVATE_KEY)?;
    let public = only(desk, id, ObjectClass::PUBLIC_KEY)?;
    desk.token.seen(id);
    read(desk, public, private, algorithm)
}

/// Destroys the pair of this id, the private key first: a public key alone does no harm.
pub(super) fn destroy(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
    let private = only(desk, id, ObjectClass::PRIVATE_KEY);
    if let Ok(private) = private {
        desk.seat.private_keys.remove(&id);
        desk.token.gone(id);
        desk.seat.session.destroy_object(private)?;
    }
    if matches!(
        private,
        Ok(_) | Err(Fault::Final(CustodyError::NotFound { found: 0, .. }))
    ) {
        for public in find(desk, id, ObjectClass::PUBLIC_KEY)? {
            desk.seat.session.destroy_object(public)?;
        }
    }
    private.map(|_| ())
}

/// Whether the token is there, we are logged in, and a key that was seen before is still found.
///
/// # Why
/// To a token that lost its login or its disk every find is empty, and it says so without an error.
pub(super) fn healthy(desk: &Desk<'_>) -> Result<(), Fault> {
    match desk.seat.session.get_session_info() {
        Ok(info) if info.session_state() != SessionState::RwUser => {
            let code = RvError::UserNotLoggedIn;
            return Err(Error::Pkcs11(code, Function::GetSessionInfo).into());
        }
        Err(error @ Error::Pkcs11(..)) => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    desk.token.info(desk.call)?;
    if let Some(sentinel) = desk.token.sentinel()
        && find(desk, sentinel, ObjectClass::PRIVATE_KEY)?.is_empty()
    {
        return Err(Fault::Absent(format!(
            "key {sentinel} is not found any more"
        )));
    }
    Ok(())
}

fn private_key(desk: &mut Desk<'_>, id: KeyId) -> Result<ObjectHandle, Fault> {
    if let Some(key) = desk.seat.private_keys.get(&id) {
        return Ok(*key);
    }
    let key = only(desk, id, ObjectClass::PRIVATE_KEY)?;
    if desk.seat.private_keys.len() >= MANY_HANDLES {
        desk.seat.private_keys.clear();
    }
    desk.seat.private_keys.insert(id, key);
    desk.token.seen(id);
    Ok(key)
}

/// The one object of this id and class. That there is none is said only by a healthy token.
fn only(desk: &Desk<'_>, id: KeyId, class: ObjectClass) -> Result<ObjectHandle, Fault> {
    match find(desk, id, class)?.as_slice() {
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

fn find(desk: &Desk<'_>, id: KeyId, class: ObjectClass) -> Result<Vec<ObjectHandle>, Fault> {
    let template = [
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
    ];
    Ok(desk.seat.session.find_objects(&template)?)
}

fn read(
    desk: &Desk<'_>,
    public: ObjectHandle,
    private: ObjectHandle,
    algorithm: Algorithm,
) -> Result<Generated, Fault> {
    let session = &desk.seat.session;
    let told = session.get_attributes(private, attributes::ASKED)?;
    let attributes = told.iter().filter_map(attributes::named).collect();

    let public_key = if algorithm == Algorithm::Secp256k1 {
        ec_public_key(session, public)?
    } else {
        rsa_public_key(session, public)?
    };
    match public_key {
        Some(public_key) if public_key.algorithm() == Some(algorithm) => Ok(Generated {
            public_key,
            attributes,
            device_ref: None,
        }),
        _ => Err(CustodyError::Nonsense(format!("its public key is not of {algorithm:?}")).into()),
    }
}

fn digest_info(message: &[u8]) -> Vec<u8> {
    [SHA256_DIGEST_INFO, &Sha256::digest(message)].concat()
}

fn ec_public_key(session: &Session, key: ObjectHandle) -> Result<Option<PublicKey>, Error> {
    let told = session.get_attributes(key, &[AttributeType::EcPoint])?;
    Ok(told.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => PublicKey::from_ec_point(point).ok(),
        _ => None,
    }))
}

fn rsa_public_key(session: &Session, key: ObjectHandle) -> Result<Option<PublicKey>, Error> {
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
