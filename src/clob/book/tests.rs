use serde_json::{Value, json};

use super::*;

fn levels(levels: &[(&str, &str)]) -> Value {
    let level = |(price, size): &(&str, &str)| json!({ "price": price, "size": size });
    levels.iter().map(level).collect()
}

fn book(bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Book {
    serde_json::from_value(json!({ "bids": levels(bids), "asks": levels(asks) })).unwrap()
}

#[test]
fn the_walk_begins_at_the_last_level_and_ends_where_the_amount_is_reached() {
    use MarketOrderType::{Fak, Fok};
    let book = book(
        &[("0.40", "10"), ("0.45", "20.5")],
        &[("0.60", "10"), ("0.55", "20")],
    );
    let limit = |side, amount: &str, kind| {
        let found = book.limit(side, amount.parse().unwrap(), kind);
        found.map(|price| price.to_string())
    };
    for (side, amount, price) in [
        (Side::Buy, "11", "0.55"), // 20 × 0.55, to the cent
        (Side::Buy, "11.000000000000000001", "0.6"),
        (Side::Buy, "17", "0.6"),
        (Side::Sell, "20.5", "0.45"),
        (Side::Sell, "20.51", "0.4"),
        (Side::Sell, "30.5", "0.4"),
    ] {
        assert_eq!(limit(side, amount, Fok), Ok(price.to_owned()), "{amount}");
        assert_eq!(limit(side, amount, Fak), Ok(price.to_owned()), "{amount}");
    }
    for (side, amount, worst) in [(Side::Buy, "17.01", "0.6"), (Side::Sell, "30.51", "0.4")] {
        let refusal = limit(side, amount, Fok).unwrap_err();
        assert!(matches!(refusal, OrderError::NoMatch(_)), "{refusal}");
        assert_eq!(limit(side, amount, Fak), Ok(worst.to_owned()));
    }
}

#[test]
fn an_empty_side_matches_nobody() {
    for kind in [MarketOrderType::Fok, MarketOrderType::Fak] {
        for side in [Side::Buy, Side::Sell] {
            let found = book(&[], &[]).limit(side, "1".parse().unwrap(), kind);
            assert!(matches!(found, Err(OrderError::NoMatch(_))), "{found:?}");
        }
    }
}

#[test]
fn a_book_in_another_order_or_of_another_token_is_not_used() {
    let token: TokenId = "12".parse().unwrap();
    assert!(book(&[("0.4", "1"), ("0.4", "1"), ("0.5", "1")], &[("0.6", "1")]).is_of(token));
    assert!(!book(&[("0.5", "1"), ("0.4", "1")], &[]).is_of(token));
    assert!(!book(&[], &[("0.6", "1"), ("0.7", "1")]).is_of(token));
    let other = json!({ "asset_id": "13", "bids": [], "asks": [] });
    let other: Book = serde_json::from_value(other).unwrap();
    assert!(!other.is_of(token) && other.is_of("13".parse().unwrap()));
}

#[test]
fn sizes_of_any_length_are_counted_without_overflow() {
    let huge = "9".repeat(30);
    let book = book(&[("0.1", &huge)], &[("0.9", &huge), ("0.9", &huge)]);
    let amount: Decimal = huge.parse().unwrap();
    assert_eq!(
        book.limit(Side::Buy, amount, MarketOrderType::Fok)
            .unwrap()
            .to_string(),
        "0.9"
    );
    for wrong in [json!(0.5), json!("-1"), json!("1e3"), json!(null)] {
        let wrong = json!({ "bids": [{ "price": wrong, "size": "1" }], "asks": [] });
        assert!(serde_json::from_value::<Book>(wrong).is_err());
    }
}
