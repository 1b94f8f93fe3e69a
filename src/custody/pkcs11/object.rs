//! Key pairs on the token: made, read back, signed with, destroyed.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{ObjectClass, ObjectHandle};
use sha2::{Digest, Sha256};

use super::desk::Desk;
use super::fault::Fault;
use super::find::{find, healthy, only};
use super::uri::KeyName;
use super::{attributes, public, signature};
use crate::custody::{
    Algorithm, CustodyError, DeviceKey, KeyRef, Payload, Place, PublicKey, RawSignature,
};
use crate::id::KeyId;

/// DER before a SHA-256 digest in a `DigestInfo` (RFC 8017 §9.2, note 1).
const SHA256_DIGEST_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// How many handles a session remembers. Beyond, all are forgotten and found again.
const MANY_HANDLES: usize = 10_000;

/// Signs with a private key.
pub(super) fn sign(
    desk: &mut Desk<'_>,
    key: &KeyRef,
    payload: &Payload,
) -> Result<RawSignature, Fault> {
    let public_key = &key.public_key;
    let key = private_key(desk, &key.place)?;
    let session = &desk.seat.session;
    match payload {
        // CKM_ECDSA signs bytes of any length. The type sees to it that these are a digest.
        Payload::Digest(digest) => {
            let signature = session.sign(&Mechanism::Ecdsa, key, digest)?;
            let signature = signature::whole(&signature, digest, public_key)?;
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
) -> Result<DeviceKey, Fault> {
    desk.writes()?;
    healthy(desk)?; // else the finds below prove nothing
    let name = KeyName {
        id: Some(id.uuid().as_bytes().to_vec()),
        label: None,
    };
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if !find(desk, &name, class)?.is_empty() {
            let why = "the token already holds a key with this id";
            return Err(CustodyError::Refused(why.into()).into());
        }
    }
    let mechanism = match algorithm {
        Algorithm::Secp256k1 => Mechanism::EccKeyPairGen,
        _ => Mechanism::RsaPkcsKeyPairGen,
    };
    let signs_by = signs_by(desk, algorithm);
    let public = attributes::public(id, algorithm);
    let plain = attributes::private(id, algorithm);
    let strict = attributes::strict(&plain, signs_by);
    let session = &desk.seat.session;
    let (public, private) = match session.generate_key_pair(&mechanism, &public, &strict) {
        // Not every token knows the strict template's attributes. A refused template makes no key, and what
        // the plain one made is read back below and kept with the key.
        Err(Error::Pkcs11(
            RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::TemplateInconsistent,
            _,
        )) => session.generate_key_pair(&mechanism, &public, &plain)?,
        made => made?,
    };
    let made = public::of_object(desk, public).and_then(|key| read(desk, private, key, algorithm));
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
        desk.token.seen(id, &name);
    }
    made
}

/// The mechanisms by which a key may sign.
pub(super) fn signs_by(desk: &Desk<'_>, algorithm: Algorithm) -> &'static [MechanismType] {
    match algorithm {
        Algorithm::Secp256k1 => &[MechanismType::ECDSA],
        // openCryptoki hashes, and then checks whether the key may also sign without hashing.
        _ if desk.seat.hashes_rsa => &[MechanismType::SHA256_RSA_PKCS, MechanismType::RSA_PKCS],
        _ => &[MechanismType::RSA_PKCS],
    }
}

/// Reads a key pair back.
pub(super) fn inspect(desk: &mut Desk<'_>, key: &Place) -> Result<DeviceKey, Fault> {
    let name = KeyName::of(key)?;
    let private = only(desk, key.id, &name, ObjectClass::PRIVATE_KEY)?;
    desk.token.seen(key.id, &name);
    let public_key = public::of_private(desk, key.id, private)?;
    let mut found = read(desk, private, public_key, key.algorithm)?;
    found.device_ref.clone_from(&key.device_ref);
    Ok(found)
}

/// Destroys a key pair, the private key first: a public key alone does no harm.
pub(super) fn destroy(desk: &mut Desk<'_>, key: &Place) -> Result<(), Fault> {
    desk.writes()?;
    let (id, name) = (key.id, KeyName::of(key)?);
    let private = only(desk, id, &name, ObjectClass::PRIVATE_KEY);
    let partners = match &private {
        Ok(private) => public::partners(desk, *private)?,
        // The rest of a pair of our making, of which only the private key was destroyed.
        Err(Fault::Final(CustodyError::NotFound { found: 0, .. })) if key.device_ref.is_none() => {
            find(desk, &name, ObjectClass::PUBLIC_KEY)?
        }
        Err(_) => Vec::new(),
    };
    if let Ok(private) = &private {
        desk.seat.private_keys.remove(&id);
        desk.token.gone(id);
        desk.seat.session.destroy_object(*private)?;
    }
    // Of several public keys with the name of an adopted key, none is known to be its half.
    if key.device_ref.is_none() || partners.len() == 1 {
        for public in partners {
            desk.seat.session.destroy_object(public)?;
        }
    }
    private.map(|_| ())
}

fn private_key(desk: &mut Desk<'_>, place: &Place) -> Result<ObjectHandle, Fault> {
    let id = place.id;
    if let Some(key) = desk.seat.private_keys.get(&id) {
        return Ok(*key);
    }
    let name = KeyName::of(place)?;
    let key = only(desk, id, &name, ObjectClass::PRIVATE_KEY)?;
    if desk.seat.private_keys.len() >= MANY_HANDLES {
        desk.seat.private_keys.clear();
    }
    desk.seat.private_keys.insert(id, key);
    desk.token.seen(id, &name);
    Ok(key)
}

/// A key as the token shows it: its public half, and the private key's attributes.
pub(super) fn read(
    desk: &Desk<'_>,
    private: ObjectHandle,
    public_key: Option<PublicKey>,
    algorithm: Algorithm,
) -> Result<DeviceKey, Fault> {
    let session = &desk.seat.session;
    let told = session.get_attributes(private, attributes::ASKED)?;
    let attributes = told.iter().filter_map(attributes::named).collect();
    match public_key {
        Some(public_key) if public_key.algorithm() == Some(algorithm) => Ok(DeviceKey {
            public_key,
            attributes,
            device_ref: None,
        }),
        _ => Err(CustodyError::Nonsense(format!("its public key is not of {algorithm:?}")).into()),
    }
}

pub(super) fn digest_info(message: &[u8]) -> Vec<u8> {
    [SHA256_DIGEST_INFO, &Sha256::digest(message)].concat()
}
