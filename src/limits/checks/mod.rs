//! What needs no counter: decided on an order's own fields.

use ruint::aliases::U256;

use super::bounds::{Band, Collar};
use super::definition::Said;
use super::limited::{BookPrice, Limited, LimitedOrder};
use super::{Exceeded, Limits, Price, Scope, Side, Units};

impl Limits {
    /// Whether something keeps within those of these limits that need no counter; `now_ms` since 1970.
    pub(crate) fn check(
        &self,
        scope: &Scope,
        stake: &Limited,
        now_ms: i64,
    ) -> Result<(), Box<Exceeded>> {
        match stake {
            Limited::Order(order) => check(self.said(), scope, order, now_ms),
            Limited::Withdrawal(_, cash) => check_withdrawal(self.said(), scope, *cash),
            Limited::Nothing | Limited::L1Header(_) | Limited::Assertion | Limited::AccessToken => {
                Ok(())
            }
        }
    }

    /// How many seconds something is kept apart from the same request.
    pub(crate) fn apart_s(&self, stake: &Limited) -> u32 {
        match stake {
            Limited::Order(order) if !order.is_meant_again => {
                self.said().repeat_after_s.unwrap_or_default()
            }
            _ => 0,
        }
    }
}

/// Whether an order keeps within the limits of one thing; `now_ms` since 1970.
fn check(
    said: &Said,
    scope: &Scope,
    order: &LimitedOrder,
    now_ms: i64,
) -> Result<(), Box<Exceeded>> {
    let refused =
        |limit, value: String, asked: String| Err(Exceeded::new(limit, scope, value, asked));
    if said.token_ids_denied.contains(&order.token) {
        let value = "not this token".to_owned();
        return refused("token_ids_denied", value, order.token.to_string());
    }
    if let Some(allowed) = &said.token_ids_allowed
        && !allowed.contains(&order.token)
    {
        let value = format!("{} other tokens", allowed.len());
        return refused("token_ids_allowed", value, order.token.to_string());
    }
    if let Some(sides) = &said.sides
        && !sides.contains(&order.side)
    {
        let value: Vec<_> = sides.iter().map(|side| side.name()).collect();
        return refused("sides", value.join(", "), order.side.to_string());
    }
    if let Some(most) = said.order_notional
        && order.cash > U256::from(most.get())
    {
        return refused(
            "order_notional",
            most.get().to_string(),
            order.cash.to_string(),
        );
    }
    if let Some(band) = said.price
        && !band.has(order)
    {
        return refused("price", band.to_string(), order.price());
    }
    if let Some(collar) = &said.collar {
        collar.check(scope, order, now_ms)?;
    }
    check_expiration(said, scope, order, now_ms)?;
    if said.counts_notional() && order.cash > U256::from(Units::MOST) {
        let most = Units::MOST.to_string();
        return refused("order_notional", most, order.cash.to_string());
    }
    Ok(())
}

/// Whether what leaves a wallet keeps within the limits of one thing.
fn check_withdrawal(said: &Said, scope: &Scope, cash: U256) -> Result<(), Box<Exceeded>> {
    let is_counted = said.withdrawals_1h.is_some() || said.withdrawals_24h.is_some();
    let most = said
        .withdrawal
        .map(Units::get)
        .or(is_counted.then_some(Units::MOST));
    match most {
        Some(most) if cash > U256::from(most) => {
            let limit = "withdrawal";
            Err(Exceeded::new(
                limit,
                scope,
                most.to_string(),
                cash.to_string(),
            ))
        }
        _ => Ok(()),
    }
}

fn check_expiration(
    said: &Said,
    scope: &Scope,
    order: &LimitedOrder,
    now_ms: i64,
) -> Result<(), Box<Exceeded>> {
    let seconds = now_ms.div_euclid(1000);
    let ahead = |expiration: u64| i128::from(expiration) - i128::from(seconds);
    let bounds = [
        ("expiration_max_s", said.expiration_max_s, true),
        ("expiration_min_s", said.expiration_min_s, false),
    ];
    for (limit, bound, is_most) in bounds {
        let Some(bound) = bound else { continue };
        let asked = match order.expiration {
            Some(at) if is_most && ahead(at) > i128::from(bound) => ahead(at).to_string(),
            Some(at) if !is_most && ahead(at) < i128::from(bound) => ahead(at).to_string(),
            None if is_most && order.rests => "no expiration".to_owned(),
            _ => continue,
        };
        return Err(Exceeded::new(limit, scope, bound.to_string(), asked));
    }
    Ok(())
}

impl LimitedOrder {
    /// Cash per share, for people: to 6 decimals, rounded down.
    fn price(&self) -> String {
        let units = self
            .cash
            .saturating_mul(U256::from(Price::ONE))
            .checked_div(self.shares);
        let units = units.and_then(|it| u32::try_from(it).ok());
        let price = units.and_then(Price::of_units);
        price.map_or_else(|| "more than 1".to_owned(), |price| price.to_string())
    }
}

impl Band {
    fn has(self, order: &LimitedOrder) -> bool {
        let (cash, shares) = (order.cash, order.shares);
        !self.max.is_below(cash, shares) && !self.min.is_above(cash, shares)
    }
}

impl std::fmt::Display for Band {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

impl Collar {
    fn check(&self, scope: &Scope, order: &LimitedOrder, now_ms: i64) -> Result<(), Box<Exceeded>> {
        let limit = "collar";
        let seen = match order.book {
            BookPrice::Seen(price, at_ms)
                if (0..=i64::from(self.max_age_ms)).contains(&(now_ms - at_ms)) =>
            {
                Some(price)
            }
            BookPrice::Seen(..) | BookPrice::Absent => None,
        };
        let Some(best) = seen else {
            return match self.without_book {
                Some(band) if band.has(order) => Ok(()),
                Some(band) => {
                    let value = format!("{band}, for the book is not known");
                    Err(Exceeded::new(limit, scope, value, order.price()))
                }
                None => {
                    let value = format!(
                        "{} beyond the book, which is not known or older than {} ms",
                        self.beyond, self.max_age_ms
                    );
                    Err(Exceeded::new(limit, scope, value, order.price()))
                }
            };
        };
        let (cash, shares) = (order.cash, order.shares);
        let (bound, is_beyond) = match order.side {
            Side::Buy => {
                let most = best.plus(self.beyond);
                (format!("at most {most}"), most.is_below(cash, shares))
            }
            Side::Sell => {
                let least = best.minus(self.beyond);
                (format!("at least {least}"), least.is_above(cash, shares))
            }
        };
        if is_beyond {
            Err(Exceeded::new(limit, scope, bound, order.price()))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
