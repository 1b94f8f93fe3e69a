//! What a trader says, parsed where it comes in. JSON names are the CLOB documentation's.

mod fields;
mod market;

use std::fmt;
use std::str::FromStr;

use ruint::aliases::U256;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::amount::{Decimal, Side, Tick};
use super::contracts::{NotAVersion, Version};
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;
pub use market::{MarketOrderRequest, MarketOrderType};

/// A limit order as a trader asks for it. Numbers with decimals are text, so that no double touches them.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a member of the request"
)]
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderRequest {
    /// The outcome's token, up to 256 bits, as decimal text.
    #[serde(rename = "tokenID", deserialize_with = "fields::token_id")]
    #[schema(
        value_type = String,
        example = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
    )]
    pub token_id: TokenId,
    /// `BUY` or `SELL`.
    #[serde(deserialize_with = "fields::side")]
    pub side: Side,
    /// Cash per share; a multiple of the tick within tick and 1 − tick.
    #[serde(deserialize_with = "fields::price")]
    #[schema(value_type = String, example = "0.56")]
    pub price: Decimal,
    /// Shares. Cut to two decimals, with a warning.
    #[serde(deserialize_with = "fields::size")]
    #[schema(value_type = String, example = "21.04")]
    pub size: Decimal,
    /// The market's tick: 0.1, 0.01, 0.005, 0.0025, 0.001 or 0.0001; or a coarser one, never a finer.
    /// Looked up at the CLOB when not given.
    #[serde(default, deserialize_with = "fields::tick_size")]
    #[schema(value_type = Option<String>, example = "0.01")]
    pub tick_size: Option<Tick>,
    /// Whether the market settles on the neg-risk exchange. A wrong one gives an invalid signature.
    /// Looked up at the CLOB when not given.
    pub neg_risk: Option<bool>,
    /// How long it stays. GTC when not given.
    #[serde(default)]
    pub order_type: OrderType,
    /// When a GTD order ends, in unix seconds: a number or decimal text, more than a minute ahead, for
    /// the CLOB ends it a minute before. 0 stands for none.
    #[serde(default, deserialize_with = "fields::expiration")]
    #[schema(value_type = Option<u64>, example = 1_900_000_000)]
    pub expiration: Option<u64>,
    /// The order format: 1, 2, 3 or `auto`, the default.
    #[serde(default)]
    #[schema(schema_with = fields::version_schema)]
    pub version: VersionChoice,
    /// Version 1 only: the market's fee in basis points. Looked up when not given, and 0 where no CLOB
    /// is configured.
    #[serde(default, deserialize_with = "fields::fee_rate_bps")]
    #[schema(value_type = Option<String>, example = "0")]
    pub fee_rate_bps: Option<Whole>,
    /// Version 1 only: the nonce that on-chain cancellation counts, 0 when not given. Not a credential's nonce.
    #[serde(default, deserialize_with = "fields::nonce")]
    #[schema(value_type = Option<String>, example = "0")]
    pub nonce: Option<Whole>,
    /// Version 1 only: who alone may take the order; anybody when not given.
    #[serde(default, deserialize_with = "fields::taker")]
    #[schema(value_type = Option<String>, example = "0x0000000000000000000000000000000000000000")]
    pub taker: Option<Address>,
    /// Versions 2 and 3 only: 32 bytes that travel with the order, zero when not given.
    #[serde(default, deserialize_with = "fields::metadata")]
    #[schema(value_type = Option<String>)]
    pub metadata: Option<Bytes32>,
    /// Versions 2 and 3 only: the builder's code, 32 bytes, zero when not given.
    #[serde(default, deserialize_with = "fields::builder_code")]
    #[schema(value_type = Option<String>)]
    pub builder_code: Option<Bytes32>,
    /// Refuse the order rather than let it take. Only with GTC and GTD.
    #[serde(default)]
    pub post_only: bool,
    /// The envelope's `deferExec`.
    #[serde(default)]
    pub defer_exec: bool,
    /// The API key's id. When given, the answer also holds the whole body of `POST /order`.
    #[serde(default, deserialize_with = "fields::owner")]
    #[schema(value_type = Option<String>, example = "6f1d1f3a-0000-4000-8000-000000000001")]
    pub owner: Option<Owner>,
    /// This is a second order, though the same was asked for a moment ago under another
    /// `Idempotency-Key`: a limit may refuse it otherwise.
    #[serde(default)]
    pub again: bool,
    /// Say what would be signed, and sign nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// The fields that not every format signs, as they were asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct FormatFields {
    pub(super) fee_rate_bps: Option<Whole>,
    pub(super) nonce: Option<Whole>,
    pub(super) taker: Option<Address>,
    pub(super) metadata: Option<Bytes32>,
    pub(super) builder_code: Option<Bytes32>,
}

impl OrderRequest {
    pub(super) fn format_fields(&self) -> FormatFields {
        FormatFields {
            fee_rate_bps: self.fee_rate_bps,
            nonce: self.nonce,
            taker: self.taker,
            metadata: self.metadata,
            builder_code: self.builder_code,
        }
    }
}

words! {
    /// `orderType`: how long an order stays.
    #[derive(Default, utoipa::ToSchema)]
    pub enum OrderType {
        /// Good till cancelled.
        #[default]
        Gtc = "GTC",
        /// Good till a date, the expiration.
        Gtd = "GTD",
        /// Fill or kill: all at once or nothing.
        Fok = "FOK",
        /// Fill and kill: what there is at once, the rest never.
        Fak = "FAK",
    }
}

impl OrderType {
    /// Whether an order of this type can rest in the book.
    pub fn rests(self) -> bool {
        matches!(self, Self::Gtc | Self::Gtd)
    }
}

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

#[cfg(test)]
mod tests;
