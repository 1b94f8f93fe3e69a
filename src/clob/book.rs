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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn levels(levels: &[(&str, &str)]) -> Value {
        let level = |(price, size): &(&str, &str)| json!({ "price": price, "size": size });
        levels.iter().map(level).collect()
    }

    fn book(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Book {
        serde_json::from_value(json!({ "bids": levels(bids), "asks": levels(asks) })).unwrap()
    }

    #[test]
    fn the_walk_begins_at_the_last_level_and_ends_where_the_amount_is_reached() {
        use MarketOrderType::{Fak, Fok};
        let book = book(
            &[("0.40", "10"), ("0.45", "20.5")],
            &[("0.60", "10"), ("0.55", "20")],
        );
        let limit = |side, amount: &str, kind| {
            let found = book.limit(side, amount.parse().unwrap(), kind);
            found.map(|price| price.to_string())
        };
        for (side, amount, price) in [
            (Side::Buy, "11", "0.55"), // 20 × 0.55, to the cent
            (Side::Buy, "11.000000000000000001", "0.6"),
            (Side::Buy, "17", "0.6"),
            (Side::Sell, "20.5", "0.45"),
            (Side::Sell, "20.51", "0.4"),
            (Side::Sell, "30.5", "0.4"),
        ] {
            assert_eq!(limit(side, amount, Fok), Ok(price.to_owned()), "{amount}");
            assert_eq!(limit(side, amount, Fak), Ok(price.to_owned()), "{amount}");
        }
        for (side, amount, worst) in [(Side::Buy, "17.01", "0.6"), (Side::Sell, "30.51", "0.4")] {
            let refusal = limit(side, amount, Fok).unwrap_err();
            assert!(matches!(refusal, OrderError::NoMatch(_)), "{refusal}");
            assert_eq!(limit(side, amount, Fak), Ok(worst.to_owned()));
        }
    }

    #[test]
    fn an_empty_side_matches_nobody() {
        for kind in [MarketOrderType::Fok, MarketOrderType::Fak] {
            for side in [Side::Buy, Side::Sell] {
                let found = book(&[], &[]).limit(side, "1".parse().unwrap(), kind);
                assert!(matches!(found, Err(OrderError::NoMatch(_))), "{found:?}");
            }
        }
    }

    #[test]
    fn a_book_in_another_order_or_of_another_token_is_not_used() {
        let token: TokenId = "12".parse().unwrap();
        assert!(book(&[("0.4", "1"), ("0.4", "1"), ("0.5", "1")], &[("0.6", "1")]).is_of(token));
        assert!(!book(&[("0.5", "1"), ("0.4", "1")], &[]).is_of(token));
        assert!(!book(&[], &[("0.6", "1"), ("0.7", "1")]).is_of(token));
        let other = json!({ "asset_id": "13", "bids": [], "asks": [] });
        let other: Book = serde_json::from_value(other).unwrap();
        assert!(!other.is_of(token) && other.is_of("13".parse().unwrap()));
    }

    #[test]
    fn sizes_of_any_length_are_counted_without_overflow() {
        let huge = "9".repeat(30);
        let book = book(&[("0.1", &huge)], &[("0.9", &huge), ("0.9", &huge)]);
        let amount: Decimal = huge.parse().unwrap();
        assert_eq!(
            book.limit(Side::Buy, amount, MarketOrderType::Fok)
                .unwrap()
                .to_string(),
            "0.9"
        );
        for wrong in [json!(0.5), json!("-1"), json!("1e3"), json!(null)] {
            let wrong = json!({ "bids": [{ "price": wrong, "size": "1" }], "asks": [] });
            assert!(serde_json::from_value::<Book>(wrong).is_err());
        }
    }
}
