//! `pkcs11:` URIs (RFC 7512), as names of tokens and of keys. Pure.
//!
//! Only what names something is taken. A PIN in a URI is refused and never repeated: a URI stands in
//! configurations, on command lines and in records.

use std::fmt;

use crate::custody::{CustodyError, DeviceRef, Place};
use crate::id::KeyId;

/// Which token: what is given has to be as the token states it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TokenName {
    label: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot: Option<u64>,
}

/// Which key of a token: its `CKA_ID`, its label, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyName {
    /// `CKA_ID`.
    pub id: Option<Vec<u8>>,
    /// `CKA_LABEL`.
    pub label: Option<String>,
}

const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
];

/// What a token says of itself, in the order label, serial number, manufacturer, model.
pub(super) type Shown<'a> = [&'a str; 4];

/// Why a text is not the URI of a token or of a private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAUri {
    /// Another scheme, or none.
    #[error("wanted is a URI that begins with pkcs11:")]
    Scheme,
    /// Neither an attribute of tokens nor of keys.
    #[error(
        "a pkcs11: URI names things by token, serial, manufacturer, model, slot-id, id and object, \
         not by {0:?}"
    )]
    Unknown(String),
    /// A PIN has no place in a URI.
    #[error("a PIN stands in a file that pin_file names, never in a URI")]
    Pin,
    /// The library is chosen elsewhere.
    #[error("the library is chosen by the setting `module`, not by a URI")]
    Module,
    /// Something stands there twice.
    #[error("{0} stands in the URI twice")]
    Twice(&'static str),
    /// A value that nothing can have.
    #[error("the URI's {0} is empty, too long, or not percent-encoded as RFC 7512 has it")]
    Value(&'static str),
    /// It names a certificate, a public key, data.
    #[error("the URI names no private key: type has to be private, if it is given")]
    Type,
    /// It says nothing of what it is to name.
    #[error("the URI does not name a {0}")]
    Nothing(&'static str),
    /// A token's URI that names a key.
    #[error("a token's URI has no id, object or type")]
    Key,
}

/// All that a URI says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uri {
    token: TokenName,
    key: KeyName,
    private: bool,
}

impl TokenName {
    /// The token with this label, this serial number, or both.
    pub(super) fn of(label: Option<String>, serial: Option<String>) -> Self {
        Self {
            label,
            serial,
            ..Self::default()
        }
    }

    /// Whether the token in this slot is meant. Of one that does not tell who it is, only the slot is known.
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
    /// A key, and the token that the URI says it is in, if it says so: tools print both.
    pub fn parse(text: &str) -> Result<(Self, Option<TokenName>), NotAUri> {
        let uri = parse(text)?;
        if uri.key == Self::default() {
            return Err(NotAUri::Nothing("private key: give id or object"));
        }
        Ok((uri.key, Some(uri.token).filter(|token| !token.is_empty())))
    }

    /// The id that such a key has on record if it was made here: then its `CKA_ID` is that.
    pub fn made_for(&self) -> Option<KeyId> {
        let id = uuid::Uuid::from_slice(self.id.as_deref()?).ok()?;
        Some(KeyId::from(id))
    }

    /// What a key on record is found by: its own name in the token, or else our id as its `CKA_ID`.
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

fn write<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    parts: [(&str, Option<String>); N],
) -> fmt::Result {
    let given = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    write!(f, "pkcs11:{}", given.collect::<Vec<_>>().join(";"))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    spelled(text.as_bytes(), plain)
}

fn spelled(bytes: &[u8], plain: impl Fn(u8) -> bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        if plain(*byte) {
            text.push(char::from(*byte));
        } else {
            text.extend([
                '%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
    text
}

fn parse(text: &str) -> Result<Uri, NotAUri> {
    let (scheme, rest) = text.split_once(':').ok_or(NotAUri::Scheme)?;
    if !scheme.eq_ignore_ascii_case("pkcs11") {
        return Err(NotAUri::Scheme);
    }
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let mut uri = Uri::default();
    for part in path.split(';') {
        attribute(&mut uri, part)?;
    }
    // None of a query's attributes names anything.
    let part = query.map(|query| query.split('&').next().unwrap_or_default());
    part.map_or(Ok(uri), |part| Err(stranger(part)))
}

fn attribute(uri: &mut Uri, part: &str) -> Result<(), NotAUri> {
    let Some((name, value)) = part.split_once('=') else {
        return Err(stranger(part));
    };
    let token = &mut uri.token;
    match name {
        "token" => once("token", &mut token.label, || string("token", value, 32)),
        "serial" => once("serial", &mut token.serial, || string("serial", value, 16)),
        "manufacturer" => once("manufacturer", &mut token.manufacturer, || {
            string("manufacturer", value, 32)
        }),
        "model" => once("model", &mut token.model, || string("model", value, 16)),
        "slot-id" => once("slot-id", &mut token.slot, || {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let number = value.parse().ok().filter(|_| digits);
            number.ok_or(NotAUri::Value("slot-id"))
        }),
        "id" => once("id", &mut uri.key.id, || decoded("id", value, 128)),
        "object" => once("object", &mut uri.key.label, || {
            string("object", value, 128)
        }),
        "type" if uri.private => Err(NotAUri::Twice("type")),
        "type" if value == "private" => {
            uri.private = true;
            Ok(())
        }
        "type" => Err(NotAUri::Type),
        _ => Err(stranger(part)),
    }
}

/// What is not taken, by its name alone: its value may be a secret.
fn stranger(part: &str) -> NotAUri {
    match part.split('=').next().unwrap_or_default() {
        "pin-value" | "pin-source" => NotAUri::Pin,
        "module-name" | "module-path" => NotAUri::Module,
        name => NotAUri::Unknown(name.chars().take(32).collect()),
    }
}

fn once<T>(
    name: &'static str,
    place: &mut Option<T>,
    value: impl FnOnce() -> Result<T, NotAUri>,
) -> Result<(), NotAUri> {
    if place.is_some() {
        return Err(NotAUri::Twice(name));
    }
    *place = Some(value()?);
    Ok(())
}

fn string(name: &'static str, value: &str, longest: usize) -> Result<String, NotAUri> {
    String::from_utf8(decoded(name, value, longest)?).map_err(|_| NotAUri::Value(name))
}

fn decoded(name: &'static str, value: &str, longest: usize) -> Result<Vec<u8>, NotAUri> {
    let wrong = NotAUri::Value(name);
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(&byte);
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let both = high.zip(low).map(|(high, low)| high * 16 + low);
                let byte = both.and_then(|byte| u8::try_from(byte).ok());
                bytes.push(byte.ok_or_else(|| wrong.clone())?);
            }
            byte if plain => bytes.push(byte),
            _ => return Err(wrong),
        }
    }
    match bytes.len() {
        0 => Err(wrong),
        length if length > longest => Err(wrong),
        _ => Ok(bytes),
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
