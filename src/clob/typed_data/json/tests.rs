use super::*;

fn read(json: &str) -> Option<U256> {
    integer(serde_json::from_str(json).unwrap())
}

#[test]
fn integers_are_exact_in_every_form() {
    let largest = U256::MAX.to_string();
    for json in [
        largest.clone(),
        format!("\"{largest}\""),
        format!("\"0x{}\"", "f".repeat(64)),
        format!("\"0x{}\"", "F".repeat(64)),
    ] {
        assert_eq!(read(&json), Some(U256::MAX), "{json}");
    }
    for json in [
        "9007199254740993",
        "\"9007199254740993\"",
        "\"0x20000000000001\"",
    ] {
        assert_eq!(
            read(json),
            Some(U256::from(9_007_199_254_740_993_u64)),
            "{json}"
        );
    }
    assert_eq!(read("0"), Some(U256::ZERO));
    assert_eq!(read("\"0x0\""), Some(U256::ZERO));
}

#[test]
fn what_is_no_whole_number_is_refused() {
    let beyond = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for json in [
        "-1",
        "-0",
        "1.0",
        "1e3",
        "1E0",
        "0.5",
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        "\"0x\"",
        "\"-1\"",
        "\"+1\"",
        "\" 1\"",
        "\"1e3\"",
        "\"01\"",
        "\"0xg\"",
        "\"0X1\"",
        "\"1_0\"",
        "\"٣\"",
        beyond,
        &format!("\"{beyond}\""),
        &format!("\"0x1{}\"", "0".repeat(64)),
    ] {
        assert_eq!(read(json), None, "{json}");
    }
}

#[test]
fn a_member_is_there_once_and_read() {
    let twice: &RawValue = serde_json::from_str(r#"{"a":1,"\u0061":1}"#).unwrap();
    assert!(Members::of("it", twice).is_err(), "however it is spelled");
    let raw: &RawValue = serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap();
    let mut members = Members::of("it", raw).unwrap();
    assert!(members.take("c").is_err());
    assert_eq!(members.integer("a").unwrap(), U256::ONE);
    assert!(members.end().is_err(), "b is left");
    let list: &RawValue = serde_json::from_str("[1]").unwrap();
    assert!(Members::of("it", list).is_err());
}
