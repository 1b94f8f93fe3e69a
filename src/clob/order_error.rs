//! Why an order is not built. Each variant names the field and what would be right.

use super::amount::{Decimal, Tick};
use super::contracts::Version;
use super::request::OrderType;

/// Why an order is not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No market takes a price this close to 0 or 1.
    #[error("price {price} is outside {tick} to {highest}, the range at tickSize {tick}")]
    PriceOutOfRange {
        /// As given.
        price: Decimal,
        /// Also the lowest price.
        tick: Tick,
        /// 1 − tick.
        highest: Decimal,
    },
    /// Rounding would sign a price that nobody named.
    #[error("price {price} is not a multiple of tickSize {tick}: use {below} or {above}")]
    PriceOffGrid {
        /// As given.
        price: Decimal,
        /// The market's.
        tick: Tick,
        /// The nearest price below.
        below: Decimal,
        /// The nearest price above.
        above: Decimal,
    },
    /// An order for nothing.
    #[error("{field} {given} leaves nothing after the cut to two decimals: use 0.01 or more")]
    NothingLeft {
        /// `size` or `amount`.
        field: &'static str,
        /// As given.
        given: Decimal,
    },
    /// No trader has as much: it was typed wrong, or is in base units.
    #[error(
        "{field} {given} is more than anybody has: it is in shares or dollars, not in units of 10^-6"
    )]
    Absurd {
        /// `size` or `amount`.
        field: &'static str,
        /// As given.
        given: Decimal,
    },
    /// No price was named, and the book has none for all of it.
    #[error("no match: {0}")]
    NoMatch(&'static str),
    /// What is spent is the amount of a BUY; a SELL spends nothing.
    #[error(
        "maxSpend is only for side BUY: a SELL gives shares, and its fee comes out of the cash"
    )]
    SpendOfSale,
    /// No trader has as much.
    #[error("maxSpend {0} is too large")]
    SpendTooLarge(Decimal),
    /// Good till which date?
    #[error("expiration is missing: orderType GTD wants the unix time in seconds when it ends")]
    ExpirationMissing,
    /// Other order types have no end.
    #[error("expiration is only for orderType GTD: leave it out of a {0}, or use GTD")]
    ExpirationUnexpected(OrderType),
    /// The order would be dead on arrival.
    #[error("expiration {expiration} is past: it is {now} now, in unix seconds")]
    ExpirationPast {
        /// As given, unix seconds.
        expiration: u64,
        /// Unix seconds.
        now: i64,
    },
    /// The venue would refuse it: it ends orders earlier than they say.
    #[error(
        "expiration {expiration} is {ahead} s ahead, and the CLOB ends an order a minute before: use {earliest} or later"
    )]
    ExpirationTooSoon {
        /// As given, unix seconds.
        expiration: u64,
        /// In how many seconds that is.
        ahead: i128,
        /// What leaves it some time, unix seconds.
        earliest: i128,
    },
    /// In milliseconds the order would rest for ever.
    #[error("expiration {expiration} is {unit}")]
    ExpirationUnit {
        /// As given.
        expiration: u64,
        /// Which unit that seems to be, and what would be right.
        unit: String,
    },
    /// A post-only order must be able to rest.
    #[error("postOnly is only for orderType GTC and GTD: a {0} never rests in the book")]
    PostOnlyNeverRests(OrderType),
    /// The field is not part of this version's order, so it would be silently lost.
    #[error("{field} is not part of an order of version {version}: leave it out, or use {instead}")]
    NotInVersion {
        /// The field's JSON name.
        field: &'static str,
        /// The version used.
        version: Version,
        /// The versions that have it.
        instead: &'static str,
    },
    /// V1's exchange does not know deposit wallets.
    #[error("version 1 has no signatureType 3 (POLY_1271): use version 2 or 3 for this wallet")]
    DepositWalletInV1,
    /// The venue reads the salt as a double, so a larger one would change on the way.
    #[error("salt {0} is not within 1 and 2^53 - 1")]
    SaltOutOfRange(u64),
    /// The clock is wrong.
    #[error("timestamp {0} lies before 1970: the clock is wrong")]
    BeforeTime(i64),
}

impl OrderError {
    /// Whether the price may be right at another tick.
    pub fn depends_on_the_tick(&self) -> bool {
        matches!(
            self,
            Self::PriceOutOfRange { .. } | Self::PriceOffGrid { .. }
        )
    }

    /// The JSON name of the field that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::PriceOutOfRange { .. } | Self::PriceOffGrid { .. } => "price",
            Self::NothingLeft { field, .. }
            | Self::Absurd { field, .. }
            | Self::NotInVersion { field, .. } => field,
            Self::NoMatch(_) => "amount",
            Self::SpendOfSale | Self::SpendTooLarge(_) => "maxSpend",
            Self::ExpirationMissing
            | Self::ExpirationUnexpected(_)
            | Self::ExpirationPast { .. }
            | Self::ExpirationTooSoon { .. }
            | Self::ExpirationUnit { .. } => "expiration",
            Self::PostOnlyNeverRests(_) => "postOnly",
            Self::DepositWalletInV1 => "version",
            Self::SaltOutOfRange(_) => "salt",
            Self::BeforeTime(_) => "timestamp",
        }
    }
}
