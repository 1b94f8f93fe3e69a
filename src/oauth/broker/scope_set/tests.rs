use super::*;

#[test]
fn the_order_of_scopes_does_not_count() {
    let one: ScopeSet = "write:orders read:orders write:orders".parse().unwrap();
    assert_eq!(one, "read:orders write:orders".parse().unwrap());
    assert_eq!(one.to_string(), "read:orders write:orders");
}

#[test]
fn only_scopes_are_scopes() {
    let many: Vec<_> = (0..=MOST).map(|number| format!("s{number}")).collect();
    for bad in [
        "",
        " ",
        "a  b",
        "a ",
        "a\tb",
        "a\"b",
        "a\\b",
        "ä",
        &"a".repeat(LONGEST + 1),
        &many.join(" "),
    ] {
        assert_eq!(bad.parse::<ScopeSet>(), Err(NotScopes), "{bad:?}");
    }
    assert!(many[1..].join(" ").parse::<ScopeSet>().is_ok());
    let granted = ScopeSet::granted(" read:orders \"x\"  write:orders");
    assert_eq!(granted.to_string(), "read:orders write:orders");
}
