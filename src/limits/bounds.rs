//! Bounds of more than one number: of prices, and of what comes a second.

use std::num::NonZeroU32;

use super::{NotALimit, Price};

/// Prices from `min` to `max`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
#[schema(as = PriceBand)]
pub struct Band {
    /// The lowest.
    #[schema(value_type = String, example = "0.01")]
    pub min: Price,
    /// The highest.
    #[schema(value_type = String, example = "0.99")]
    pub max: Price,
}

/// How far a price may go beyond the best one on the other side of the book: above the lowest ask for BUY,
/// below the highest bid for SELL.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
#[schema(as = PriceCollar)]
pub struct Collar {
    /// So far.
    #[schema(value_type = String, example = "0.05")]
    pub beyond: Price,
    /// How old the book may be, in milliseconds, 100 to 60000.
    pub max_age_ms: u32,
    /// What holds where the book is absent or too old. Without it such an order is refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_book: Option<Band>,
}

/// So many a second, and so many at once.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// A second, 1 to 100000.
    #[schema(value_type = u32, minimum = 1, maximum = 100_000)]
    pub per_s: NonZeroU32,
    /// At once, 1 to 1000000.
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    pub burst: NonZeroU32,
}

impl Band {
    pub(super) fn is_within(self, other: Self) -> bool {
        self.min >= other.min && self.max <= other.max
    }

    pub(super) fn check(self, field: &'static str) -> Result<(), NotALimit> {
        let why = "min is above max";
        if self.min <= self.max {
            Ok(())
        } else {
            Err(NotALimit::Absurd { field, why })
        }
    }
}

impl Collar {
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let without = match (self.without_book, other.without_book) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(now), Some(then)) => now.is_within(then),
        };
        self.beyond <= other.beyond && self.max_age_ms <= other.max_age_ms && without
    }
}

impl Pace {
    const FASTEST: u32 = 100_000;
    const MOST_AT_ONCE: u32 = 1_000_000;

    pub(super) fn is_within(self, other: Self) -> bool {
        self.per_s <= other.per_s && self.burst <= other.burst
    }

    pub(super) fn check(self, field: &'static str) -> Result<(), NotALimit> {
        let why = "per_s is 1 to 100000, burst is 1 to 1000000";
        if self.per_s.get() <= Self::FASTEST && self.burst.get() <= Self::MOST_AT_ONCE {
            Ok(())
        } else {
            Err(NotALimit::Absurd { field, why })
        }
    }
}
