//! The token's sealing keys: found, made, and destroyed.
//!
//! # Why
//! A sealing key has a label, `chancery sealing 1`, and a `CKA_ID` of its own. Two replicas that find no
//! such key may each make one. Neither key can be taken back then, for it may have sealed something
//! already; nor need it be: a secret names its key, and from then on all replicas seal under the lower id,
//! which is the older. A key that replaces another has a higher number in its label: the highest number
//! seals, and the others open until they are destroyed.

use async_trait::async_trait;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use time::OffsetDateTime;

use super::desk::Desk;
use super::device::Pkcs11;
use super::fault::Fault;
use super::find::healthy;
use crate::custody::{CustodyError, DeviceSealingKey, SealingKeyMaker};
use crate::id::KeyId;

const LABEL: &str = "chancery sealing ";

#[async_trait]
impl SealingKeyMaker for Pkcs11 {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn make_sealing_key(&self) -> Result<String, CustodyError> {
        let made = self.run_alone(make_next);
        Ok(made.await?.to_string())
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn destroy_sealing_key(&self, id: &str) -> Result<(), CustodyError> {
        let id: KeyId = id.parse().map_err(|_| {
            CustodyError::Refused("a token's sealing keys are known by UUIDs".into())
        })?;
        self.run(move |desk| destroy(desk, id)).await
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

/// Makes a sealing key that takes the place of the current one.
fn make_next(desk: &mut Desk<'_>) -> Result<KeyId, Fault> {
    healthy(desk)?;
    let highest = labelled(desk)?.into_iter().map(|key| key.number).max();
    let id = KeyId::new();
    make(desk, id, highest.unwrap_or(0).saturating_add(1))?;
    Ok(id)
}

/// The sealing keys that are safe to use.
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

/// Destroys a former sealing key, and refuses the current one.
fn destroy(desk: &mut Desk<'_>, id: KeyId) -> Result<(), Fault> {
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

/// The key that seals now: of the safe keys with the highest number the one with the lowest id. Looked up
/// each time, so that replicas that made a key each agree from then on.
pub(super) fn current(desk: &mut Desk<'_>) -> Result<Option<(KeyId, ObjectHandle)>, Fault> {
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

/// When a sealing key was made, which its id tells.
fn made_at(id: KeyId) -> Option<OffsetDateTime> {
    let (seconds, _) = id.uuid().get_timestamp()?.to_unix();
    OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok()
}

/// The one sealing key of this id, which has to be safe: nobody can slip in a key that they know.
pub(super) fn key(desk: &mut Desk<'_>, id: KeyId) -> Result<ObjectHandle, Fault> {
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
