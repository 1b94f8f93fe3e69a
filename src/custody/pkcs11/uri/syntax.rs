//! How `pkcs11:` URIs are spelled.

use std::fmt;

use super::{KeyName, TokenName};

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
    /// An attribute stands in the URI twice.
    #[error("{0} stands in the URI twice")]
    Twice(&'static str),
    /// A value that nothing can have.
    #[error("the URI's {0} is empty, too long, or not percent-encoded as RFC 7512 has it")]
    Value(&'static str),
    /// The URI names a certificate, a public key or data.
    #[error("the URI names no private key: type has to be private, if it is given")]
    Type,
    /// The URI names nothing of the kind that is needed.
    #[error("the URI does not name a {0}")]
    Nothing(&'static str),
    /// A token's URI that names a key.
    #[error("a token's URI has no id, object or type")]
    Key,
}

/// All that a URI says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uri {
    pub(super) token: TokenName,
    pub(super) key: KeyName,
    pub(super) private: bool,
}

/// Writes the attributes that have a value.
pub(super) fn write<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    parts: [(&str, Option<String>); N],
) -> fmt::Result {
    let given = parts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    write!(f, "pkcs11:{}", given.collect::<Vec<_>>().join(";"))
}

/// Reads a URI.
pub(super) fn parse(text: &str) -> Result<Uri, NotAUri> {
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
    // No attribute of a query names anything.
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

/// The refusal of an attribute, by its name alone: the value may be a secret.
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
