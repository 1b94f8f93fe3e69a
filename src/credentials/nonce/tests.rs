use super::*;

#[test]
fn a_nonce_has_64_bits_and_one_spelling() {
    for (json, nonce) in [
        ("0", 0),
        ("\"0\"", 0),
        ("18446744073709551615", u64::MAX),
        ("\"18446744073709551615\"", u64::MAX),
    ] {
        let read: CredentialNonce = serde_json::from_str(json).unwrap();
        assert_eq!(read.0, nonce);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, format!("\"{nonce}\""));
    }
    for json in [
        "-1",
        "1.0",
        "1e3",
        "18446744073709551616",
        "\"18446744073709551616\"",
        "\"01\"",
        "\"+1\"",
        "\"\"",
        "\"0x1\"",
        "null",
    ] {
        assert!(
            serde_json::from_str::<CredentialNonce>(json).is_err(),
            "{json}"
        );
    }
}
