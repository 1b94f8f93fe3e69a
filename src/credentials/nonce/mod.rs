//! The nonce of a login.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// `nonce` of a `ClobAuth` message: it selects the API key of an address. 0 unless somebody chose
/// another. Not the nonce of an order, and not the account's count of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialNonce(pub u64);

/// Why a text is not a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is a whole number below 2^64 in decimal digits")]
pub struct NotANonce;

impl fmt::Display for CredentialNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CredentialNonce {
    type Err = NotANonce;

    fn from_str(text: &str) -> Result<Self, NotANonce> {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let canonical = text == "0" || !text.starts_with('0');
        if !plain || !canonical {
            return Err(NotANonce);
        }
        text.parse().map(Self).map_err(|_| NotANonce)
    }
}

impl serde::Serialize for CredentialNonce {
    /// Decimal text: beyond 2⁵³ a number would not survive every reader.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CredentialNonce {
    /// A number, or decimal text.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = CredentialNonce;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a nonce: a whole number below 2^64, or the same as decimal text")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<CredentialNonce, E> {
                Ok(CredentialNonce(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<CredentialNonce, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests;
