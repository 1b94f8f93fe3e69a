//! Private keys that are brought to the token.
//!
//! For each offer the token makes a wrapping pair that does nothing but unwrap, and that is destroyed
//! with the offer; every replica finds it by the id of the key that is to come. Whether the token really
//! unwraps, and with which hash, it shows with a key that is worth nothing: lists of mechanisms promise
//! more than tokens keep. A key is handed over open only to a token that fails this.
//!
//! # Why
//! An EC private key does not tell its public half, and a token stores what it is given beside it. So the
//! key signs something random, and only if that verifies under the announced public key is it kept. That
//! signature is not behind the door: it leaves this function for nobody, and what is signed is a hash of
//! our own words, which is no order and no assertion.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest, Sha256};

use super::attributes;
use super::object::{find, healthy, read, sign, signs_by};
use super::public;
use super::uri::KeyName;
use super::worker::{Desk, Fault};
use crate::custody::sealed::make;
use crate::custody::wrapping::{Scheme, halves, wrap};
use crate::custody::{
    Algorithm, CustodyError, Generated, KeyRef, Material, Offer, Payload, PublicKey, RawSignature,
};
use crate::ethereum::Signature;
use crate::id::KeyId;

/// A ticket's first byte: the token unwraps; the second is the scheme.
pub(super) const UNWRAPS: u8 = 1;
/// The token is handed the key open; the rest is a sealed wrapping pair.
pub(super) const CREATES: u8 = 2;
const WRAPPING_BITS: u64 = 3072;
const WRAPPING_BYTES: usize = 3072 / 8;
const LABEL: &[u8] = b"chancery import";

/// The scheme that a ticket names.
pub(super) fn scheme(ticket: &[u8]) -> Option<Scheme> {
    match ticket {
        [1] => Some(Scheme::Sha1),
        [2] => Some(Scheme::Sha256),
        _ => None,
    }
}

fn ticket(scheme: Scheme) -> Vec<u8> {
    match scheme {
        Scheme::Sha1 => vec![UNWRAPS, 1],
        Scheme::Sha256 => vec![UNWRAPS, 2],
    }
}

/// What a sealed wrapping pair is bound to.
pub(super) fn ticket_aad(id: KeyId) -> Vec<u8> {
    [b"chancery import 1 ", id.uuid().as_bytes().as_slice()].concat()
}

/// Makes a wrapping pair for this key, and shows that the token unwraps with it. `None`: it does not.
pub(super) fn prepare(
    desk: &mut Desk<'_>,
    id: KeyId,
    algorithm: Algorithm,
) -> Result<Option<Offer>, Fault> {
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
        healthy(desk)?; // then it is the token's word that it makes no such pair
        return Ok(None);
    };
    let wrapping_key = modulus(&desk.seat.session, public)?
        .and_then(|n| PublicKey::from_rsa_parts(&n, &[1, 0, 1]).ok())
        .ok_or_else(|| CustodyError::Nonsense("a wrapping key without a modulus".into()))?
        .to_spki_der();
    for scheme in Scheme::ALL {
        if unwraps(desk, id, scheme, &wrapping_key, algorithm)? {
            return Ok(Some(Offer {
                scheme,
                wrapping_key,
                ticket: ticket(scheme),
                device_ref: None,
            }));
        }
    }
    forget(desk, id)?;
    Ok(None)
}

/// Takes a wrapped key.
pub(super) fn unwrap_key(
    desk: &mut Desk<'_>,
    announced: &KeyRef,
    scheme: Scheme,
    wrapped: &[u8],
) -> Result<Generated, Fault> {
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
        private(id, algorithm),
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

/// Takes an open key: the way for tokens that do not unwrap.
pub(super) fn create_key(
    desk: &mut Desk<'_>,
    announced: &KeyRef,
    material: &Material,
) -> Result<Generated, Fault> {
    let (id, algorithm) = (announced.place.id, announced.place.algorithm);
    if *material.public_key() != announced.public_key {
        let why = "its public half is another".to_owned();
        return Err(CustodyError::NotTheKey(why).into());
    }
    desk.writes()?;
    clear(desk, announced)?;
    let nonsense = || CustodyError::Nonsense("a key without numbers".into());
    let mut template = attributes::numbers(material).ok_or_else(nonsense)?;
    template.extend(private(id, algorithm));
    let session = &desk.seat.session;
    let created = strictest(template, signs_by(desk, algorithm), |template| {
        session.create_object(template)
    });
    created?;
    keep(desk, announced)
}

/// Destroys the wrapping pair of an offer, if there is one.
pub(super) fn forget(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in wrapping_objects(desk, id, class)? {
            desk.seat.session.destroy_object(object)?;
        }
    }
    Ok(())
}

/// Keeps a key that is in the token now if it is the announced one and as safe as it has to be; else
/// destroys it.
fn keep(desk: &mut Desk<'_>, announced: &KeyRef) -> Result<Generated, Fault> {
    let kept = prove(desk, announced);
    if kept.is_ok() {
        forget(desk, announced.place.id)?;
    } else {
        clear(desk, announced)?;
    }
    kept
}

fn prove(desk: &mut Desk<'_>, announced: &KeyRef) -> Result<Generated, Fault> {
    let (id, algorithm) = (announced.place.id, announced.place.algorithm);
    let public = attributes::brought_public(id, &announced.public_key);
    desk.seat.session.create_object(&public)?;
    let payload = challenge(id, algorithm)?;
    let signed = match sign(desk, announced, &payload) {
        // What signs otherwise is another key, and one of another kind does not sign so at all.
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

/// Whether the token unwraps a key of this kind: one that nobody knows, and that ends with the call.
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
    let mut template = private(KeyId::new(), algorithm);
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
            healthy(desk)?; // then it does not, and it is no other trouble
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Unwraps in two steps: the AES key, which ends with this call, and with it the private key.
fn unwrap(
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

fn wrapping_objects(
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

/// The template of a private key that is brought.
fn private(id: KeyId, algorithm: Algorithm) -> Vec<Attribute> {
    let kind = match algorithm {
        Algorithm::Secp256k1 => KeyType::EC,
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => KeyType::RSA,
    };
    let mut template = attributes::private(id, algorithm);
    template.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    template.push(Attribute::KeyType(kind));
    template
}

/// Makes a key by the strictest template that the token knows: not every one knows every attribute, and
/// some know fewer for keys that are brought than for those that they make. What it did is read back.
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

fn modulus(session: &Session, key: ObjectHandle) -> Result<Option<Vec<u8>>, Error> {
    let told = session.get_attributes(key, &[AttributeType::Modulus])?;
    Ok(told.into_iter().find_map(|attribute| match attribute {
        Attribute::Modulus(modulus) => Some(modulus),
        _ => None,
    }))
}

/// Something to sign that is nothing else: our words, the key's id, and what nobody chose.
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
