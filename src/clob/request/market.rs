//! What a trader says who wants to trade at once.

use serde::Deserialize;

use super::{FormatFields, OrderType, Owner, TokenId, VersionChoice, Whole, fields};
use crate::clob::amount::{Decimal, Side, Tick};
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;

/// A market order as a trader asks for it: cash to spend or shares to give, at a limit or at what the
/// book says.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarketOrderRequest {
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
    /// BUY: cash to spend. SELL: shares to give. Cut to two decimals, with a warning.
    #[serde(deserialize_with = "fields::amount")]
    #[schema(value_type = String, example = "100")]
    pub amount: Decimal,
    /// The most (BUY) or least (SELL) cash per share. Off the grid it is rounded down, with a warning.
    /// Without it, or with 0, the CLOB's book is asked for the price that fills the amount, whatever
    /// that is: name one if you have a limit.
    #[serde(default, deserialize_with = "fields::limit")]
    #[schema(value_type = Option<String>, example = "0.56")]
    pub price: Option<Decimal>,
    /// BUY only: the most that amount and fees may cost together, such as the maker's balance. Where they
    /// would cost more the amount is cut, with a warning, as the official clients do it: with the market's
    /// fee and the builder's at the limit, which are looked up. At a better price than the limit the fee
    /// can be higher.
    #[serde(default, deserialize_with = "fields::max_spend")]
    #[schema(value_type = Option<String>, example = "100")]
    pub max_spend: Option<Decimal>,
    /// The market's tick: 0.1, 0.01, 0.005, 0.0025, 0.001 or 0.0001; or a coarser one, never a finer.
    /// Looked up at the CLOB when not given.
    #[serde(default, deserialize_with = "fields::tick_size")]
    #[schema(value_type = Option<String>, example = "0.01")]
    pub tick_size: Option<Tick>,
    /// Whether the market settles on the neg-risk exchange. A wrong one gives an invalid signature.
    /// Looked up at the CLOB when not given.
    pub neg_risk: Option<bool>,
    /// Whether a part will do. FOK when not given.
    #[serde(default)]
    pub order_type: MarketOrderType,
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

/// `orderType` of a market order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MarketOrderType {
    /// Fill or kill: all at once or nothing.
    #[default]
    Fok,
    /// Fill and kill: what there is at once, the rest never.
    Fak,
}

impl From<MarketOrderType> for OrderType {
    fn from(kind: MarketOrderType) -> Self {
        match kind {
            MarketOrderType::Fok => Self::Fok,
            MarketOrderType::Fak => Self::Fak,
        }
    }
}

impl MarketOrderRequest {
    /// The limit that was named; 0 stands for none.
    pub fn limit(&self) -> Option<Decimal> {
        self.price.filter(|price| !price.is_zero())
    }

    pub(in crate::clob) fn format_fields(&self) -> FormatFields {
        FormatFields {
            fee_rate_bps: self.fee_rate_bps,
            nonce: self.nonce,
            taker: self.taker,
            metadata: self.metadata,
            builder_code: self.builder_code,
        }
    }
}
