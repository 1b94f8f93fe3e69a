//! What an order's members are: a version or `auto`, whole numbers, token ids, who posts.

use std::fmt;
use std::str::FromStr;

use ruint::aliases::U256;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::clob::contracts::{NotAVersion, Version};

/// Which format the trader wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// What the venue takes: its `/version` where a CLOB is configured, else 2. Never 3.
    #[default]
    Auto,
    /// This one.
    Exactly(Version),
}

impl VersionChoice {
    /// The version to use, where `venue` is what `auto` stands for.
    pub fn or(self, venue: Version) -> Version {
        match self {
            Self::Auto => venue,
            Self::Exactly(version) => version,
        }
    }
}

impl<'de> Deserialize<'de> for VersionChoice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Clone, Copy)]
        struct Choice;
        impl Visitor<'_> for Choice {
            type Value = VersionChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("version 1, 2, 3 or \"auto\"")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<VersionChoice, E> {
                u8::try_from(number)
                    .map_err(|_| NotAVersion(number))
                    .and_then(Version::try_from)
                    .map(VersionChoice::Exactly)
                    .map_err(E::custom)
            }

            /// All integers of TOML have a sign.
            fn visit_i64<E: Error>(self, number: i64) -> Result<VersionChoice, E> {
                let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
                u64::try_from(number)
                    .map_err(wrong)
                    .and_then(|number| self.visit_u64(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<VersionChoice, E> {
                match text {
                    "auto" => Ok(VersionChoice::Auto),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_unit<E: Error>(self) -> Result<VersionChoice, E> {
                Ok(VersionChoice::Auto)
            }
        }
        from.deserialize_any(Choice)
    }
}

/// A whole number of up to 256 bits. In JSON a number, or decimal text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole(pub U256);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a whole number below 2^256 in decimal digits is wanted, without sign, exponent or leading zeros"
)]
pub struct NotWhole;

impl FromStr for Whole {
    type Err = NotWhole;

    fn from_str(text: &str) -> Result<Self, NotWhole> {
        let plain = (1..=78).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !plain || (text.len() > 1 && text.starts_with('0')) {
            return Err(NotWhole);
        }
        U256::from_str_radix(text, 10)
            .map(Self)
            .map_err(|_| NotWhole)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 on, or the same as decimal text")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(U256::from(number)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Whole, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Number)
    }
}

/// `tokenId`: an outcome's token in the conditional tokens contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenId(pub U256);

impl TokenId {
    /// Whether the id has the form of a position id of "protocol v2", for which the unified SDK
    /// signs version 3 unasked: bits 40 to 103 are zero.
    pub fn looks_like_v3(self) -> bool {
        self.0 & (U256::from(u64::MAX) << 40) == U256::ZERO
    }
}

impl FromStr for TokenId {
    type Err = NotWhole;

    fn from_str(text: &str) -> Result<Self, NotWhole> {
        text.parse().map(|Whole(id)| Self(id))
    }
}

/// `owner`: the id of the API key that the order is posted with. 1 to 100 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

/// Why a text is not an API key's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of the API key is wanted (its `apiKey`, a UUID), not a wallet's address")]
pub struct NotAnOwner;

impl Owner {
    /// The id as the CLOB wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Owner {
    type Err = NotAnOwner;

    fn from_str(text: &str) -> Result<Self, NotAnOwner> {
        let visible = (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !visible || text.starts_with("0x") {
            return Err(NotAnOwner);
        }
        Ok(Self(text.to_owned()))
    }
}
