use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn limit(price: &str, size: &str, tick: &str) -> Result<Amounts, OrderError> {
    Amounts::of_limit(decimal(price), decimal(size), tick.parse().unwrap())
}

#[test]
fn a_decimal_is_digits_and_perhaps_a_point_and_digits() {
    let longest = format!("{}.{}", "9".repeat(30), "9".repeat(18));
    for text in ["0", "10", "0.5", "0.000000000000000001", &longest] {
        assert_eq!(decimal(text).to_string(), text);
    }
    assert_eq!(decimal("007.50").to_string(), "7.5");
    let too_long = "1".repeat(31);
    let too_fine = format!("0.{}", "1".repeat(19));
    for text in [
        "", ".", ".5", "5.", "-1", "+1", "1e3", "NaN", "Infinity", " 1", "1 ", "1.2.3", "1,5",
        "0x10", "١", &too_long, &too_fine,
    ] {
        assert_eq!(text.parse::<Decimal>(), Err(NotADecimal), "{text}");
    }
}

#[test]
fn a_tick_is_one_of_six() {
    for text in ["0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001"] {
        assert_eq!(text.parse::<Tick>().unwrap().to_string(), text);
    }
    for text in ["0", "1", "0.05", "0.00001", "0.1e0", "", "1.01"] {
        assert_eq!(text.parse::<Tick>(), Err(NotATick), "{text}");
    }
}

#[test]
fn a_price_lies_on_the_grid_within_one_tick_of_0_and_1() {
    for (tick, good, outside, between) in [
        ("0.1", ["0.1", "0.9"], ["0.09", "0.91"], ["0.15", "0.65"]),
        (
            "0.01",
            ["0.01", "0.99"],
            ["0.009", "0.991"],
            ["0.555", "0.50000000000000001"],
        ),
        (
            "0.005",
            ["0.005", "0.995"],
            ["0.001", "0.999"],
            ["0.661", "0.0051"],
        ),
        (
            "0.0025",
            ["0.0025", "0.9975"],
            ["0.002", "0.998"],
            ["0.7801", "0.9974"],
        ),
        (
            "0.001",
            ["0.001", "0.999"],
            ["0.0009", "1"],
            ["0.2705", "0.9985"],
        ),
        (
            "0.0001",
            ["0.0001", "0.9999"],
            ["0", "1.5"],
            ["0.016101", "0.00015"],
        ),
    ] {
        for price in good {
            assert!(limit(price, "1", tick).is_ok(), "{price} at {tick}");
        }
        for price in outside {
            let refusal = limit(price, "1", tick).unwrap_err();
            assert!(
                matches!(refusal, OrderError::PriceOutOfRange { .. }),
                "{price} at {tick}"
            );
        }
        for price in between {
            let refusal = limit(price, "1", tick).unwrap_err();
            assert!(
                matches!(refusal, OrderError::PriceOffGrid { .. }),
                "{price} at {tick}"
            );
        }
    }
    assert!(
        limit("0.5000000", "1", "0.1").is_ok(),
        "zeros change nothing"
    );
}

#[test]
fn a_price_off_the_grid_is_told_its_neighbours() {
    let refusal = limit("0.555", "10", "0.01").unwrap_err().to_string();
    assert!(refusal.contains("0.55 or 0.56"), "{refusal}");
}

#[test]
fn a_size_is_cut_to_two_decimals_and_says_so() {
    let cut = limit("0.5", "10.129", "0.01").unwrap();
    assert_eq!(cut.shares, U256::from(10_120_000));
    assert_eq!(cut.cash, U256::from(5_060_000));
    assert_eq!(cut.cut_to, Some(decimal("10.12")));
    assert_eq!(limit("0.5", "10.120", "0.01").unwrap().cut_to, None);
    for size in ["0", "0.001", "0.00999999"] {
        let refusal = limit("0.5", size, "0.01").unwrap_err();
        assert!(matches!(refusal, OrderError::NothingLeft { .. }), "{size}");
    }
}

#[test]
fn the_largest_size_is_exact() {
    let size = "9".repeat(30);
    let largest = limit("0.9999", &format!("{size}.99"), "0.0001").unwrap();
    // (10³² − 1)·10⁴ and (10³² − 1)·9999.
    assert_eq!(
        largest.shares.to_string(),
        format!("{}0000", "9".repeat(32))
    );
    assert_eq!(
        largest.cash.to_string(),
        format!("9998{}0001", "9".repeat(28))
    );
}

#[test]
fn a_buy_gives_cash_and_a_sale_gives_shares() {
    let amounts = limit("0.2", "158.92", "0.1").unwrap();
    let (cash, shares) = (U256::from(31_784_000), U256::from(158_920_000));
    assert_eq!(
        (amounts.maker(Side::Buy), amounts.taker(Side::Buy)),
        (cash, shares)
    );
    assert_eq!(
        (amounts.maker(Side::Sell), amounts.taker(Side::Sell)),
        (shares, cash)
    );
}

/// `SplitMix64`: numbers that look random and are the same every time.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `digits` (of the number without its point) as an integer scaled to 18 decimals.
fn scaled(text: &str) -> U256 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    U256::from_str_radix(&format!("{whole}{fraction:0<18}"), 10).unwrap()
}

#[test]
fn amounts_equal_the_rational_evaluation_and_never_cost_more_than_the_limit() {
    let mut state = 20_260_428;
    let e18 = U256::from(10).pow(U256::from(18));
    for _ in 0..20_000 {
        let tick = TICKS[usize::try_from(next(&mut state) % 6).unwrap()];
        let price = price(tick.0 * (1 + next(&mut state) % (ONE / tick.0 - 1))).to_string();
        let whole = next(&mut state) >> (next(&mut state) % 64);
        let fraction = next(&mut state) % 1_000_000_000;
        let size = match next(&mut state) % 3 {
            0 => format!("{whole}"),
            1 => format!("{whole}.{:02}", fraction % 100),
            _ => format!("{whole}.{fraction:09}"),
        };
        let case = format!("{size} at {price}, tick {tick}");
        let amounts = match limit(&price, &size, &tick.to_string()) {
            Ok(amounts) => amounts,
            Err(OrderError::NothingLeft { .. }) => {
                assert!(scaled(&size) < e18 / U256::from(100), "{case}");
                continue;
            }
            Err(refusal) => panic!("{case}: {refusal}"),
        };

        let lot = U256::from(SIZE_UNIT);
        let cut = scaled(&size) / lot * lot;
        let micro = U256::from(1_000_000);
        assert_eq!(amounts.shares * e18, cut * micro, "{case}");
        assert_eq!(
            amounts.cash * e18 * e18,
            cut * scaled(&price) * micro,
            "{case}"
        );
        assert_eq!(amounts.cut_to.is_some(), cut != scaled(&size), "{case}");
        // cash ÷ shares ≤ limit
        assert!(
            amounts.cash * e18 <= amounts.shares * scaled(&price),
            "{case}"
        );
    }
}

fn market(side: Side, price: &str, amount: &str, tick: &str) -> Result<Amounts, OrderError> {
    Amounts::of_market(side, decimal(price), decimal(amount), tick.parse().unwrap())
}

#[test]
fn a_market_price_is_checked_as_given_and_then_rounded_down() {
    for side in [Side::Buy, Side::Sell] {
        for (price, tick, used) in [
            ("0.58", "0.01", "0.58"), // 0.58 × 100 is less than 58 in doubles
            ("0.589", "0.01", "0.58"),
            ("0.4172", "0.1", "0.4"),
            ("0.6649", "0.005", "0.66"),
            ("0.99", "0.01", "0.99"),
        ] {
            let amounts = market(side, price, "10", tick).unwrap();
            assert_eq!(amounts.price, decimal(used), "{price} at {tick}");
        }
        for (price, tick) in [
            ("0.995", "0.01"),
            ("0.009", "0.01"),
            ("1", "0.1"),
            ("0", "0.1"),
        ] {
            let refusal = market(side, price, "10", tick).unwrap_err();
            assert!(
                matches!(refusal, OrderError::PriceOutOfRange { .. }),
                "{price}"
            );
        }
        for amount in ["0", "0.009"] {
            let refusal = market(side, "0.5", amount, "0.01").unwrap_err();
            assert!(
                matches!(refusal, OrderError::NothingLeft { .. }),
                "{amount}"
            );
        }
    }
}

#[test]
fn a_market_buy_takes_shares_of_two_decimals_more_than_its_price() {
    for (tick, shares) in [
        ("0.1", 333_333_000),
        ("0.01", 333_333_300),
        ("0.005", 333_333_330),
        ("0.0025", 333_333_333),
        ("0.001", 333_333_330),
        ("0.0001", 333_333_333),
    ] {
        let amounts = market(Side::Buy, "0.3", "100", tick).unwrap();
        assert_eq!(amounts.cash, U256::from(100_000_000));
        assert_eq!(amounts.shares, U256::from(shares), "tick {tick}");
    }
}

#[test]
fn the_largest_market_order_is_exact() {
    let amount = format!("{}.99", "9".repeat(30));
    let largest = market(Side::Buy, "0.0001", &amount, "0.0001").unwrap();
    assert_eq!(
        largest.shares.to_string(),
        format!("{}{}", "9".repeat(32), "0".repeat(8))
    );
}

#[test]
fn a_market_order_never_trades_above_its_limit_and_loses_less_than_one_unit() {
    let mut state = 20_260_921;
    let e18 = U256::from(10).pow(U256::from(18));
    let micro = U256::from(1_000_000);
    for _ in 0..20_000 {
        let tick = TICKS[usize::try_from(next(&mut state) % 6).unwrap()];
        let on_grid = price(tick.0 * (1 + next(&mut state) % (ONE / tick.0 - 1)));
        // Half of the limits lie between two steps, or they are the highest price.
        let limit = if next(&mut state).is_multiple_of(2) && on_grid < price(ONE - tick.0) {
            format!(
                "0.{:018}",
                on_grid.fraction + 1 + next(&mut state) % (tick.0 * PRICE_UNIT - 1)
            )
        } else {
            on_grid.to_string()
        };
        let whole = next(&mut state) >> (next(&mut state) % 64);
        let amount = match next(&mut state) % 3 {
            0 => format!("{whole}.{:02}", next(&mut state) % 100),
            _ => format!("{whole}.{:09}", next(&mut state) % 1_000_000_000),
        };
        let side = if next(&mut state).is_multiple_of(2) {
            Side::Buy
        } else {
            Side::Sell
        };
        let case = format!("{side:?} {amount} at {limit}, tick {tick}");
        let amounts = match market(side, &limit, &amount, &tick.to_string()) {
            Ok(amounts) => amounts,
            Err(OrderError::NothingLeft { .. }) => continue,
            Err(refusal) => panic!("{case}: {refusal}"),
        };

        assert_eq!(amounts.price, on_grid, "{case}");
        let used = scaled(&on_grid.to_string());
        let lot = U256::from(SIZE_UNIT);
        let given = scaled(&amount) / lot * lot * micro; // base units of 10⁻¹⁸
        match side {
            Side::Buy => {
                assert_eq!(amounts.cash * e18, given, "{case}");
                // Shares are rounded down, by less than a unit, so that cash ÷ shares reaches the
                // limit and stays below the next step: in ticks it is the limit, never more.
                let unit = U256::from(tick.share_unit());
                assert!(amounts.shares % unit == U256::ZERO, "{case}");
                let bought = amounts.cash * e18;
                assert!(amounts.shares * used <= bought, "{case}: rounded up");
                assert!(
                    (amounts.shares + unit) * used > bought,
                    "{case}: lost a unit"
                );
            }
            Side::Sell => {
                assert_eq!(amounts.shares * e18, given, "{case}");
                assert_eq!(amounts.cash * e18, amounts.shares * used, "{case}");
            }
        }
    }
}
