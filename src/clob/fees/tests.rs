use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Values as `adjust_buy_amount_for_fees` of the unified Python SDK (0.14.0) gives them.
#[test]
fn an_amount_is_cut_so_that_it_and_its_fees_fit() {
    for (rate, exponent, bps, amount, most, price, affordable) in [
        ("0", "0", 0, "50", "50", "0.5", "50"),
        ("0.25", "2", 0, "50", "100", "0.5", "50"), // the budget is large enough
        ("0.25", "2", 0, "50", "51.5625", "0.5", "50"), // just so
        ("0.25", "2", 0, "50", "50", "0.5", "48.484848"),
        ("0.25", "2", 100, "50", "50", "0.5", "48.019207"),
        ("0.05", "1", 0, "100", "100", "0.3", "96.618357"),
        ("0.05", "1", 0, "100", "40", "0.3", "38.647342"),
        ("0.0625", "1", 500, "1000", "1000", "0.99", "951.814396"),
    ] {
        let fees = TakerFees::of_market(decimal(rate), decimal(exponent)).unwrap();
        let fees = fees.with_builder(bps).unwrap();
        let tick = "0.01".parse().unwrap();
        let found = fees.affordable(decimal(amount), decimal(most), decimal(price), tick);
        assert_eq!(
            found.unwrap().to_string(),
            affordable,
            "{rate} {exponent} {bps} {most} {price}"
        );
    }
}

#[test]
fn what_is_no_fee_is_not_believed_and_no_number_is_too_large() {
    for (rate, exponent) in [
        ("1", "1"),
        ("0.1", "4"),
        ("0.1", "1.5"),
        ("99999999999999999999999999999", "1"),
    ] {
        assert_eq!(TakerFees::of_market(decimal(rate), decimal(exponent)), None);
    }
    assert_eq!(TakerFees::NONE.with_builder(10_000), None);
    let fees = TakerFees::of_market(decimal("0.999"), decimal("3")).unwrap();
    let fees = fees.with_builder(9_999).unwrap();
    let most = decimal("999999999999999999999999999999");
    let tick = "0.0001".parse().unwrap();
    let found = fees.affordable(most, most, decimal("0.0001"), tick);
    assert!(
        matches!(found, Ok(_) | Err(OrderError::SpendTooLarge(_))),
        "{found:?}"
    );
}
