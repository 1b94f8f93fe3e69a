//! The wrapping pair of an offer, which the token makes, unwraps with, and destroys.

use cryptoki::error::Error;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::super::attributes;
use super::super::desk::Desk;
use super::super::fault::Fault;
use super::super::find::healthy;
use crate::custody::sealed::make;
use crate::custody::wrapping::{Scheme, halves, wrap};
use crate::custody::{Algorithm, CustodyError, PublicKey};
use crate::id::KeyId;

const WRAPPING_BITS: u64 = 3072;
pub(super) const WRAPPING_BYTES: usize = 3072 / 8;
const LABEL: &[u8] = b"chancery import";

/// Makes a wrapping pair for this key, and shows that the token unwraps with it: by which scheme, and the
/// public half as an SPKI. `None`: the token does not unwrap.
pub(super) fn prepare(
    desk: &mut Desk<'_>,
    id: KeyId,
    algorithm: Algorithm,
) -> Result<Option<(Scheme, Vec<u8>)>, Fault> {
    desk.writes()?;
    forget(desk, id)?;
    let needed = [
        MechanismType::RSA_PKCS_KEY_PAIR_GEN,
        MechanismType::RSA_PKCS_OAEP,
        MechanismType::AES_KEY_WRAP_PAD,
    ];
    let (_, offered) = desk.token.told(desk.call)?;
    if !needed.iter().all(|it| offered.contains(it)) {
        return Ok(None);
    }
    let (public, private) = wrapping_templates(id);
    let mechanism = Mechanism::RsaPkcsKeyPairGen;
    let made = desk
        .seat
        .session
        .generate_key_pair(&mechanism, &public, &private);
    let Ok((public, _)) = made else {
        healthy(desk)?; // then the token makes no such pair
        return Ok(None);
    };
    let wrapping_key = modulus(&desk.seat.session, public)?
        .and_then(|n| PublicKey::from_rsa_parts(&n, &[1, 0, 1]).ok())
        .ok_or_else(|| CustodyError::Nonsense("a wrapping key without a modulus".into()))?
        .to_spki_der();
    for scheme in Scheme::ALL {
        if unwraps(desk, id, scheme, &wrapping_key, algorithm)? {
            return Ok(Some((scheme, wrapping_key)));
        }
    }
    forget(desk, id)?;
    Ok(None)
}

/// Destroys the wrapping pair of an offer, if there is one.
pub(in crate::custody::pkcs11) fn forget(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in wrapping_objects(desk, id, class)? {
            desk.seat.session.destroy_object(object)?;
        }
    }
    Ok(())
}

/// Whether the token unwraps a key of this kind, shown on a fresh key that ends with the call.
fn unwraps(
    desk: &mut Desk<'_>,
    id: KeyId,
    scheme: Scheme,
    wrapping_key: &[u8],
    algorithm: Algorithm,
) -> Result<bool, Fault> {
    let wrapping = wrapping_objects(desk, id, ObjectClass::PRIVATE_KEY)?;
    let [wrapping] = wrapping.as_slice() else {
        return Err(Fault::Absent("the new wrapping key is not found".into()));
    };
    let (pkcs8, _) = make(algorithm)?;
    let wrapped = wrap(scheme, wrapping_key, &pkcs8)
        .map_err(|error| CustodyError::Nonsense(error.to_string()))?;
    let mut template = attributes::brought_private(KeyId::new(), algorithm);
    template.retain(|it| !matches!(it, Attribute::Token(_)));
    template.push(Attribute::Token(false));
    let halves = halves(&wrapped, WRAPPING_BYTES);
    let halves = halves.ok_or_else(|| CustodyError::Nonsense("a short wrapping key".into()))?;
    match unwrap(&desk.seat.session, *wrapping, scheme, halves, &template) {
        Ok(key) => {
            desk.seat.session.destroy_object(key)?;
            Ok(true)
        }
        Err(Error::Pkcs11(..)) => {
            desk.sit_afresh()?;
            healthy(desk)?; // then the token does not unwrap, and has no other trouble
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Unwraps in two steps: the AES key, which ends with this call, and with it the private key.
pub(super) fn unwrap(
    session: &Session,
    wrapping: ObjectHandle,
    scheme: Scheme,
    (once, key): (&[u8], &[u8]),
    template: &[Attribute],
) -> Result<ObjectHandle, Error> {
    let aes = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(true),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
    ];
    let (hash, mgf) = match scheme {
        Scheme::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        Scheme::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
    };
    let oaep = PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty());
    let oaep = Mechanism::RsaPkcsOaep(oaep);
    let aes = session.unwrap_key(&oaep, wrapping, once, &aes)?;
    let unwrapped = session.unwrap_key(&Mechanism::AesKeyWrapPad, aes, key, template);
    session.destroy_object(aes)?;
    unwrapped
}

fn wrapping_templates(id: KeyId) -> (Vec<Attribute>, Vec<Attribute>) {
    let public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Wrap(true),
        Attribute::ModulusBits(WRAPPING_BITS.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Id(wrapping_id(id)),
        Attribute::Label(LABEL.to_vec()),
    ];
    let private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(true),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Derive(false),
        Attribute::Id(wrapping_id(id)),
        Attribute::Label(LABEL.to_vec()),
    ];
    (public, private)
}

/// The `CKA_ID` of the pair: the key's, and one byte more, so that neither is taken for the other.
fn wrapping_id(id: KeyId) -> Vec<u8> {
    [id.uuid().as_bytes(), b"w".as_slice()].concat()
}

pub(super) fn wrapping_objects(
    desk: &Desk<'_>,
    id: KeyId,
    class: ObjectClass,
) -> Result<Vec<ObjectHandle>, Error> {
    let template = [
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Id(wrapping_id(id)),
        Attribute::Label(LABEL.to_vec()),
    ];
    desk.seat.session.find_objects(&template)
}

fn modulus(session: &Session, key: ObjectHandle) -> Result<Option<Vec<u8>>, Error> {
    let told = session.get_attributes(key, &[AttributeType::Modulus])?;
    Ok(told.into_iter().find_map(|attribute| match attribute {
        Attribute::Modulus(modulus) => Some(modulus),
        _ => None,
    }))
}
