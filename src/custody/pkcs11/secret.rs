//! Secrets sealed in the token: AES-256-GCM under a key that never leaves it.
//!
//! A sealed secret is `1 ‖ key id (16 bytes) ‖ nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`, so that
//! one sealed under an earlier key still opens after another key has taken its place. We choose the
//! nonce and give it to the token; a token that insists on its own (FIPS mode) refuses, and cannot
//! seal.
//!
//! # Why
//! The key has a label, `chancery sealing 1`, and a `CKA_ID` of its own. Replicas that find none may
//! both make one. Nothing can be undone then, for either key may have sealed something already; nor
//! need it: each reads the id in front of a secret, and from then on all seal under the lower id,
//! which is the older. A key that is to replace it has a higher number in its label: the highest seals,
//! and the others open until they are destroyed.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::object::healthy;
use super::recovery::{Step, step};
use super::worker::{Desk, Fault};
use crate::custody::{CustodyError, DeviceSealingKey};
use crate::id::KeyId;

const LABEL: &str = "chancery sealing ";
const VERSION: u8 = 1;
const ID_END: usize = 1 + 16;
const NONCE_END: usize = ID_END + 12;
const TAG: usize = 16;

/// Seals under the token's sealing key. `None`: it has none yet.
pub(super) fn seal(
    desk: &mut Desk<'_>,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Option<Vec<u8>>, Fault> {
    can_seal(desk)?;
    let Some((id, key)) = current(desk)? else {
        return Ok(None);
    };
    let header = header(id);
    let mut nonce = [0; NONCE_END - ID_END];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| CustodyError::Unavailable("no randomness".into()))?;
    let bound = [header.as_slice(), aad].concat();
    let mut given = nonce;
    let sealed = {
        let params = GcmParams::new(&mut given, &bound, 128.into())?;
        desk.seat
            .session
            .encrypt(&Mechanism::AesGcm(params), key, plaintext)?
    };
    if given != nonce || sealed.len() != plaintext.len() + TAG {
        // Under a nonce of its own it would never open; bytes of another length are something else.
        let why = "the token does not seal with the nonce it is given";
        return Err(CustodyError::Refused(why.into()).into());
    }
    Ok(Some([&header, nonce.as_slice(), &sealed].concat()))
}

/// Opens what [`seal`] made with the same `aad`.
///
/// # Why
/// To some tokens altered bytes are `GENERAL_ERROR`, which elsewhere means that the token is gone. So
/// after any error that may mean either, a fresh session has to seal something, and to fail once more.
pub(super) fn open(
    desk: &mut Desk<'_>,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    can_seal(desk)?;
    let does_not_open = || Fault::Final(CustodyError::DoesNotOpen);
    let (head, body) = sealed
        .split_at_checked(NONCE_END)
        .ok_or_else(does_not_open)?;
    if head[0] != VERSION || body.len() < TAG {
        return Err(does_not_open());
    }
    let id = uuid::Uuid::from_slice(&head[1..ID_END]).map_err(|_| does_not_open())?;
    let id = KeyId::from(id);
    let bound = [&head[..ID_END], aad].concat();
    match decrypt(desk, id, &head[ID_END..], &bound, body) {
        Err(Fault::Device(error)) if !is_about_handles(&error) => {}
        opened => return opened,
    }
    desk.sit_afresh()?;
    if seal(desk, b"probe", b"probe")?.is_none() {
        return Err(Fault::Absent(
            "the sealing key is not found any more".into(),
        ));
    }
    match decrypt(desk, id, &head[ID_END..], &bound, body) {
        Err(Fault::Device(error)) if !is_about_handles(&error) => {
            desk.seat.worn = true;
            Err(does_not_open())
        }
        opened => opened,
    }
}

/// Makes a sealing key unless there is one, reads it back, and destroys it again if it is not as safe
/// as it was ordered.
pub(super) fn make_key(desk: &mut Desk<'_>) -> Result<(), Fault> {
    healthy(desk)?; // else finding none proves nothing
    if current(desk)?.is_some() {
        return Ok(());
    }
    desk.writes()?;
    make(desk, KeyId::new(), 1)
}

/// Makes a sealing key that takes the place of the present one.
pub(super) fn make_next(desk: &mut Desk<'_>) -> Result<KeyId, Fault> {
    healthy(desk)?;
    let highest = labelled(desk)?.into_iter().map(|key| key.number).max();
    let id = KeyId::new();
    make(desk, id, highest.unwrap_or(0).saturating_add(1))?;
    Ok(id)
}

/// The sealing keys that are safe.
pub(super) fn list(desk: &mut Desk<'_>) -> Result<Vec<DeviceSealingKey>, Fault> {
    let current = current(desk)?.map(|(id, _)| id);
    let mut keys = Vec::new();
    for Labelled { id, object, .. } in labelled(desk)? {
        if unsafe_because(desk, object)?.is_none() {
            keys.push(DeviceSealingKey {
                id: id.to_string(),
                seals: Some(id) == current,
                made_at: made_at(id),
            });
        }
    }
    Ok(keys)
}

/// Destroys a former sealing key. That it is none any more is looked at here too.
pub(super) fn destroy(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
    if current(desk)?.is_some_and(|(current, _)| current == id) {
        let why = "it is the key that seals now";
        return Err(CustodyError::Refused(why.into()).into());
    }
    for key in labelled(desk)?.into_iter().filter(|key| key.id == id) {
        desk.seat.sealing_keys.remove(&id);
        desk.seat.session.destroy_object(key.object)?;
    }
    Ok(())
}

/// The sealing key that something sealed names.
pub(super) fn named(sealed: &[u8]) -> Option<String> {
    let (&VERSION, id) = sealed.get(..ID_END)?.split_first()? else {
        return None;
    };
    Some(uuid::Uuid::from_slice(id).ok()?.to_string())
}

fn make(desk: &mut Desk<'_>, id: KeyId, number: u32) -> Result<(), Fault> {
    let plain = template(id, number);
    let mut strict = plain.clone();
    strict.extend([
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
    ]);
    let session = &desk.seat.session;
    let key = match session.generate_key(&Mechanism::AesKeyGen, &strict) {
        // As with key pairs: not every token knows these attributes.
        Err(Error::Pkcs11(
            RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::TemplateInconsistent,
            _,
        )) => session.generate_key(&Mechanism::AesKeyGen, &plain)?,
        made => made?,
    };
    if let Some(why) = unsafe_because(desk, key)? {
        desk.seat.session.destroy_object(key)?;
        let why = format!("the new sealing key was destroyed: {why}");
        return Err(CustodyError::Refused(why).into());
    }
    Ok(())
}

/// Refuses before a key is made that could not be used.
fn can_seal(desk: &Desk<'_>) -> Result<(), Fault> {
    if desk.seat.mechanisms.contains(&MechanismType::AES_GCM) {
        return Ok(());
    }
    let why = "the token has no CKM_AES_GCM, so no secret is sealed in it";
    Err(CustodyError::Unsupported(why.into()).into())
}

/// Errors that say nothing of what was to be opened.
fn is_about_handles(error: &Error) -> bool {
    matches!(step(error), Step::FindAgain | Step::Login | Step::GiveUp)
}

fn decrypt(
    desk: &mut Desk<'_>,
    id: KeyId,
    nonce: &[u8],
    bound: &[u8],
    body: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let key = key(desk, id)?;
    let mut nonce = nonce.to_vec();
    let params = GcmParams::new(&mut nonce, bound, 128.into())?;
    let session = &desk.seat.session;
    let opened = session.decrypt(&Mechanism::AesGcm(params), key, body)?;
    Ok(Zeroizing::new(opened))
}

/// The key that seals now: the lowest id among the safe ones. Looked up each time, so that replicas
/// that made one each agree from then on.
fn current(desk: &mut Desk<'_>) -> Result<Option<(KeyId, ObjectHandle)>, Fault> {
    let mut best: Option<(u32, KeyId)> = None;
    for Labelled { number, id, object } in labelled(desk)? {
        if let Some(why) = unsafe_because(desk, object)? {
            tracing::warn!(why, "a key labelled as the sealing key is not used");
        } else if best
            .is_none_or(|(highest, lowest)| number > highest || (number == highest && id < lowest))
        {
            best = Some((number, id));
        }
    }
    let Some((_, id)) = best else {
        healthy(desk)?; // else finding none proves nothing
        return Ok(None);
    };
    Ok(Some((id, key(desk, id)?)))
}

/// An object that is labelled as a sealing key.
struct Labelled {
    number: u32,
    id: KeyId,
    object: ObjectHandle,
}

fn labelled(desk: &Desk<'_>) -> Result<Vec<Labelled>, Fault> {
    let of_this_kind = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
    ];
    let mut found = Vec::new();
    for object in desk.seat.session.find_objects(&of_this_kind)? {
        let asked = [AttributeType::Id, AttributeType::Label];
        let (mut id, mut number) = (None, None);
        for attribute in desk.seat.session.get_attributes(object, &asked)? {
            match attribute {
                Attribute::Id(told) => id = uuid::Uuid::from_slice(&told).ok(),
                Attribute::Label(told) => {
                    let label = String::from_utf8(told).unwrap_or_default();
                    number = label.strip_prefix(LABEL).and_then(|it| it.parse().ok());
                }
                _ => {}
            }
        }
        match (number, id.map(KeyId::from)) {
            (Some(number), Some(id)) => found.push(Labelled { number, id, object }),
            (Some(_), None) => {
                tracing::warn!("a key labelled as the sealing key has no id, and is not used");
            }
            (None, _) => {} // somebody else's
        }
    }
    Ok(found)
}

/// When a sealing key was made: its id says so.
fn made_at(id: KeyId) -> Option<OffsetDateTime> {
    let (seconds, _) = id.uuid().get_timestamp()?.to_unix();
    OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok()
}

/// The one sealing key of this id, which has to be safe: nobody slips in one that they know.
fn key(desk: &mut Desk<'_>, id: KeyId) -> Result<ObjectHandle, Fault> {
    if let Some(key) = desk.seat.sealing_keys.get(&id) {
        return Ok(*key);
    }
    let of_this_id = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
    ];
    let found = desk.seat.session.find_objects(&of_this_id)?;
    let [key] = found.as_slice() else {
        if found.is_empty() {
            healthy(desk)?;
            let why = format!("the token does not hold the sealing key {id}");
            return Err(CustodyError::SealingKeyMissing(why).into());
        }
        let found = found.len();
        return Err(CustodyError::NotFound { id, found }.into());
    };
    if let Some(why) = unsafe_because(desk, *key)? {
        return Err(CustodyError::Refused(format!("the sealing key {id}: {why}")).into());
    }
    desk.seat.sealing_keys.insert(id, *key);
    Ok(*key)
}

/// The sealing key's template, in words that every token knows.
fn template(id: KeyId, number: u32) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::ValueLen(32.into()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
        Attribute::Label(format!("{LABEL}{number}").into()),
    ]
}

/// Why a key must not seal; an attribute that the token does not tell fails as well.
fn unsafe_because(desk: &Desk<'_>, key: ObjectHandle) -> Result<Option<String>, Error> {
    let asked = [
        AttributeType::Sensitive,
        AttributeType::AlwaysSensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
        AttributeType::Local,
        AttributeType::Wrap,
        AttributeType::Derive,
    ];
    let told = desk.seat.session.get_attributes(key, &asked)?;
    let required = [
        ("sensitive", Attribute::Sensitive(true)),
        ("always-sensitive", Attribute::AlwaysSensitive(true)),
        ("not extractable", Attribute::Extractable(false)),
        ("never-extractable", Attribute::NeverExtractable(true)),
        ("local", Attribute::Local(true)),
    ];
    let missing = required.iter().find(|(_, wanted)| !told.contains(wanted));
    if let Some((name, _)) = missing {
        return Ok(Some(format!("the token does not say that it is {name}")));
    }
    let forbidden = [
        ("wrap", Attribute::Wrap(true)),
        ("derive", Attribute::Derive(true)),
    ];
    let allowed = forbidden
        .iter()
        .find(|(_, unwanted)| told.contains(unwanted));
    Ok(allowed.map(|(name, _)| format!("its attribute {name} is true")))
}

fn header(id: KeyId) -> [u8; ID_END] {
    let mut header = [VERSION; ID_END];
    header[1..].copy_from_slice(id.uuid().as_bytes());
    header
}

#[cfg(test)]
pub(super) fn make_another(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
    let session = &desk.seat.session;
    session.generate_key(&Mechanism::AesKeyGen, &template(id, 1))?;
    Ok(())
}

#[cfg(test)]
pub(super) fn bring(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
    let mut template = template(id, 1);
    template.retain(|attribute| !matches!(attribute, Attribute::ValueLen(_)));
    template.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Value(vec![7; 32]),
    ]);
    desk.seat.session.create_object(&template)?;
    Ok(())
}
