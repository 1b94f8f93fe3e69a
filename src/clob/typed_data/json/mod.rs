//! Typed data as JSON, with nothing lost on the way: integers of 256 bits never pass through a
//! machine number, and no member is there twice or unread.

use std::fmt;

use ruint::aliases::U256;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::TypedDataError;
use crate::clob::request::Whole;
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;

/// The members of an object, to be taken one by one.
pub(super) struct Members<'a> {
    what: &'static str,
    members: Vec<(String, &'a RawValue)>,
}

struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'a> Visitor<'a> for Reader {
            type Value = Object<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Object<'a>, M::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(M::Error::custom(format_args!("{name} is there twice")));
                    }
                    if members.len() == MOST_MEMBERS {
                        return Err(M::Error::custom("it has too many members"));
                    }
                    members.push((name, value));
                }
                Ok(Object(members))
            }
        }
        from.deserialize_map(Reader)
    }
}

/// No object that we take has as many.
const MOST_MEMBERS: usize = 32;

/// Something is wrong with one value.
fn wrong(what: &str, why: impl fmt::Display) -> TypedDataError {
    TypedDataError::Malformed(format!("{what}: {why}"))
}

impl<'a> Members<'a> {
    /// Of an object, which is `what` in refusals.
    pub(super) fn of(what: &'static str, raw: &'a RawValue) -> Result<Self, TypedDataError> {
        let Object(members) = serde_json::from_str(raw.get()).map_err(|e| wrong(what, e))?;
        Ok(Self { what, members })
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    /// A member that has to be there.
    pub(super) fn take(&mut self, name: &str) -> Result<&'a RawValue, TypedDataError> {
        match self.members.iter().position(|(known, _)| known == name) {
            Some(at) => Ok(self.members.swap_remove(at).1),
            None => Err(wrong(self.what, format_args!("{name} is missing"))),
        }
    }

    /// Whether nothing is left.
    pub(super) fn end(self) -> Result<(), TypedDataError> {
        match self.members.into_iter().next() {
            Some((name, _)) => Err(wrong(
                self.what,
                format_args!("{name:?} does not belong here"),
            )),
            None => Ok(()),
        }
    }

    /// An unsigned integer: a number, decimal text, or hexadecimal text after `0x`.
    pub(super) fn integer(&mut self, name: &'static str) -> Result<U256, TypedDataError> {
        let raw = self.take(name)?;
        integer(raw).ok_or_else(|| {
            let forms = "a whole number from 0 to 2^256 - 1 is wanted: a JSON number, decimal text, or hexadecimal text after 0x";
            wrong(name, forms)
        })
    }

    /// An integer that a machine word holds.
    pub(super) fn small<T: TryFrom<U256>>(
        &mut self,
        name: &'static str,
        range: &str,
    ) -> Result<T, TypedDataError> {
        let number = self.integer(name)?;
        let beyond = || wrong(name, format_args!("{number} is beyond {range}"));
        T::try_from(number).map_err(|_| beyond())
    }

    /// Text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, TypedDataError> {
        let raw = self.take(name)?;
        serde_json::from_str(raw.get()).map_err(|_| wrong(name, "text is wanted"))
    }

    /// An address, in any case that is not a wrong checksum.
    pub(super) fn address(&mut self, name: &'static str) -> Result<Address, TypedDataError> {
        self.text(name)?.parse().map_err(|e| wrong(name, e))
    }

    /// Bytes: `0x` and digits.
    pub(super) fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, TypedDataError> {
        let text = self.text(name)?;
        let bytes = text.strip_prefix("0x").and_then(|it| hex::decode(it).ok());
        bytes.ok_or_else(|| wrong(name, "0x and hexadecimal digits are wanted"))
    }

    /// 32 bytes.
    pub(super) fn bytes32(&mut self, name: &'static str) -> Result<Bytes32, TypedDataError> {
        self.text(name)?.parse().map_err(|e| wrong(name, e))
    }
}

fn integer(raw: &RawValue) -> Option<U256> {
    let number = raw.get();
    let text = if number.starts_with('"') {
        serde_json::from_str::<String>(number).ok()?
    } else {
        number.to_owned()
    };
    let Some(digits) = text.strip_prefix("0x").filter(|_| text != number) else {
        return text.parse::<Whole>().ok().map(|Whole(number)| number);
    };
    let plain = (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| U256::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests;
