use super::*;

#[test]
fn a_request_has_a_key_of_its_own_or_the_one_of_its_connection() {
    let text = |request: &Request| String::from_utf8(request.bytes.clone()).unwrap();
    let mut fresh = Request::post("/x", Some("t"), Some(Keys::Fresh), "{}");
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..3 {
        fresh.next("abc", number);
        let said = text(&fresh);
        let key = said.split_once("idempotency-key: ").unwrap().1;
        let key = key.split_once("\r\n").unwrap().0.to_owned();
        assert_eq!(key.len(), KEY);
        assert!(seen.insert(key));
        assert!(said.ends_with("\r\n\r\n{}"), "{said}");
    }
    let mut kept = Request::post("/x", None, Some(Keys::Kept), "{}");
    kept.next("abc", 1);
    let before = text(&kept);
    kept.next("abc", 2);
    assert_eq!(before, text(&kept));
    assert!(!before.contains("authorization"));
}
