use serde_json::json;

use super::*;

#[test]
fn fields_become_what_the_api_takes() {
    let fields = [
        ("path", "/v1/halts"),
        ("f.on", "wallet"),
        ("f.reason", " because "),
        ("f.name", ""),
        ("f.allow:list", ""),
        ("f.tokens:list", "1, 2"),
        ("f.days:number", "7"),
        ("f.far:number", "7x"),
        ("f.dry:flag", "yes"),
        ("f.in.it", "deep"),
        ("else", "x"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sent = Sent::of(&fields);
    assert_eq!(sent.path, "/v1/halts");
    let expected = json!({ "on": "wallet", "reason": "because", "allow": [], "tokens": ["1", "2"],
        "days": 7, "far": "7x", "dry": true, "in": { "it": "deep" } });
    assert_eq!(sent.body, expected);
    let whole = [("f.*:json", r#"{"a": 1}"#), ("method", "PUT")];
    let sent = Sent::of(&whole.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(
        (sent.body, sent.method.as_str()),
        (json!({ "a": 1 }), "PUT")
    );
}
