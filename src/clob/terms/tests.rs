use serde_json::{Value, json};

use super::*;

fn agree(mut asked: Value, said: (&str, bool, u64)) -> Result<Terms, TermsError> {
    let mut request = json!({ "tokenID": "12", "side": "BUY", "amount": "1" });
    request
        .as_object_mut()
        .unwrap()
        .append(asked.as_object_mut().unwrap());
    let request: MarketOrderRequest = serde_json::from_value(request).unwrap();
    let said = VenueTerms {
        tick_size: Some(said.0.parse().unwrap()),
        neg_risk: Some(said.1),
        fee_rate_bps: Some(Whole(U256::from(said.2))),
    };
    Terms::agree(
        &request.given_terms(),
        request.version.or(DEFAULT_VERSION),
        &said,
    )
}

#[test]
fn the_market_says_what_the_caller_does_not() {
    let terms = agree(json!({ "version": 1 }), ("0.001", true, 30)).unwrap();
    assert_eq!(terms.tick_size.to_string(), "0.001");
    assert!(terms.neg_risk && terms.warnings.is_empty());
    assert_eq!(terms.fee_rate_bps, U256::from(30));
    let nothing = agree(json!({}), ("0.001", true, 30)).unwrap();
    assert_eq!(nothing.version, DEFAULT_VERSION);
}

#[test]
fn a_contradiction_names_both_and_a_coarser_tick_is_none() {
    for (asked, said, field) in [
        (
            json!({ "tickSize": "0.001" }),
            ("0.01", false, 0),
            "tickSize is 0.001",
        ),
        (
            json!({ "tickSize": "0.0025" }),
            ("0.005", false, 0),
            "tickSize is 0.0025",
        ),
        (
            json!({ "negRisk": true }),
            ("0.01", false, 0),
            "negRisk is true",
        ),
        (
            json!({ "feeRateBps": 0, "version": 1 }),
            ("0.01", false, 100),
            "feeRateBps is 0",
        ),
        (
            json!({ "feeRateBps": 7, "version": 1 }),
            ("0.01", false, 100),
            "feeRateBps is 7",
        ),
    ] {
        let refusal = agree(asked, said).unwrap_err().to_string();
        assert!(
            refusal.starts_with(field) && refusal.contains("at the CLOB"),
            "{refusal}"
        );
    }
    let coarse = agree(json!({ "tickSize": "0.1" }), ("0.01", false, 0)).unwrap();
    assert_eq!(coarse.tick_size.to_string(), "0.1");
}

#[test]
fn a_fee_where_there_is_none_is_replaced_and_said() {
    let asked = json!({ "feeRateBps": 7, "version": 1 });
    let terms = agree(asked, ("0.01", false, 0)).unwrap();
    assert_eq!(terms.fee_rate_bps, U256::ZERO);
    assert_eq!(terms.warnings[0].code, "fee-rate-replaced");
}
