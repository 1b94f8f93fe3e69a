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
mod tests {
    use super::*;

    fn read(json: &str) -> Option<U256> {
        integer(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn integers_are_exact_in_every_form() {
        let largest = U256::MAX.to_string();
        for json in [
            largest.clone(),
            format!("\"{largest}\""),
            format!("\"0x{}\"", "f".repeat(64)),
            format!("\"0x{}\"", "F".repeat(64)),
        ] {
            assert_eq!(read(&json), Some(U256::MAX), "{json}");
        }
        for json in [
            "9007199254740993",
            "\"9007199254740993\"",
            "\"0x20000000000001\"",
        ] {
            assert_eq!(
                read(json),
                Some(U256::from(9_007_199_254_740_993_u64)),
                "{json}"
            );
        }
        assert_eq!(read("0"), Some(U256::ZERO));
        assert_eq!(read("\"0x0\""), Some(U256::ZERO));
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        let beyond =
            "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        for json in [
            "-1",
            "-0",
            "1.0",
            "1e3",
            "1E0",
            "0.5",
            "null",
            "true",
            "[]",
            "{}",
            "\"\"",
            "\"0x\"",
            "\"-1\"",
            "\"+1\"",
            "\" 1\"",
            "\"1e3\"",
            "\"01\"",
            "\"0xg\"",
            "\"0X1\"",
            "\"1_0\"",
            "\"٣\"",
            beyond,
            &format!("\"{beyond}\""),
            &format!("\"0x1{}\"", "0".repeat(64)),
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn a_member_is_there_once_and_read() {
        let twice: &RawValue = serde_json::from_str(r#"{"a":1,"\u0061":1}"#).unwrap();
        assert!(Members::of("it", twice).is_err(), "however it is spelled");
        let raw: &RawValue = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
        let mut members = Members::of("it", raw).unwrap();
        assert!(members.take("c").is_err());
        assert_eq!(members.integer("a").unwrap(), U256::ONE);
        assert!(members.end().is_err(), "b is left");
        let list: &RawValue = serde_json::from_str("[1]").unwrap();
        assert!(Members::of("it", list).is_err());
    }
}
