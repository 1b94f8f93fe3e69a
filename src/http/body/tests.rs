use super::*;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read into")]
struct Params {
    price: Name,
    count: u8,
    #[serde(default)]
    list: Vec<bool>,
}

#[test]
fn a_refused_value_is_named() {
    for (body, member) in [
        (r#"{"price": 1, "count": 2}"#, Some("price")),
        (r#"{"price": "NO", "count": 2}"#, Some("price")),
        (r#"{"count":300,"price":"a"}"#, Some("count")),
        (
            "{\n  \"price\": \"a\",\n  \"count\": \"2\"\n}",
            Some("count"),
        ),
        (r#"{"price":"a","count":2,"list":[true,0]}"#, Some("list")),
        (r#"{"price":"a","count":{},"list":[]}"#, Some("count")),
        // These name the member themselves, or there is none.
        (r#"{"count":2,"price":"NO" }"#, Some("price")),
        (r#"{"count":2,"price":"A","list":[]}"#, Some("price")),
        (r#"{"price":"a"}"#, None),
        (r#"{"price":"a","prize":"b"}"#, None),
        (r#"{"price":"a","price":"b"}"#, None),
        (r#"["price"]"#, None),
        (r#"{"price":"#, None),
    ] {
        let error = serde_json::from_slice::<Params>(body.as_bytes()).unwrap_err();
        let found = member_at(body.as_bytes(), &error);
        assert_eq!(found.as_deref(), member, "{body}: {error}");
    }
}
