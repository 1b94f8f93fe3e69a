//! From price and size to base units, in integers. No float comes near.
//!
//! # Why
//! Every tick is a multiple of 0.0001, and sizes have two decimals. So a price is P·10⁻⁴, a size is
//! S·10⁻², and the cash in base units of 10⁻⁶ is simply P·S: exact for every tick, with none of the
//! rounding that the official clients need around doubles. Only the shares of a market BUY are a
//! quotient. They are rounded down, for more would cost less each than the limit says: an order that
//! never matches.
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
/// 1 in units of 10⁻¹⁸.
const FRACTION_UNIT: u64 = 1_000_000_000_000_000_000;

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
    /// Whole units of 10⁻², the rest cut off, and what is left where something was.
    fn hundredths(self) -> (u128, Option<Self>) {
        let hundredths = self
            .whole
            .checked_mul(100)
            .and_then(|whole| whole.checked_add((self.fraction / SIZE_UNIT).into()))
            .expect("32 digits fit in 128 bits");
        let cut = self.fraction % SIZE_UNIT;
        let left = Self {
            fraction: self.fraction.saturating_sub(cut),
            ..self
        };
        (hundredths, (cut != 0).then_some(left))
    }

    /// In units of 10⁻¹⁸, below 10⁴⁸.
    fn scaled(self) -> U256 {
        U256::from(self.whole)
            .checked_mul(U256::from(FRACTION_UNIT))
            .and_then(|whole| whole.checked_add(U256::from(self.fraction)))
            .expect("48 digits fit in 256 bits")
    }

    /// In base units of 10⁻⁶, the rest cut off.
    pub fn base_units(self) -> U256 {
        let base_unit = U256::from(1_000_000_000_000_u64);
        self.scaled().checked_div(base_unit).unwrap_or_default()
    }

    /// So many base units of 10⁻⁶, which fit: none where they do not.
    pub(super) fn of_base_units(units: U256) -> Option<Self> {
        let units = u128::try_from(units).ok()?;
        let whole = units.checked_div(1_000_000)?;
        let fraction = u64::try_from(units.checked_rem(1_000_000)?).ok()?;
        Some(Self {
            whole,
            fraction: fraction.checked_mul(1_000_000_000_000)?,
        })
    }

    /// A price as a market's grid has it, the next multiple of the tick below: in units of 10⁻⁴.
    pub(super) fn grid_units(self, tick: Tick) -> Result<u64, OrderError> {
        down_to_the_grid(self, tick)
    }

    /// The whole number that it is, if it is one.
    pub(super) fn integer(self) -> Option<u64> {
        u64::try_from(self.whole)
            .ok()
            .filter(|_| self.fraction == 0)
    }

    /// Whether nobody has as much, of dollars or of shares: of both there are fewer than 10¹².
    pub(super) fn is_absurd(self) -> bool {
        self.whole >= ABSURD
    }

    /// Whether it is 0.
    pub fn is_zero(self) -> bool {
        self.whole == 0 && self.fraction == 0
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

/// More dollars or shares than there are: a hundred times what there is of USDC.
const ABSURD: u128 = 10_u128.pow(12);

/// The same in base units of 10⁻⁶, as orders have it.
pub(super) const ABSURD_UNITS: u64 = 10_u64.pow(18);

/// Units of 10⁻⁴, the finest price that any tick allows.
const PRICE_UNIT: u64 = 100_000_000_000_000;
/// 1 in units of 10⁻⁴.
const ONE: u64 = 10_000;
/// Units of 10⁻², the finest size.
const SIZE_UNIT: u64 = 10_000_000_000_000_000;
/// Base units of a hundredth of a share or of cash.
const BASE_UNITS: u64 = 10_000;
/// Amounts in base units are multiples of these where they have so few decimals.
const TWO_DECIMALS: u64 = 10_000;
const FOUR_DECIMALS: u64 = 100;
/// A hundredth by a unit of price, in base units: 10⁻² ÷ 10⁻⁴ ÷ 10⁻⁶.
const QUOTIENT_UNITS: u64 = 100_000_000;

/// The steps a market's price moves in, `tickSize`, in units of 10⁻⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Tick {
    /// What the shares of a market BUY are a multiple of, in base units. The venue's rules give them
    /// two decimals more than a price of this tick has.
    fn share_unit(self) -> u64 {
        [1000, 100, 10]
            .into_iter()
            .find(|unit| self.0.is_multiple_of(*unit))
            .unwrap_or(1)
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
    /// The size or amount used, where the one given had more than two decimals.
    pub cut_to: Option<Decimal>,
    /// The limit used: cash per share.
    pub price: Decimal,
}

impl Amounts {
    /// What a limit order of `size` at `price` exchanges: the size cut to two decimals, the cash exact.
    pub fn of_limit(price: Decimal, size: Decimal, tick: Tick) -> Result<Self, OrderError> {
        let units = on_the_grid(price, tick)?;
        let (hundredths, cut_to) = size.hundredths();
        if hundredths == 0 {
            return Err(OrderError::NothingLeft {
                field: "size",
                given: size,
            });
        }
        Ok(Self {
            cash: product(hundredths, units),
            shares: product(hundredths, BASE_UNITS),
            cut_to,
            price,
        })
    }

    /// What a market order exchanges at worst: `amount` of cash for a BUY, of shares for a SELL, cut to
    /// two decimals, at `limit` or, where that is off the grid, the next price below.
    pub fn of_market(
        side: Side,
        limit: Decimal,
        amount: Decimal,
        tick: Tick,
    ) -> Result<Self, OrderError> {
        let units = down_to_the_grid(limit, tick)?;
        let (hundredths, cut_to) = amount.hundredths();
        if hundredths == 0 {
            return Err(OrderError::NothingLeft {
                field: "amount",
                given: amount,
            });
        }
        let (cash, shares) = match side {
            Side::Buy => (
                product(hundredths, BASE_UNITS),
                quotient(hundredths, units, tick.share_unit()),
            ),
            Side::Sell => (product(hundredths, units), product(hundredths, BASE_UNITS)),
        };
        Ok(Self {
            cash,
            shares,
            cut_to,
            price: price(units),
        })
    }

    /// What the venue is known to refuse in an order that has to fill at once, at any tick: more than
    /// two decimals in what the maker gives, more than four in what they take.
    pub fn too_fine_to_fill(&self, side: Side) -> Option<&'static str> {
        let fits =
            |amount: U256, unit: u64| amount.checked_rem(U256::from(unit)) == Some(U256::ZERO);
        match (
            fits(self.maker(side), TWO_DECIMALS),
            fits(self.taker(side), FOUR_DECIMALS),
        ) {
            (true, true) => None,
            (false, true) => Some("makerAmount has more than two decimals"),
            (true, false) => Some("takerAmount has more than four decimals"),
            (false, false) => {
                Some("makerAmount has more than two decimals and takerAmount more than four")
            }
        }
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

/// The shares that so many hundredths of cash buy at a price of so many units, rounded down to a
/// multiple of `unit`: at most 10³² × 10⁸.
fn quotient(hundredths: u128, units: u64, unit: u64) -> U256 {
    let step = U256::from(unit);
    U256::from(hundredths)
        .checked_mul(U256::from(QUOTIENT_UNITS))
        .zip(U256::from(units).checked_mul(step))
        .and_then(|(cash, price)| cash.checked_div(price))
        .and_then(|steps| steps.checked_mul(step))
        .expect("40 digits fit in 256 bits, and no price is 0")
}

/// The price in units of 10⁻⁴: a multiple of the tick within [tick, 1 − tick].
///
/// The decimal clients refuse what is off the grid, also at the ticks 0.005 and 0.0025, which have
/// finer decimals than multiples; the others round it, so the trader gets a price they did not name.
fn on_the_grid(given: Decimal, tick: Tick) -> Result<u64, OrderError> {
    let below = down_to_the_grid(given, tick)?;
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

/// The next multiple of the tick at or below a price within [tick, 1 − tick], in units of 10⁻⁴. What
/// lies outside is refused as it was given: 0.995 is no price at tick 0.01.
fn down_to_the_grid(given: Decimal, tick: Tick) -> Result<u64, OrderError> {
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
    Ok(steps.saturating_mul(tick.0))
}

/// A price of so many units of 10⁻⁴, below 1.
fn price(units: u64) -> Decimal {
    Decimal {
        whole: 0,
        fraction: units.saturating_mul(PRICE_UNIT),
    }
}

/// Walks levels, best first, until they hold `amount`: cash for a BUY, shares for a SELL. The price of
/// the last level that is needed, and none where all of them are too little.
pub(super) fn price_to_fill(
    side: Side,
    amount: Decimal,
    levels: impl Iterator<Item = (Decimal, Decimal)>,
) -> Option<Decimal> {
    // Both sides of the comparison in units of 10⁻³⁶.
    let one = U256::from(FRACTION_UNIT);
    let wanted = amount.scaled().checked_mul(one)?;
    let mut held = U256::ZERO;
    for (price, size) in levels {
        let per_share = match side {
            Side::Buy => price.scaled(),
            Side::Sell => one,
        };
        // Sizes are the venue's word; more than fits is more than enough.
        held = held.saturating_add(size.scaled().saturating_mul(per_share));
        if held >= wanted {
            return Some(price);
        }
    }
    None
}

#[cfg(test)]
mod tests;
