use super::*;

fn request(method: &str, path: &str, body: &str) -> Result<VenueRequest, RequestRefused> {
    VenueRequest::new(method, path, Some(body))
}

#[test]
fn a_request_is_for_a_path_of_the_venue() {
    for path in [
        "/order",
        "/data/order/0xab",
        "/v1/heartbeats",
        "/auth/ban-status/closed-only",
    ] {
        assert!(request("GET", path, "").is_ok(), "{path}");
    }
    assert_eq!(
        request("GET", "/data/orders?id=1", ""),
        Err(RequestRefused::Query)
    );
    let long = format!("/{}", "a".repeat(256));
    for path in [
        "",
        "/",
        "order",
        "//host/order",
        "https://host/order",
        "/a//b",
        "/order/",
        "/a/../b",
        "/./b",
        "/a b",
        "/a#b",
        "/a%2fb",
        "/a\\b",
        "/a{b",
        "/a[b",
        "/a\nb",
        "/é",
        &long,
    ] {
        assert_eq!(
            request("GET", path, ""),
            Err(RequestRefused::Path),
            "{path}"
        );
    }
    for method in ["", "get", "Post", "HEAD", "OPTIONS", "POST/order", "POST "] {
        assert_eq!(
            request(method, "/order", ""),
            Err(RequestRefused::Method),
            "{method}"
        );
    }
}

#[test]
fn no_two_requests_have_one_message() {
    for body in [
        "s",
        "er{\"owner\":1}",
        " {}",
        "\"a\"",
        "1",
        "null",
        "{",
        "{}{}",
        "[}",
        "-batch",
    ] {
        assert_eq!(
            request("POST", "/ord", body),
            Err(RequestRefused::Body),
            "{body}"
        );
    }
    for body in [r#"{"order":{"salt":"\u0000"}}"#, r#"{"\u0000":1}"#] {
        assert_eq!(request("POST", "/ord", body), Err(RequestRefused::Nul));
    }
    for body in ["{}", "[]", "{\"note\":\"it's\"}", "[\"a\"]\n", ""] {
        let message = request("POST", "/order", body)
            .unwrap()
            .message(1_700_000_000);
        assert_eq!(message, format!("1700000000POST/order{body}").into_bytes());
    }
    assert_eq!(
        VenueRequest::new("GET", "/time", None),
        request("GET", "/time", "")
    );
}

#[test]
fn an_order_is_posted_by_its_owner() {
    let mine = r#"{"order":{"salt":7,"tokenId":"1001","signature":"0xcanary"},"owner":"me","orderType":"GTC"}"#;
    let other = r#"{"order":{"salt":7},"owner":"you"}"#;
    let check = |path: &str, body: &str| request("POST", path, body).unwrap().check_owner("me");
    assert_eq!(check("/order", mine), Ok(()));
    assert_eq!(check("/orders", &format!("[{mine},{mine}]")), Ok(()));
    let refused = Err(RequestRefused::Owner("me".to_owned()));
    assert_eq!(check("/order", other), refused);
    assert_eq!(check("/Order", other), refused);
    assert_eq!(check("/orders", &format!("[{mine},{other}]")), refused);
    let twice = r#"{"order":{},"owner":"you","owner":"me"}"#;
    for body in ["", "{}", "[]", "{\"owner\":\"me\"}", twice] {
        assert_eq!(
            check("/order", body),
            Err(RequestRefused::Envelope),
            "{body}"
        );
    }
    assert_eq!(check("/cancel-all", other), Ok(()));

    let record = request("POST", "/order", mine).unwrap().record();
    assert_eq!(record["orders"][0]["salt"], 7);
    assert_eq!(record["orders"][0]["orderType"], "GTC");
    assert!(!record.to_string().contains("canary"), "{record}");
}

#[test]
fn what_only_reads_or_cancels_is_known() {
    for (method, reduces) in [
        ("GET", true),
        ("DELETE", true),
        ("POST", false),
        ("PUT", false),
        ("PATCH", false),
    ] {
        let request = request(method, "/order", "").unwrap();
        assert_eq!(request.reduces(), reduces, "{method}");
    }
}

#[test]
fn what_makes_or_ends_a_key_is_known() {
    for (method, path, makes, ends) in [
        ("POST", "/auth/builder-api-key", true, false),
        ("POST", "/AUTH/readonly-api-key", true, false),
        ("DELETE", "/auth/api-key", false, true),
        ("DELETE", "/Auth/Api-Key", false, true),
        ("GET", "/auth/api-keys", false, false),
        ("POST", "/order", false, false),
        ("DELETE", "/order", false, false),
    ] {
        let request = request(method, path, "").unwrap();
        assert_eq!(request.makes_credentials(), makes, "{method} {path}");
        assert_eq!(request.deletes_credentials(), ends, "{method} {path}");
    }
}
