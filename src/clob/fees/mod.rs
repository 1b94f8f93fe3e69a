//! What a market order to BUY costs beside its amount, and the largest amount that a budget leaves.
//!
//! The venue takes `shares × rate × (price × (1 − price))^exponent` of a taker, and a builder their
//! share of the cash. The official clients cut the amount so that both fit into what the trader will
//! spend, computed at the limit: a better price buys more shares, whose fee can be higher.

use ruint::aliases::U256;

use super::OrderError;
use super::amount::{Decimal, Tick};

/// The highest exponent that is believed; the venue has 0 to 2.
const HIGHEST_EXPONENT: u64 = 3;

/// Units of a rate: 10⁻⁹.
const RATE_UNITS: u64 = 1_000_000_000;

/// Units of a price, 10⁻⁴, and basis points of a builder's share.
const TEN_THOUSAND: u64 = 10_000;

/// What the venue and a builder take of a taker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakerFees {
    /// In units of 10⁻⁹.
    rate: u64,
    exponent: u64,
    /// In basis points.
    builder_bps: u64,
}

impl TakerFees {
    /// A market without fees.
    pub const NONE: Self = Self {
        rate: 0,
        exponent: 0,
        builder_bps: 0,
    };

    /// The fees of a market, where they are fees: `rate` below 1, `exponent` 0 to 3.
    pub fn of_market(rate: Decimal, exponent: Decimal) -> Option<Self> {
        let rate = u64::try_from(rate.base_units()).ok()?.checked_mul(1_000)?;
        let exponent = exponent.integer().filter(|it| *it <= HIGHEST_EXPONENT)?;
        (rate < RATE_UNITS).then_some(Self {
            rate,
            exponent,
            builder_bps: 0,
        })
    }

    /// The same with a builder's share, where it is one.
    pub fn with_builder(self, builder_bps: u64) -> Option<Self> {
        (builder_bps < TEN_THOUSAND).then_some(Self {
            builder_bps,
            ..self
        })
    }

    /// The amount that leaves room for its fees within `most`, at the next price of the grid below:
    /// rounded down to base units, and no more than was asked for.
    pub(super) fn affordable(
        self,
        amount: Decimal,
        most: Decimal,
        price: Decimal,
        tick: Tick,
    ) -> Result<Decimal, OrderError> {
        let price = price.grid_units(tick)?;
        let too_large = || OrderError::SpendTooLarge(most);
        // Everything over one denominator: rate, price and basis points have 9, 4 and 4 decimals.
        let power = |base: u64| U256::from(base).checked_pow(U256::from(self.exponent));
        let whole = power(TEN_THOUSAND * TEN_THOUSAND)
            .and_then(|it| it.checked_mul(U256::from(RATE_UNITS)))
            .and_then(|it| it.checked_mul(U256::from(price)))
            .and_then(|it| it.checked_mul(U256::from(TEN_THOUSAND)));
        let platform = power(price * (TEN_THOUSAND - price))
            .and_then(|it| it.checked_mul(U256::from(self.rate)))
            .and_then(|it| it.checked_mul(U256::from(TEN_THOUSAND * TEN_THOUSAND)));
        let (Some(whole), Some(platform)) = (whole, platform) else {
            return Err(too_large());
        };
        let builder = whole / U256::from(TEN_THOUSAND) * U256::from(self.builder_bps);
        let per_dollar = whole + platform + builder;
        let affordable = most.base_units().checked_mul(whole).ok_or_else(too_large)? / per_dollar;
        let affordable = Decimal::of_base_units(affordable).ok_or_else(too_large)?;
        Ok(affordable.min(amount))
    }
}

#[cfg(test)]
mod tests;
