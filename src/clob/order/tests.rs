use serde_json::{Value, json};

use super::*;
use crate::clob::wallet::Chain;
use crate::clob::{MarketOrderRequest, Terms};
use crate::ethereum::Address;

const NOW: i64 = 1_700_000_000;
const KEY: Address = Address([1; 20]);
const WALLET: Address = Address([2; 20]);

fn profile(kind: SignatureType) -> Profile {
    let funder = (kind != SignatureType::Eoa).then_some(WALLET);
    Profile::new(Chain::Polygon, kind, KEY, funder, false).unwrap()
}

fn build_for(kind: SignatureType, changes: Value) -> Result<Order, OrderError> {
    let mut request = json!({
        "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992563",
        "side": "BUY", "price": "0.5", "size": "10", "tickSize": "0.01", "negRisk": false,
    });
    let Value::Object(changes) = changes else {
        panic!("changes are fields")
    };
    request.as_object_mut().unwrap().extend(changes);
    let request: OrderRequest = serde_json::from_value(request).unwrap();
    let terms = Terms::given(&request.given_terms()).unwrap();
    Order::build(&request, &terms, &profile(kind), 7, NOW * 1000, NOW)
}

fn build(changes: Value) -> Result<Order, OrderError> {
    build_for(SignatureType::Eoa, changes)
}

fn refusal(changes: Value) -> OrderError {
    build(changes).unwrap_err()
}

#[test]
fn auto_means_version_2_where_no_venue_is_asked() {
    assert_eq!(build(json!({})).unwrap().version(), Version::V2);
    assert_eq!(
        build(json!({"version": "auto"})).unwrap().version(),
        Version::V2
    );
    assert_eq!(build(json!({"version": 3})).unwrap().version(), Version::V3);
}

#[test]
fn a_field_of_another_version_is_refused_and_not_lost() {
    let zero = format!("0x{}", "0".repeat(64));
    for (version, field, value) in [
        (1, "metadata", json!(zero)),
        (1, "builderCode", json!(zero)),
        (2, "feeRateBps", json!(0)),
        (2, "nonce", json!("0")),
        (
            3,
            "taker",
            json!("0x0000000000000000000000000000000000000000"),
        ),
    ] {
        let refusal = refusal(json!({"version": version, field: value}));
        assert!(
            matches!(refusal, OrderError::NotInVersion { .. }),
            "{refusal}"
        );
        assert_eq!(refusal.field(), field);
    }
}

#[test]
fn what_nobody_has_is_not_offered() {
    for absurd in ["1000000000000", "1000000000000000000000000"] {
        let refused = refusal(json!({"size": absurd}));
        assert!(matches!(refused, OrderError::Absurd { .. }), "{refused}");
        assert_eq!(refused.field(), "size");
    }
    let all_there_is = build(json!({"size": "999999999999.99"})).unwrap();
    assert_eq!(all_there_is.shares().to_string(), "999999999999990000");
}

#[test]
fn only_gtd_has_an_expiration_and_it_lies_ahead() {
    assert_eq!(
        refusal(json!({"orderType": "GTD"})),
        OrderError::ExpirationMissing
    );
    assert_eq!(
        refusal(json!({"orderType": "GTD", "expiration": 0})),
        OrderError::ExpirationMissing
    );
    assert_eq!(
        refusal(json!({"orderType": "FOK", "expiration": NOW + 100})),
        OrderError::ExpirationUnexpected(OrderType::Fok)
    );
    assert!(matches!(
        refusal(json!({"orderType": "GTD", "expiration": NOW})),
        OrderError::ExpirationPast { .. }
    ));
    for soon in [NOW + 1, NOW + 60] {
        let refused = refusal(json!({"orderType": "GTD", "expiration": soon}));
        assert!(
            matches!(refused, OrderError::ExpirationTooSoon { .. }),
            "{refused}"
        );
    }
    let in_ms = refusal(json!({"orderType": "GTD", "expiration": (NOW + 3_600) * 1_000}));
    assert!(in_ms.to_string().contains("milliseconds"), "{in_ms}");
    let order = build(json!({"orderType": "GTD", "expiration": NOW + 61})).unwrap();
    assert_eq!(order.expiration(), Some(1_700_000_061));
    assert!(
        order
            .warnings()
            .iter()
            .any(|it| it.code == "expiration-soon")
    );
    let order = build(json!({"orderType": "GTD", "expiration": NOW + 180})).unwrap();
    assert!(
        order
            .warnings()
            .iter()
            .all(|it| it.code != "expiration-soon")
    );
}

#[test]
fn post_only_wants_an_order_that_rests() {
    for order_type in ["FOK", "FAK"] {
        let refusal = refusal(json!({"orderType": order_type, "postOnly": true}));
        assert!(matches!(refusal, OrderError::PostOnlyNeverRests(_)));
    }
    assert!(build(json!({"postOnly": true})).is_ok());
}

#[test]
fn a_deposit_wallet_has_no_version_1() {
    assert_eq!(
        build_for(SignatureType::Poly1271, json!({"version": 1})).unwrap_err(),
        OrderError::DepositWalletInV1
    );
    let order = build_for(SignatureType::Poly1271, json!({})).unwrap();
    assert_ne!(order.digest(), order.order_hash());
}

#[test]
fn the_salt_survives_a_reader_that_uses_doubles() {
    let request: OrderRequest = serde_json::from_value(json!({
        "tokenID": "1", "side": "SELL", "price": "0.5", "size": "10", "tickSize": "0.01",
        "negRisk": true,
    }))
    .unwrap();
    let terms = Terms::given(&request.given_terms()).unwrap();
    let build = |salt| {
        Order::build(
            &request,
            &terms,
            &profile(SignatureType::Eoa),
            salt,
            NOW * 1000,
            NOW,
        )
    };
    for salt in [0, 1 << 53, u64::MAX] {
        assert_eq!(build(salt).unwrap_err(), OrderError::SaltOutOfRange(salt));
    }
    for salt in [1, (1 << 53) - 1] {
        assert!(build(salt).is_ok());
    }
    let salts: std::collections::HashSet<u64> = (0..1000).map(|_| random_salt().unwrap()).collect();
    assert_eq!(salts.len(), 1000);
    assert!(salts.iter().all(|salt| (1..1 << 53).contains(salt)));
    assert!(
        salts.iter().any(|salt| *salt > 1 << 51),
        "all bits are used"
    );
}

#[test]
fn what_is_cut_or_doubtful_is_said() {
    let codes = |changes| -> Vec<&str> {
        let order = build(changes).unwrap();
        order.warnings().iter().map(|it| it.code).collect()
    };
    assert!(codes(json!({})).is_empty());
    assert_eq!(codes(json!({"size": "10.129"})), ["size-cut"]);
    assert_eq!(
        codes(json!({"tokenID": "1001"})),
        ["token-id-looks-like-v3"]
    );
    assert!(codes(json!({"tokenID": "1001", "version": 3})).is_empty());
    // 0.56 × 21.04 is 11.7824: fine while it rests, too fine to fill at once.
    let fine = json!({"price": "0.56", "size": "21.04"});
    assert!(codes(fine.clone()).is_empty());
    for now in ["FOK", "FAK"] {
        let mut fine = fine.clone();
        fine["orderType"] = json!(now);
        assert_eq!(codes(fine), ["amounts-too-fine"], "{now}");
        assert!(codes(json!({"orderType": now})).is_empty(), "{now}");
    }
}

fn market(changes: Value, price: &str) -> Result<Order, OrderError> {
    let mut request = json!({
        "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992563",
        "side": "BUY", "amount": "100", "tickSize": "0.01", "negRisk": false,
    });
    let Value::Object(changes) = changes else {
        panic!("changes are fields")
    };
    request.as_object_mut().unwrap().extend(changes);
    let request: MarketOrderRequest = serde_json::from_value(request).unwrap();
    let terms = Terms::given(&request.given_terms()).unwrap();
    let limit = Limit {
        price: price.parse().unwrap(),
        from: PriceFrom::Book,
    };
    let profile = profile(SignatureType::Eoa);
    Order::build_market(
        &request,
        limit,
        TakerFees::NONE,
        &terms,
        &profile,
        7,
        NOW * 1000,
    )
}

#[test]
fn a_market_order_says_its_limit_and_what_was_changed() {
    let order = market(json!({}), "0.5").unwrap();
    assert_eq!(order.record()["price"], "0.5");
    assert_eq!(order.record()["priceFrom"], "book");
    assert!(order.warnings().is_empty());

    let codes = |changes, price| -> Vec<&str> {
        let order = market(changes, price).unwrap();
        order.warnings().iter().map(|it| it.code).collect()
    };
    let rounded = market(json!({}), "0.509").unwrap();
    assert_eq!(rounded.record()["price"], "0.5");
    assert_eq!(codes(json!({}), "0.509"), ["price-rounded"]);
    assert_eq!(codes(json!({"amount": "100.001"}), "0.5"), ["amount-cut"]);
    let thirds = |tick| json!({"tickSize": tick});
    assert!(
        codes(thirds("0.01"), "0.3").is_empty(),
        "cut to four decimals"
    );
    assert_eq!(codes(thirds("0.001"), "0.3"), ["amounts-too-fine"]);
}

#[test]
fn the_same_cash_and_shares_change_hands_on_both_sides() {
    let (buy, sell) = (
        build(json!({})).unwrap(),
        build(json!({"side": "SELL"})).unwrap(),
    );
    assert_eq!(buy.contents().maker_amount, sell.contents().taker_amount);
    assert_eq!((buy.cash(), buy.shares()), (sell.cash(), sell.shares()));
    assert_eq!(buy.cash(), U256::from(5_000_000));
}

#[test]
fn the_record_holds_every_field() {
    let order = build(json!({"version": 1, "nonce": "5", "feeRateBps": 30})).unwrap();
    let record = order.record();
    assert_eq!(record["domain"]["chainId"], 137);
    assert_eq!(record["struct"]["nonce"], "5");
    assert_eq!(record["struct"]["feeRateBps"], "30");
    assert_eq!(record["struct"].as_object().unwrap().len(), 12);
    assert!(
        record.get("orderHash").is_none(),
        "it is the digest, which stands beside"
    );
}
