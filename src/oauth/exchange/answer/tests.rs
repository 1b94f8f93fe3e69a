use super::*;

fn judged(status: u16, body: &str) -> Result<Granted, ExchangeError> {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", "7".parse().unwrap());
    headers.insert("x-ratelimit-remaining", "3".parse().unwrap());
    let date = "Tue, 15 Nov 1994 08:12:31 GMT";
    headers.insert("date", date.parse().unwrap());
    judge(&Reply {
        status,
        headers,
        body: body.into(),
    })
}

#[test]
fn every_answer_has_its_meaning() {
    let refused = |status, code: &str| {
        let body = format!(r#"{{"error":"{code}","error_description":"why"}}"#);
        judged(status, &body).unwrap_err()
    };
    for (status, code) in [
        (401, "invalid_client"),
        (400, "invalid_client"),
        (401, "invalid_client_assertion"),
    ] {
        assert!(refused(status, code).denies_key(), "{status} {code}");
    }
    for (status, code) in [
        (403, "access_denied"),
        (400, "invalid_scope"),
        (400, "invalid_target"),
    ] {
        let error = refused(status, code);
        assert!(matches!(error, ExchangeError::NotGranted(_)), "{error}");
    }
    let unknown = refused(401, "invalid_client");
    assert_eq!(unknown.refusal().unwrap().server_time, Some(784_887_151));
    let error = refused(400, "invalid_request");
    assert!(matches!(error, ExchangeError::NotUnderstood(_)), "{error}");
    let throttled = refused(429, "too_many_requests");
    let ExchangeError::Throttled {
        retry_after_s: Some(7),
        quota,
    } = throttled
    else {
        panic!("{throttled}")
    };
    assert_eq!(quota.remaining, Some(3));

    let wordless = |status, body| ExchangeError::Wordless { status, body };
    for (status, body, error) in [
        (302, "", ExchangeError::Redirected(302)),
        (200, "<html>", ExchangeError::Edge(200)),
        (403, "<html>blocked", ExchangeError::Edge(403)),
        (401, " <!DOCTYPE html>", ExchangeError::Edge(401)),
        (401, "{}", wordless(401, "it has no error")),
        (401, "", wordless(401, "it is empty")),
        (
            403,
            "forbidden",
            wordless(403, "it is not the JSON of OAuth"),
        ),
        (200, "", ExchangeError::Nonsense("it is empty")),
        (
            200,
            "ok",
            ExchangeError::Nonsense("it is not the JSON of OAuth"),
        ),
        (503, "{}", ExchangeError::Down(503)),
    ] {
        assert_eq!(judged(status, body).unwrap_err(), error, "{status} {body}");
    }
}

#[test]
fn a_token_without_substance_is_none() {
    for body in [
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":"a b"}"#,
        r#"{"access_token":"a\r\nx: y"}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
        r#"{"access_token":"a","expires_in":-1}"#,
        r#"{"access_token":"a","expires_in":1e300}"#,
        r#"{"access_token":"a","expires_in":"soon"}"#,
        r#"{"access_token":"a","expires_in":180,"scope":7}"#,
    ] {
        let error = judged(200, body).unwrap_err();
        assert!(matches!(error, ExchangeError::Nonsense(_)), "{body}");
    }
    let token = judged(
        200,
        r#"{"access_token":"a","token_type":"bearer","expires_in":"180","scope":"read:orders"}"#,
    )
    .unwrap();
    assert_eq!(token.expires_in, Some(180));
    assert!(!format!("{token:?}").contains("\"a\""), "{token:?}");
    assert_eq!(
        judged(200, r#"{"access_token":"a"}"#).unwrap().expires_in,
        None
    );
}

#[test]
fn a_token_is_read_however_its_server_writes() {
    for (status, body) in [
        (
            201,
            r#"{"access_token":"a","expires_in":180,"scope":"x y"}"#,
        ),
        (
            200,
            "\u{feff}{\"access_token\":\"a\",\"expires_in\":180,\"scope\":\"x y\"}",
        ),
        (
            200,
            r#"{"access_token":"a","expires_in":180.0,"scope":["x","y"]}"#,
        ),
        (
            200,
            r#"{"access_token":"a","expires_in":1.805e2,"scope":["x","y"]}"#,
        ),
        (
            200,
            r#"{"access_token":"a","expires_in":"180.0","scope":"x y"}"#,
        ),
    ] {
        let token = judged(status, body).unwrap();
        assert_eq!(token.expires_in, Some(180), "{body}");
        assert_eq!(token.scope.as_deref(), Some("x y"), "{body}");
    }
}
