//! Amounts that another client could have made of the same order.
//!
//! The official clients disagree on sizes and prices that doubles cannot hold, on prices off the grid
//! and on dollars with more than two decimals. What they make of them lies near: a hundredth of a
//! size, a tick, a last place.

use ruint::aliases::U256;

use super::super::amount::{TICKS, Tick};
use super::given::Fields;

/// 1 in units of 10⁻⁴, the finest price.
const ONE: u128 = 10_000;
/// A hundredth of a share or dollar, in base units.
const HUNDREDTH: u128 = 10_000;
/// Last places of an amount with 6, 5, 4 and 3 decimals.
const PLACES: [u128; 4] = [1, 10, 100, 1000];
/// How many last places large amounts are off; seen up to 8.
const FAR: u128 = 16;
/// Beyond this no order is real, and products stay within 128 bits.
const LARGEST: u128 = 1 << 100;

/// Maker and taker amount.
pub(super) type Pair = (U256, U256);

/// What the order exchanges, where it is an order for something.
pub(super) fn exchanged(fields: &Fields) -> Option<(u128, u128)> {
    let small = |it: U256| {
        u128::try_from(it)
            .ok()
            .filter(|it| (1..LARGEST).contains(it))
    };
    let (maker, taker) = (small(fields.maker_amount)?, small(fields.taker_amount)?);
    Some(if fields.is_buy() {
        (maker, taker)
    } else {
        (taker, maker)
    })
}

/// Pairs near the order's own, itself not among them.
pub(super) fn near(fields: &Fields, tick: Option<Tick>) -> Vec<Pair> {
    let mut pairs = vec![(U256::ZERO, U256::ZERO)];
    let Some((cash, shares)) = exchanged(fields) else {
        return pairs;
    };
    let mut add = |cash: u128, shares: u128| {
        let (cash, shares) = (U256::from(cash), U256::from(shares));
        let pair = if fields.is_buy() {
            (cash, shares)
        } else {
            (shares, cash)
        };
        if pair != (fields.maker_amount, fields.taker_amount) && !pairs.contains(&pair) {
            pairs.push(pair);
        }
    };
    let ticks: Vec<u128> = match tick {
        Some(tick) => vec![tick.units().into()],
        None => TICKS.iter().map(|it| it.units().into()).collect(),
    };
    for price in prices(cash, shares, &ticks) {
        // A size that lost or kept a hundredth, or was not cut.
        for size in [
            shares.saturating_sub(HUNDREDTH),
            shares,
            shares + HUNDREDTH,
            shares - shares % HUNDREDTH,
        ] {
            add(size * price / ONE, size);
            add(as_double(size * price, ONE), as_double(size, 1));
        }
        if !fields.is_buy() {
            continue;
        }
        // The same of dollars, and shares as each tick cuts them.
        for dollars in [
            cash.saturating_sub(HUNDREDTH),
            cash,
            cash + HUNDREDTH,
            cash - cash % HUNDREDTH,
        ] {
            for place in PLACES {
                let size = dollars * ONE / price;
                add(dollars, size - size % place);
            }
        }
    }
    for place in PLACES {
        for steps in 1..=FAR {
            let off = place * steps;
            add(cash + off, shares);
            add(cash.saturating_sub(off), shares);
            add(cash, shares + off);
            add(cash, shares.saturating_sub(off));
        }
    }
    pairs
}

/// Amounts of a market BUY whose dollars were not cut to two decimals, so many as there are.
pub(super) fn uncut(fields: &Fields, tick: Option<Tick>) -> Vec<Pair> {
    let Some((cash, shares)) = exchanged(fields) else {
        return Vec::new();
    };
    let Some(tick) = tick.filter(|_| fields.is_buy() && cash.is_multiple_of(HUNDREDTH)) else {
        return Vec::new();
    };
    let Some(price) = market_price(cash, shares, tick) else {
        return Vec::new();
    };
    let place = place(tick);
    (1..HUNDREDTH)
        .map(|more| {
            let dollars = cash + more;
            let size = dollars * ONE / price;
            (U256::from(dollars), U256::from(size - size % place))
        })
        .collect()
}

/// The double nearest to a quotient of at least 2⁵³, a tie to the even one, as all clients round; below
/// that its whole part.
fn as_double(dividend: u128, divisor: u128) -> u128 {
    let spacing = 1_u128 << (128 - (dividend / divisor).leading_zeros()).saturating_sub(53);
    if spacing == 1 {
        return dividend / divisor;
    }
    let step = divisor * spacing;
    let (below, rest) = (dividend / step, 2 * (dividend % step));
    let up = rest > step || rest == step && !below.is_multiple_of(2);
    (below + u128::from(up)) * spacing
}

/// The prices that the amounts may stand for: the nearest of each grid, and one tick around them.
fn prices(cash: u128, shares: u128, ticks: &[u128]) -> Vec<u128> {
    let mut prices = Vec::new();
    for tick in ticks {
        let below = cash * ONE / shares / tick * tick;
        for price in [
            below.saturating_sub(*tick),
            below,
            below + tick,
            below + 2 * tick,
        ] {
            if (1..ONE).contains(&price) && !prices.contains(&price) {
                prices.push(price);
            }
        }
    }
    prices
}

/// The last place of a taker amount at this tick: price decimals and two more.
fn place(tick: Tick) -> u128 {
    match tick.units() {
        1000 => 1000,
        100 => 100,
        50 | 10 => 10,
        _ => 1,
    }
}

/// The price on the grid of which a market BUY's shares are the official result.
fn market_price(cash: u128, shares: u128, tick: Tick) -> Option<u128> {
    let place = place(tick);
    prices(cash, shares, &[tick.units().into()])
        .into_iter()
        .find(|price| {
            let size = cash * ONE / price;
            size - size % place == shares
        })
}

/// What is wrong with the price that the amounts imply, if it cannot be one of the market's.
/// `rests` is whether the order can stay in the book, where that is known.
pub(super) fn off_tick(fields: &Fields, tick: Tick, rests: Option<bool>) -> Option<String> {
    let (cash, shares) = exchanged(fields)?;
    let units: u128 = tick.units().into();
    let price = cash * ONE / shares;
    let exact = (cash * ONE).is_multiple_of(shares) && price.is_multiple_of(units);
    if exact && (units..=ONE - units).contains(&price) {
        return None;
    }
    let market = fields.is_buy() && rests != Some(true);
    let within = |it: u128| (units..=ONE - units).contains(&it);
    if market && market_price(cash, shares, tick).is_some_and(within) {
        return None;
    }
    // A market SELL's cash is exact as a limit order's is.
    let millionths = cash * 1_000_000 / shares;
    Some(format!(
        "the amounts imply a price of {}.{:06}{}, and the market's are the multiples of {tick} below 1",
        millionths / 1_000_000,
        millionths % 1_000_000,
        if (cash * 1_000_000).is_multiple_of(shares) {
            ""
        } else {
            "…"
        },
    ))
}

/// Whether the amounts have more decimals than these, of the maker's and of the taker's.
pub(super) fn too_fine(fields: &Fields, (maker, taker): (u32, u32)) -> bool {
    let rest = |it: U256, decimals: u32| {
        let places = 6_u32.saturating_sub(decimals);
        it % U256::from(10_u64.pow(places)) != U256::ZERO
    };
    rest(fields.maker_amount, maker) || rest(fields.taker_amount, taker)
}

/// All integers that a reader with doubles takes for `salt`; few enough to try below 2⁶⁴.
pub(super) fn same_double(salt: U256) -> Option<std::ops::RangeInclusive<u64>> {
    let salt = u64::try_from(salt).ok().filter(|it| *it > 1 << 53)?;
    // Doubles of this size are so far apart.
    let spacing = 1_u64 << (11 - salt.leading_zeros().min(11));
    let half = spacing / 2;
    let below = salt - salt % spacing;
    let nearest = if salt - below > half {
        below.checked_add(spacing)?
    } else {
        below
    };
    Some(nearest - half..=nearest.saturating_add(half))
}

#[cfg(test)]
mod tests;
