use super::*;

#[test]
fn credentials_go_nowhere_in_the_clear() {
    let open = |url: &str| Counterparty::open(url, Duration::from_secs(1));
    for good in [
        "https://clob.polymarket.com",
        "http://127.0.0.1:9080",
        "http://[::1]:1/",
    ] {
        assert!(open(good).is_ok(), "{good}");
    }
    for bad in [
        "http://clob.polymarket.com",
        "http://127.0.0.1.example.com",
        "https://user:pw@host",
        "https://host?x=1",
        "clob.polymarket.com",
        "file:///etc/passwd",
    ] {
        assert!(open(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_quoted_text_is_short_and_plain() {
    let text = quoted(&format!("a\u{7}b{}", "c".repeat(1000)));
    assert!(
        text.starts_with("abc") && text.len() == QUOTE_LIMIT,
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = Counterparty::open("http://127.0.0.1:1", Duration::from_secs(1)).unwrap();
    let reply = send(server.post()).await;
    assert_eq!(reply.unwrap_err(), NoReply::Unreachable);
}
