use ruint::aliases::U256;
use serde_json::{Value, json};

use super::*;
use crate::clob::contracts::Version;

fn parse(changes: Value) -> Result<OrderRequest, String> {
    let mut request = json!({
        "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992563",
        "side": "BUY", "price": "0.5", "size": "10", "tickSize": "0.01", "negRisk": false,
    });
    let Value::Object(changes) = changes else {
        panic!("changes are fields")
    };
    request.as_object_mut().unwrap().extend(changes);
    // Through text, as a caller's body comes.
    serde_json::from_str(&request.to_string()).map_err(|why| why.to_string())
}

#[test]
fn what_is_not_given_has_the_documented_default() {
    let request = parse(json!({"owner": null, "nonce": null, "version": null})).unwrap();
    assert_eq!(request.order_type, OrderType::Gtc);
    assert_eq!(request.version, VersionChoice::Auto);
    assert_eq!(request.version.or(Version::V2), Version::V2);
    assert_eq!((request.expiration, request.nonce), (None, None));
    assert!(!request.post_only && !request.defer_exec && request.owner.is_none());
}

#[test]
fn a_refusal_names_the_field() {
    for (field, wrong) in [
        ("tokenID", json!("0x10")),
        ("tokenID", json!(12)),
        ("side", json!("buy")),
        ("side", json!(0)),
        ("price", json!(0.5)),
        ("price", json!("NaN")),
        ("size", json!("1e21")),
        ("size", json!("-10")),
        ("tickSize", json!("0.05")),
        ("negRisk", json!("no")),
        ("orderType", json!("GTT")),
        ("expiration", json!(-5)),
        ("expiration", json!(1_900_000_000.5)),
        ("expiration", json!("soon")),
        ("version", json!(4)),
        ("version", json!("2")),
        ("nonce", json!(1.5)),
        ("nonce", json!(-1)),
        ("feeRateBps", json!("1e2")),
        ("taker", json!("0x123")),
        ("metadata", json!("0x1234")),
        ("builderCode", json!("")),
        ("owner", json!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")),
        ("tokenId", json!("1")),
    ] {
        let why = parse(json!({field: wrong.clone()})).unwrap_err();
        // A plain flag or word is named by what it is.
        let said = match field {
            "negRisk" => "a boolean",
            "orderType" => "`GTC`",
            other => other,
        };
        assert!(why.contains(said), "{field} {wrong}: {why}");
    }
}

#[test]
fn the_schema_says_what_must_be_given() {
    let schema = <OrderRequest as utoipa::PartialSchema>::schema();
    let schema = serde_json::to_value(schema).unwrap();
    let required = ["tokenID", "side", "price", "size"];
    assert_eq!(schema["required"], json!(required));
    assert_eq!(schema["additionalProperties"], false);
    let properties = &schema["properties"];
    assert_eq!(properties["price"]["type"], "string");
    assert_eq!(properties["version"]["oneOf"][0]["enum"], json!([1, 2, 3]));
}

#[test]
fn integers_come_as_numbers_or_text() {
    let text = parse(json!({"expiration": "1900000000", "nonce": "7", "version": 1})).unwrap();
    let number = parse(json!({"expiration": 1_900_000_000, "nonce": 7, "version": 1})).unwrap();
    assert_eq!(text.expiration, Some(1_900_000_000));
    assert_eq!(
        (text.expiration, text.nonce),
        (number.expiration, number.nonce)
    );
    assert_eq!(text.version, VersionChoice::Exactly(Version::V1));
    assert_eq!(parse(json!({"expiration": 0})).unwrap().expiration, None);
}

#[test]
fn a_token_id_is_decimal_and_fits_256_bits() {
    let largest = U256::MAX.to_string();
    assert_eq!(largest.parse(), Ok(TokenId(U256::MAX)));
    let beyond = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for wrong in ["", "abc", "1e3", "0x10", "12.5", "-1", "+1", "007", beyond] {
        assert_eq!(wrong.parse::<TokenId>(), Err(NotWhole), "{wrong}");
    }
}

#[test]
fn bits_40_to_103_tell_a_position_id() {
    for like in [
        U256::ZERO,
        U256::from(1001),
        U256::from(1_u64 << 39),
        U256::from(1) << 104,
    ] {
        assert!(TokenId(like).looks_like_v3(), "{like}");
    }
    for unlike in [U256::from(1) << 40, U256::from(1) << 103, U256::MAX] {
        assert!(!TokenId(unlike).looks_like_v3(), "{unlike}");
    }
}
