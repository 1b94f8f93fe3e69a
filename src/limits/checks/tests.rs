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
