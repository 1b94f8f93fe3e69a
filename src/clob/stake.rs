//! What policies see of an order: what is signed, in their words.

use ruint::aliases::U256;

use super::amount::Side;
use super::contents::Contents;
use super::request::OrderType;
use super::{Order, SignatureType};
use crate::ethereum::Address;
use crate::policy::Stake;

/// Cash per share, in millionths.
const PRICE_UNIT: u64 = 1_000_000;

impl Order {
    /// What policies see of it. The price is what the amounts make of it, in millionths and rounded against
    /// the trader: up for a BUY, down for a SELL.
    pub fn stake(&self) -> Stake {
        let contents: &Contents = self.contents();
        let (cash, shares) = (self.cash(), self.shares());
        Stake::new()
            .word("side", side(contents.side))
            .number("price", price(contents.side, cash, shares))
            .number("size", shares)
            .number("notional", cash)
            .word("token_id", contents.token_id.0.to_string())
            .flag("neg_risk", self.exchange().neg_risk)
            .word("order_type", OrderType::name(self.order_type()))
            .number("expiration", self.expiration().unwrap_or(0))
            .flag("post_only", self.is_post_only())
            .code("version", u8::from(self.version()))
            .code(
                "signature_type",
                SignatureType::number(contents.signature_type),
            )
            .word("funder", funder(&contents.maker))
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// An address as policies have it.
pub(super) fn funder(address: &Address) -> String {
    format!("0x{}", hex::encode(address.0))
}

/// What does not fit is more than policies see. An order for no shares at a price is one of those.
fn price(side: Side, cash: U256, shares: U256) -> U256 {
    let Some(cash) = cash.checked_mul(U256::from(PRICE_UNIT)) else {
        return U256::MAX;
    };
    if shares == U256::ZERO {
        return U256::MAX;
    }
    let (price, rest) = cash.div_rem(shares);
    match side {
        Side::Buy if rest != U256::ZERO => price.saturating_add(U256::from(1)),
        Side::Buy | Side::Sell => price,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_against_the_trader_and_none_is_too_large_to_be_seen() {
        let of = |side, cash: u64, shares: u64| price(side, U256::from(cash), U256::from(shares));
        assert_eq!(of(Side::Buy, 560_000, 1_000_000), U256::from(560_000));
        assert_eq!(of(Side::Sell, 560_000, 1_000_000), U256::from(560_000));
        assert_eq!(of(Side::Buy, 1_000_000, 3_000_000), U256::from(333_334));
        assert_eq!(of(Side::Sell, 1_000_000, 3_000_000), U256::from(333_333));
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(of(side, 1, 0), U256::MAX);
            assert_eq!(price(side, U256::MAX, U256::from(1)), U256::MAX);
        }
    }
}
