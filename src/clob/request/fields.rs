//! Readers of single fields, so that a refusal names the field.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::{Owner, TokenId, Whole};
use crate::clob::amount::{Decimal, Side, Tick};
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;

fn text<'de, D: Deserializer<'de>, T>(field: &str, from: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
{
    let text = named(field, String::deserialize(from))?;
    named(field, text.parse().map_err(Error::custom))
}

/// `null` stands for a field that is not given.
fn optional<'de, D: Deserializer<'de>, T>(field: &str, from: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
{
    let text = named(field, Option::<String>::deserialize(from))?;
    named(
        field,
        text.map(|it| it.parse().map_err(Error::custom)).transpose(),
    )
}

/// A field that reads itself, but does not know its name.
fn other<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: &str,
    from: D,
) -> Result<T, D::Error> {
    named(field, T::deserialize(from))
}

fn named<T, E: Error>(field: &str, parsed: Result<T, E>) -> Result<T, E> {
    parsed.map_err(|why| E::custom(format_args!("{field}: {why}")))
}

macro_rules! fields {
    ($($name:ident: $read:ident($json:literal) -> $type:ty;)*) => {$(
        pub(super) fn $name<'de, D: Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
            $read($json, from)
        }
    )*};
}
fields! {
    token_id: text("tokenID") -> TokenId;
    price: text("price") -> Decimal;
    size: text("size") -> Decimal;
    amount: text("amount") -> Decimal;
    limit: optional("price") -> Option<Decimal>;
    max_spend: optional("maxSpend") -> Option<Decimal>;
    tick_size: optional("tickSize") -> Option<Tick>;
    taker: optional("taker") -> Option<Address>;
    metadata: optional("metadata") -> Option<Bytes32>;
    builder_code: optional("builderCode") -> Option<Bytes32>;
    owner: optional("owner") -> Option<Owner>;
    side: other("side") -> Side;
    fee_rate_bps: other("feeRateBps") -> Option<Whole>;
    nonce: other("nonce") -> Option<Whole>;
}

pub(super) fn expiration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let given: Option<Whole> = other("expiration", from)?;
    given
        .map(|Whole(seconds)| u64::try_from(seconds))
        .transpose()
        .map(|seconds| seconds.filter(|it| *it != 0))
        .map_err(|_| Error::custom("expiration: unix seconds are wanted"))
}

/// The schema of `version`: a number or a word, which no Rust type says.
pub(super) fn version_schema() -> Schema {
    OneOfBuilder::new()
        .item(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .enum_values(Some([1, 2, 3])),
        )
        .item(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(["auto"])),
        )
        .description(Some("The order format: 1, 2, 3 or `auto`, the default."))
        .default(Some("auto".into()))
        .into()
}
