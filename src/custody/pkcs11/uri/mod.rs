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
mod tests {
    use super::*;

    fn token(text: &str) -> Result<TokenName, NotAUri> {
        TokenName::try_from(text.to_owned())
    }

    const TOKEN: Shown<'_> = ["My wallet", "1a2b", "SoftHSM project", "SoftHSM v2"];

    #[test]
    fn a_token_is_named_by_what_it_states() {
        for fits in [
            "pkcs11:token=My%20wallet",
            "PKCS11:serial=1a2b",
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=1a2b;token=My%20wallet",
            "pkcs11:slot-id=7",
            "pkcs11:token=%4dy%20%77allet;slot-id=007",
        ] {
            let name = token(fits).unwrap();
            assert!(name.fits(7, Some(TOKEN)), "{fits}");
            assert_eq!(token(&name.to_string()), Ok(name));
        }
        for other in [
            "pkcs11:token=my%20wallet",
            "pkcs11:token=My%20wallet;serial=1a2c",
            "pkcs11:token=My%20wallet;model=SoftHSM",
            "pkcs11:token=My%20wallet;manufacturer=SoftHSM",
            "pkcs11:token=My%20wallet;slot-id=8",
        ] {
            assert!(!token(other).unwrap().fits(7, Some(TOKEN)), "{other}");
        }
        // One that does not tell who it is.
        assert!(token("pkcs11:slot-id=7").unwrap().fits(7, None));
        assert!(!token("pkcs11:slot-id=7;serial=1a2b").unwrap().fits(7, None));
    }

    #[test]
    fn a_key_is_named_by_id_or_label_and_spelled_in_one_way() {
        for (text, canonical) in [
            (
                "pkcs11:id=%01%fe;type=private",
                "pkcs11:id=%01%FE;type=private",
            ),
            ("pkcs11:id=ab", "pkcs11:id=%61%62;type=private"),
            (
                "pkcs11:type=private;object=desk%201%2f%c3%a9",
                "pkcs11:object=desk%201%2F%C3%A9;type=private",
            ),
            (
                "pkcs11:object=a:b;id=%00",
                "pkcs11:id=%00;object=a%3Ab;type=private",
            ),
        ] {
            let (name, in_token) = KeyName::parse(text).unwrap();
            assert_eq!((name.to_string().as_str(), in_token), (canonical, None));
            assert_eq!(KeyName::parse(canonical).unwrap().0, name);
            assert_eq!(name.device_ref().unwrap().as_str(), canonical);
        }
        let (_, in_token) = KeyName::parse("pkcs11:token=wallet;id=%01").unwrap();
        assert_eq!(in_token, Some(token("pkcs11:token=wallet").unwrap()));
        let long = KeyName {
            id: Some(vec![0; 128]),
            label: Some("\u{e9}".repeat(64)),
        };
        assert!(long.device_ref().is_err());
    }

    #[test]
    fn what_names_nothing_or_something_else_is_refused() {
        let key = |text: &str| KeyName::parse(text).map(|(name, _)| name);
        for (text, why) in [
            ("wallet", NotAUri::Scheme),
            ("arn:aws:kms:x", NotAUri::Scheme),
            ("pkcs11:", NotAUri::Unknown(String::new())),
            ("pkcs11:token=a;", NotAUri::Unknown(String::new())),
            ("pkcs11:token=a;token=b", NotAUri::Twice("token")),
            ("pkcs11:slot-id=1;slot-id=1", NotAUri::Twice("slot-id")),
            ("pkcs11:Token=a", NotAUri::Unknown("Token".into())),
            (
                "pkcs11:slot-description=a",
                NotAUri::Unknown("slot-description".into()),
            ),
            ("pkcs11:x-vendor=a", NotAUri::Unknown("x-vendor".into())),
            (
                "pkcs11:token=a?x-vendor=a",
                NotAUri::Unknown("x-vendor".into()),
            ),
            ("pkcs11:token=", NotAUri::Value("token")),
            ("pkcs11:token=a b", NotAUri::Value("token")),
            ("pkcs11:token=a%2", NotAUri::Value("token")),
            ("pkcs11:token=a%+2", NotAUri::Value("token")),
            ("pkcs11:token=%ff", NotAUri::Value("token")),
            ("pkcs11:token=a/b", NotAUri::Value("token")),
            ("pkcs11:serial=12345678901234567", NotAUri::Value("serial")),
            ("pkcs11:slot-id=-1", NotAUri::Value("slot-id")),
            ("pkcs11:slot-id=+1", NotAUri::Value("slot-id")),
            (
                "pkcs11:slot-id=18446744073709551616",
                NotAUri::Value("slot-id"),
            ),
            ("pkcs11:token=a?module-path=/x.so", NotAUri::Module),
            ("pkcs11:token=a;id=%01", NotAUri::Key),
            ("pkcs11:token=a;type=private", NotAUri::Key),
        ] {
            assert_eq!(token(text), Err(why), "{text}");
        }
        assert_eq!(key("pkcs11:id=%01;type=public"), Err(NotAUri::Type));
        let twice = key("pkcs11:id=%01;type=private;type=private");
        assert_eq!(twice, Err(NotAUri::Twice("type")));
        let none = key("pkcs11:token=a;type=private").unwrap_err().to_string();
        assert!(none.contains("give id or object"), "{none}");
    }

    #[test]
    fn a_pin_is_refused_and_not_repeated() {
        for text in [
            "pkcs11:token=a?pin-value=123456",
            "pkcs11:token=a;pin-value=123456",
            "pkcs11:id=%01?pin-source=file:/123456",
        ] {
            assert_eq!(parse(text), Err(NotAUri::Pin));
        }
        let unknown = parse("pkcs11:pin-valu=123456").unwrap_err();
        assert!(!unknown.to_string().contains("123456"));
    }
}
