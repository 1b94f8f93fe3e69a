//! What a trader says, parsed where it comes in. JSON names are the CLOB documentation's.

mod fields;
mod market;
mod members;

use serde::Deserialize;

use super::amount::{Decimal, Side, Tick};
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;
pub use market::{MarketOrderRequest, MarketOrderType};
pub use members::{NotAnOwner, NotWhole, Owner, TokenId, VersionChoice, Whole};

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

#[cfg(test)]
mod tests;
