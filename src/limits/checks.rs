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
mod tests {
    use serde_json::{Value, json};

    use super::super::Token;
    use super::*;
    use crate::id::WalletId;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn price(text: &str) -> Price {
        Price::try_from(text.to_owned()).unwrap()
    }

    /// BUY 10 at 0.5 of token 12.
    fn order() -> LimitedOrder {
        LimitedOrder {
            wallet: WalletId::new(),
            token: Token(U256::from(12)),
            side: Side::Buy,
            cash: U256::from(5_000_000),
            shares: U256::from(10_000_000),
            expiration: None,
            rests: true,
            is_meant_again: false,
            book: BookPrice::Absent,
        }
    }

    fn refused(said: Value, order: &LimitedOrder) -> Option<Box<Exceeded>> {
        let limits: Limits = serde_json::from_value(said).unwrap();
        check(limits.said(), &Scope::Global, order, NOW_MS).err()
    }

    #[test]
    fn an_order_keeps_within_what_is_written_to_the_unit() {
        let buy = order();
        let sell = LimitedOrder {
            side: Side::Sell,
            ..order()
        };
        for (said, fits, not) in [
            (
                json!({ "order_notional": "5000000" }),
                &buy,
                "order_notional",
            ),
            (
                json!({ "price": { "min": "0.5", "max": "0.5" } }),
                &buy,
                "price",
            ),
            (json!({ "sides": ["BUY"] }), &buy, "sides"),
            (json!({ "sides": ["SELL"] }), &sell, "sides"),
            (
                json!({ "token_ids_allowed": ["12", "13"] }),
                &buy,
                "token_ids_allowed",
            ),
            (
                json!({ "token_ids_denied": ["13"] }),
                &buy,
                "token_ids_denied",
            ),
        ] {
            assert_eq!(refused(said.clone(), fits), None, "{said}");
            let other = LimitedOrder {
                cash: fits.cash + U256::ONE,
                token: Token(U256::from(if not == "token_ids_denied" { 13 } else { 14 })),
                side: if fits.side == Side::Buy {
                    Side::Sell
                } else {
                    Side::Buy
                },
                ..fits.clone()
            };
            let exceeded = refused(said, &other).unwrap();
            assert_eq!(exceeded.limit, not);
        }
        let low = LimitedOrder {
            cash: buy.cash - U256::ONE,
            ..order()
        };
        let said = json!({ "price": { "min": "0.5", "max": "0.6" } });
        assert_eq!(refused(said, &low).unwrap().asked, "0.499999");
        let huge = LimitedOrder {
            cash: U256::MAX,
            ..order()
        };
        assert!(refused(json!({ "notional_24h": "1" }), &huge).is_some());
    }

    #[test]
    fn a_collar_goes_by_the_other_side_of_a_fresh_book_and_refuses_without_one() {
        let strict = json!({ "collar": { "beyond": "0.02", "max_age_ms": 1000 } });
        let mut banded = strict.clone();
        banded["collar"]["without_book"] = json!({ "min": "0.4", "max": "0.6" });
        let with = |side, best: &str, age_ms| LimitedOrder {
            side,
            book: BookPrice::Seen(price(best), NOW_MS - age_ms),
            ..order()
        };
        for (order, fits) in [
            (with(Side::Buy, "0.48", 0), true),
            (with(Side::Buy, "0.479999", 0), false),
            (with(Side::Buy, "0.9", 1000), true),
            (with(Side::Sell, "0.52", 0), true),
            (with(Side::Sell, "0.520001", 0), false),
            (with(Side::Sell, "0.1", 0), true),
            (with(Side::Buy, "0.5", 1001), false), // stale
            (with(Side::Buy, "0.5", -1), false),   // from the future
            (order(), false),                      // absent
        ] {
            assert_eq!(refused(strict.clone(), &order).is_none(), fits, "{order:?}");
        }
        assert_eq!(refused(banded.clone(), &order()), None);
        let dear = LimitedOrder {
            cash: U256::from(6_000_001),
            ..order()
        };
        assert_eq!(refused(banded.clone(), &dear).unwrap().limit, "collar");
        // A book that is there binds, whatever the band says.
        assert!(refused(banded, &with(Side::Buy, "0.47", 0)).is_some());
    }

    #[test]
    fn an_expiration_is_within_its_bounds_and_an_order_that_rests_has_one() {
        let said = json!({ "expiration_min_s": 60, "expiration_max_s": 600 });
        let ends = |ahead: i64, rests| LimitedOrder {
            expiration: u64::try_from(NOW_MS / 1000 + ahead)
                .ok()
                .filter(|_| ahead != 0),
            rests,
            ..order()
        };
        for (order, refusal) in [
            (ends(60, true), None),
            (ends(600, true), None),
            (ends(59, true), Some("expiration_min_s")),
            (ends(-1, true), Some("expiration_min_s")),
            (ends(601, false), Some("expiration_max_s")),
            (ends(0, true), Some("expiration_max_s")),
            (ends(0, false), None),
        ] {
            let exceeded = refused(said.clone(), &order);
            assert_eq!(exceeded.map(|it| it.limit), refusal, "{order:?}");
        }
    }
}
