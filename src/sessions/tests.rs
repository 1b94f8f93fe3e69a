use super::*;

#[test]
fn a_secret_is_what_was_made_and_says_nothing_of_itself() {
    let secret = Secret::random();
    let again: Secret = secret.expose().parse().unwrap();
    assert_eq!(again.hash(), secret.hash());
    assert_ne!(Secret::random().hash(), secret.hash());
    assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    let text = secret.expose();
    for other in [
        "",
        &text[1..],
        &format!("{text}A"),
        &text.replace(&text[..1], "="),
    ] {
        assert!(other.parse::<Secret>().is_err(), "{other}");
    }
}
