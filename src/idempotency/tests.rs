use serde_json::json;

use super::*;

#[test]
fn requests_that_mean_the_same_have_one_digest() {
    let one = RequestDigest::of(
        "POST",
        "/v1/x",
        &json!({"b": [1, {"d": 1, "c": "é"}], "a": null}),
    );
    let same: serde_json::Value =
        serde_json::from_str(r#" {"a":null, "b":[1,{"c":"\u00e9","d":1}]} "#).unwrap();
    assert_eq!(one, RequestDigest::of("POST", "/v1/x", &same));
    let text = r#"{"a":null,"b":[1,{"c":"é","d":1}]}"#;
    let mut canonical = Vec::new();
    write_canonical(&same, &mut canonical);
    assert_eq!(String::from_utf8(canonical).unwrap(), text);
    for (method, path, body) in [
        ("PUT", "/v1/x", same.clone()),
        ("POST", "/v1/y", same.clone()),
        (
            "POST",
            "/v1/x",
            json!({"b": [{"d": 1, "c": "é"}, 1], "a": null}),
        ),
        (
            "POST",
            "/v1/x",
            json!({"b": ["1", {"d": 1, "c": "é"}], "a": null}),
        ),
    ] {
        assert_ne!(
            one,
            RequestDigest::of(method, path, &body),
            "{method} {path} {body}"
        );
    }
}

#[test]
fn a_key_is_visible_and_short() {
    for good in ["a", "6f1d-…".trim_end_matches('…'), &"k".repeat(255)] {
        assert!(Key::try_from(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "a\n", "ä", &"k".repeat(256)] {
        assert_eq!(Key::try_from(bad), Err(NotAKey), "{bad}");
    }
}

#[test]
fn the_requests_of_a_batch_have_keys_that_cannot_be_sent_and_digests_of_their_own() {
    let key = Key::try_from("batch").unwrap();
    let item = key.of_item(7).unwrap();
    assert_eq!(item.as_str(), "batch 7");
    assert_eq!(Key::try_from(item.as_str()), Err(NotAKey));
    let long = Key::try_from("k".repeat(253).as_str()).unwrap();
    assert!(long.of_item(9).is_ok());
    assert_eq!(long.of_item(10), Err(NotAKey));

    let whole = RequestDigest([1; 32]);
    assert_ne!(whole.of_item(0), whole);
    assert_ne!(whole.of_item(0), whole.of_item(1));
    assert_ne!(whole.of_item(0), RequestDigest([2; 32]).of_item(0));
}
