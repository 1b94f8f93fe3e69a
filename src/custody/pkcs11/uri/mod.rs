//! `pkcs11:` URIs (RFC 7512), as names of tokens and of keys. Pure.
//!
//! Only attributes that name something are taken. A PIN in a URI is refused and never repeated: URIs stand
//! in configurations, on command lines and in records.

use std::fmt;

use self::syntax::{parse, write};
use crate::custody::{CustodyError, DeviceRef, Place};
use crate::id::KeyId;
use crate::percent::{encoded, spelled};

mod syntax;

pub use syntax::NotAUri;

/// Names a token. Every attribute that is given has to be as the token states it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TokenName {
    label: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot: Option<u64>,
}

/// Names a key of a token: by `CKA_ID`, label, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyName {
    /// `CKA_ID`.
    pub id: Option<Vec<u8>>,
    /// `CKA_LABEL`.
    pub label: Option<String>,
}

/// What a token says of itself, in the order label, serial number, manufacturer, model.
pub(super) type Shown<'a> = [&'a str; 4];

impl TokenName {
    /// The token with this label, this serial number, or both.
    pub(super) fn of(label: Option<String>, serial: Option<String>) -> Self {
        Self {
            label,
            serial,
            ..Self::default()
        }
    }

    /// Whether the token in this slot is meant. Of a token without a description only the slot is known.
    pub(super) fn fits(&self, slot: u64, shown: Option<Shown<'_>>) -> bool {
        let wanted = [&self.label, &self.serial, &self.manufacturer, &self.model];
        self.slot.is_none_or(|wanted| wanted == slot)
            && wanted.iter().enumerate().all(|(at, wanted)| {
                let there = shown.and_then(|shown| shown.get(at).copied());
                wanted.is_none() || wanted.as_deref() == there
            })
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = self.slot.map(|slot| slot.to_string());
        let parts = [
            ("token", &self.label),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("slot-id", &slot),
        ];
        write(
            f,
            parts.map(|(name, value)| (name, value.as_deref().map(encoded))),
        )
    }
}

impl TryFrom<String> for TokenName {
    type Error = NotAUri;

    fn try_from(text: String) -> Result<Self, NotAUri> {
        let uri = parse(&text)?;
        if uri.key != KeyName::default() || uri.private {
            return Err(NotAUri::Key);
        }
        if uri.token.is_empty() {
            return Err(NotAUri::Nothing("token"));
        }
        Ok(uri.token)
    }
}

impl KeyName {
    /// A key, and its token where the URI names that too: tools print both.
    pub fn parse(text: &str) -> Result<(Self, Option<TokenName>), NotAUri> {
        let uri = parse(text)?;
        if uri.key == Self::default() {
            return Err(NotAUri::Nothing("private key: give id or object"));
        }
        Ok((uri.key, Some(uri.token).filter(|token| !token.is_empty())))
    }

    /// The key's id on record, if the key was made here: then its `CKA_ID` is that id.
    pub fn made_for(&self) -> Option<KeyId> {
        let id = uuid::Uuid::from_slice(self.id.as_deref()?).ok()?;
        Some(KeyId::from(id))
    }

    /// The name by which a key on record is found: its own name in the token, or else our id as `CKA_ID`.
    pub(super) fn of(place: &Place) -> Result<Self, CustodyError> {
        let Some(device_ref) = &place.device_ref else {
            let id = Some(place.id.uuid().as_bytes().to_vec());
            return Ok(Self { id, label: None });
        };
        match Self::parse(device_ref.as_str()) {
            Ok((name, None)) => Ok(name),
            Ok((_, Some(_))) => Err(refused(&NotAUri::Nothing("key alone"))),
            Err(error) => Err(refused(&error)),
        }
    }

    /// The one spelling that goes on record.
    pub(super) fn device_ref(&self) -> Result<DeviceRef, CustodyError> {
        let text = self.to_string();
        let long = |_| CustodyError::NotAdoptable("its id or label is too long".into());
        DeviceRef::try_from(text).map_err(long)
    }
}

fn refused(error: &NotAUri) -> CustodyError {
    CustodyError::Refused(format!("the key's name on record: {error}"))
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().map(|id| spelled(id, |_| false));
        let parts = [
            ("id", id),
            ("object", self.label.as_deref().map(encoded)),
            ("type", Some("private".to_owned())),
        ];
        write(f, parts)
    }
}

#[cfg(test)]
mod tests;
