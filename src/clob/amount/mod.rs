//! From price and size to base units, in integers. No float comes near.
//!
//! # Why
//! Every tick is a multiple of 0.0001, and sizes have two decimals. So a price is P·10⁻⁴, a size is
//! S·10⁻², and the cash in base units of 10⁻⁶ is simply P·S: exact for every tick, with none of the
//! rounding that the official clients need around doubles.
#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::str::FromStr;

use ruint::aliases::U256;

use super::OrderError;

/// A decimal number as people write it: 1 to 30 digits, then perhaps a point and 1 to 18 more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal {
    /// Below 10³⁰.
    whole: u128,
    /// In units of 10⁻¹⁸, below 10¹⁸.
    fraction: u64,
}

/// Why a text is not a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a decimal number such as \"0.56\" is wanted: up to 30 digits, then perhaps a point and up to 18 more; no sign, no exponent"
)]
pub struct NotADecimal;

const FRACTION_DIGITS: usize = 18;

impl FromStr for Decimal {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let is_number = |digits: &str, most| {
            (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        };
        if !is_number(whole, 30) || !fraction.is_none_or(|it| is_number(it, FRACTION_DIGITS)) {
            return Err(NotADecimal);
        }
        let fraction = format!("{:0<FRACTION_DIGITS$}", fraction.unwrap_or_default());
        Ok(Self {
            whole: whole.parse().map_err(|_| NotADecimal)?,
            fraction: fraction.parse().map_err(|_| NotADecimal)?,
        })
    }
}

impl Decimal {
    /// Whole units of 10⁻², the rest cut off.
    fn hundredths(self) -> u128 {
        self.whole
            .checked_mul(100)
            .and_then(|whole| whole.checked_add((self.fraction / SIZE_UNIT).into()))
            .expect("32 digits fit in 128 bits")
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.whole)?;
        if self.fraction == 0 {
            return Ok(());
        }
        let digits = format!("{:0>FRACTION_DIGITS$}", self.fraction);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

/// Units of 10⁻⁴, the finest price that any tick allows.
const PRICE_UNIT: u64 = 100_000_000_000_000;
/// 1 in units of 10⁻⁴.
const ONE: u64 = 10_000;
/// Units of 10⁻², the finest size.
const SIZE_UNIT: u64 = 10_000_000_000_000_000;
/// Base units of a hundredth of a share.
const BASE_UNITS: u64 = 10_000;

/// The steps a market's price moves in, `tickSize`, in units of 10⁻⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick(u64);

/// All ticks that markets have, in units of 10⁻⁴.
pub(super) const TICKS: [Tick; 6] = [Tick(1000), Tick(100), Tick(50), Tick(25), Tick(10), Tick(1)];

impl Tick {
    /// In units of 10⁻⁴.
    pub(super) fn units(self) -> u64 {
        self.0
    }
}

/// Why a text is not a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a market's tick is one of 0.1, 0.01, 0.005, 0.0025, 0.001 and 0.0001, as text")]
pub struct NotATick;

impl FromStr for Tick {
    type Err = NotATick;

    fn from_str(text: &str) -> Result<Self, NotATick> {
        let given: Decimal = text.parse().map_err(|_| NotATick)?;
        TICKS
            .into_iter()
            .find(|tick| price(tick.0) == given)
            .ok_or(NotATick)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        price(self.0).fmt(f)
    }
}

/// `side`: what the maker does with the shares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    /// Gives cash, takes shares. 0 in the struct.
    Buy,
    /// Gives shares, takes cash. 1 in the struct.
    Sell,
}

impl Side {
    /// The number of the struct.
    pub fn number(self) -> u8 {
        match self {
            Self::Buy => 0,
            Self::Sell => 1,
        }
    }
}

/// What an order exchanges, in base units. Both have 6 decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// USDC or pUSD.
    pub cash: U256,
    /// Shares of the token.
    pub shares: U256,
    /// The size used, where the one given had more than two decimals.
    pub cut_to: Option<Decimal>,
}

impl Amounts {
    /// What a limit order of `size` at `price` exchanges: the size cut to two decimals, the cash exact.
    pub fn of_limit(price: Decimal, size: Decimal, tick: Tick) -> Result<Self, OrderError> {
        let price = on_the_grid(price, tick)?;
        let hundredths = size.hundredths();
        if hundredths == 0 {
            return Err(OrderError::NothingLeft { size });
        }
        let cut = size.fraction % SIZE_UNIT;
        Ok(Self {
            cash: product(hundredths, price),
            shares: product(hundredths, BASE_UNITS),
            cut_to: (cut != 0).then(|| Decimal {
                fraction: size.fraction.saturating_sub(cut),
                ..size
            }),
        })
    }

    /// `makerAmount`: what the maker gives.
    pub fn maker(&self, side: Side) -> U256 {
        match side {
            Side::Buy => self.cash,
            Side::Sell => self.shares,
        }
    }

    /// `takerAmount`: what the maker takes.
    pub fn taker(&self, side: Side) -> U256 {
        match side {
            Side::Buy => self.shares,
            Side::Sell => self.cash,
        }
    }
}

/// At most 10³² hundredths times at most 10⁴.
fn product(hundredths: u128, units: u64) -> U256 {
    hundredths
        .checked_mul(units.into())
        .map(U256::from)
        .expect("36 digits fit in 128 bits")
}

/// The price in units of 10⁻⁴: a multiple of the tick within [tick, 1 − tick].
///
/// The decimal clients refuse what is off the grid, also at the ticks 0.005 and 0.0025, which have
/// finer decimals than multiples; the others round it, so the trader gets a price they did not name.
fn on_the_grid(given: Decimal, tick: Tick) -> Result<u64, OrderError> {
    let highest = ONE.saturating_sub(tick.0);
    if given < price(tick.0) || given > price(highest) {
        return Err(OrderError::PriceOutOfRange {
            price: given,
            tick,
            highest: price(highest),
        });
    }
    // Below 1, so all of it is in the fraction.
    let units = given.fraction / PRICE_UNIT;
    let steps = units.checked_div(tick.0).expect("no tick is 0");
    let below = steps.saturating_mul(tick.0);
    if price(below) != given {
        return Err(OrderError::PriceOffGrid {
            price: given,
            tick,
            below: price(below),
            above: price(below.saturating_add(tick.0)),
        });
    }
    Ok(below)
}

/// A price of so many units of 10⁻⁴, below 1.
fn price(units: u64) -> Decimal {
    Decimal {
        whole: 0,
        fraction: units.saturating_mul(PRICE_UNIT),
    }
}

#[cfg(test)]
mod tests;
