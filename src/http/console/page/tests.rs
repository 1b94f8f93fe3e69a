use super::*;

#[test]
fn nobody_is_led_elsewhere() {
    for ours in ["/", "/keys?limit=3", "/keys/a%2Fb"] {
        assert_eq!(place(ours), ours);
    }
    for other in [
        "",
        "keys",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a b",
        "/a\r\nset-cookie: x",
    ] {
        assert_eq!(place(other), "/", "{other}");
    }
}
