//! The CLOB's book, and the price that an amount needs, as the official clients work it out.
//!
//! The venue sends levels with the worst first, so that the walk begins at the last one. The whole
//! result hangs on that order, and a book that does not have it is not used: a walk from the wrong end
//! would name the worst price there is.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::OrderError;
use super::amount::{self, Decimal, Side};
use super::request::{MarketOrderType, TokenId};

/// `GET /book`, as far as it is needed.
#[derive(Debug, Clone, Deserialize)]
pub struct Book {
    /// The token that it is the book of.
    #[serde(default)]
    asset_id: Option<String>,
    /// Who buys, worst first: the lowest price.
    bids: Vec<Level>,
    /// Who sells, worst first: the highest price.
    asks: Vec<Level>,
    /// `min_order_size`: fewer shares are refused. A number, or text.
    #[serde(default, deserialize_with = "least")]
    min_order_size: Option<Decimal>,
}

#[derive(Debug, Clone, Deserialize)]
struct Level {
    #[serde(deserialize_with = "text")]
    price: Decimal,
    #[serde(deserialize_with = "text")]
    size: Decimal,
}

fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// What cannot be read is not known: only a warning hangs on it.
fn least<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    Ok(raw.get().trim_matches('"').parse().ok())
}

impl Book {
    /// The fewest shares that an order may be for, where the venue said so.
    pub fn least_size(&self) -> Option<Decimal> {
        self.min_order_size
    }

    /// Whether it is this token's, and its levels come worst first.
    pub fn is_of(&self, token: TokenId) -> bool {
        let named = self.asset_id.as_ref();
        named.is_none_or(|id| *id == token.0.to_string())
            && self.bids.is_sorted_by(|a, b| a.price <= b.price)
            && self.asks.is_sorted_by(|a, b| a.price >= b.price)
    }

    /// The best price of those whom an order would meet, in base units of 10⁻⁶; `None`: nobody is there.
    pub fn best_against(&self, side: Side) -> Option<u32> {
        let levels = match side {
            Side::Buy => &self.asks,
            Side::Sell => &self.bids,
        };
        let best = levels.last()?.price.base_units();
        u32::try_from(best).ok()
    }

    /// The price at which this amount fills: that of the last level it needs. A FAK that finds too
    /// little takes all there is, down to the worst level.
    pub fn limit(
        &self,
        side: Side,
        amount: Decimal,
        kind: MarketOrderType,
    ) -> Result<Decimal, OrderError> {
        let levels = match side {
            Side::Buy => &self.asks,
            Side::Sell => &self.bids,
        };
        let Some(worst) = levels.first() else {
            return Err(OrderError::NoMatch(
                "nobody is on the other side of the book",
            ));
        };
        let best_first = levels.iter().rev().map(|level| (level.price, level.size));
        match (amount::price_to_fill(side, amount, best_first), kind) {
            (Some(price), _) => Ok(price),
            (None, MarketOrderType::Fak) => Ok(worst.price),
            (None, MarketOrderType::Fok) => Err(OrderError::NoMatch(
                "the book holds too little for all of it",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
