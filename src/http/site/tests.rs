use axum::http::Request;

use super::*;

fn names(listen: &str, hosts: &[&str]) -> Names {
    let hosts = hosts.iter().map(|it| Host((*it).parse().unwrap()));
    Names::new(&crate::http::Settings {
        listen: listen.parse().unwrap(),
        hosts: hosts.collect(),
        ..Default::default()
    })
}

/// What is said of a request: nothing, or the problem's name.
fn said(names: &Names, method: &str, uri: &str, headers: &[(&str, &str)]) -> &'static str {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    match names.check(&parts) {
        Ok(()) => "",
        Err(problem) => problem.kind().name,
    }
}

#[test]
fn a_request_is_for_a_name_of_this_service() {
    let names = names(
        "10.0.0.7:7300",
        &["chancery.internal", "Other.Example:8443"],
    );
    for host in [
        "127.0.0.1:7300",
        "127.8.8.8",
        "[::1]:7300",
        "localhost",
        "LOCALHOST.:7300",
        "10.0.0.7:7300",
        "chancery.internal",
        "Chancery.Internal.:443",
        "other.example",
    ] {
        assert_eq!(said(&names, "GET", "/", &[("host", host)]), "", "{host}");
    }
    for host in [
        "",
        "evil.example",
        "evil.example:7300",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "chancery.internal.evil.example",
        "evil-chancery.internal",
        "sub.chancery.internal",
        "10.0.0.8",
        "0.0.0.0:7300",
        "evil.example@localhost",
        "localhost@evil.example",
        "[::ffff:10.0.0.9]",
    ] {
        let said = said(&names, "GET", "/", &[("host", host)]);
        assert_eq!(said, "host-not-known", "{host}");
    }
    let twice = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(said(&names, "GET", "/", &twice), "host-not-known");
    assert_eq!(said(&names, "GET", "/", &[]), "host-not-known");
    let uri = "http://evil.example/v1/keys";
    let local = [("host", "localhost")];
    assert_eq!(said(&names, "GET", uri, &local), "host-not-known");
    assert_eq!(said(&names, "GET", "http://localhost/", &local), "");
}

#[test]
fn what_changes_something_comes_from_no_other_sites_page() {
    let names = names(
        "127.0.0.1:7300",
        &["chancery.internal", "two.internal:8443"],
    );
    let host = ("host", "127.0.0.1:7300");
    for (more, refused) in [
        (("origin", "http://127.0.0.1:7300"), false),
        (("origin", "https://chancery.internal"), false),
        (("origin", "https://chancery.internal:443"), false),
        (("origin", "https://two.internal:8443"), false),
        (("sec-fetch-site", "same-origin"), false),
        (("sec-fetch-site", "none"), false),
        (("origin", "http://chancery.internal"), true),
        (("origin", "https://chancery.internal:8443"), true),
        (("origin", "https://two.internal"), true),
        (("origin", "http://127.0.0.1:8080"), true),
        (("origin", "https://127.0.0.1"), true),
        (("origin", "http://localhost:7300"), true),
        (("origin", "http://evil.example"), true),
        (("origin", "null"), true),
        (("origin", ""), true),
        (("origin", "http://127.0.0.1:7300@evil.example"), true),
        (("origin", "http://127.0.0.1:7300.evil.example"), true),
        (("origin", "chrome-extension://127.0.0.1:7300"), true),
        (("sec-fetch-site", "same-site"), true),
        (("sec-fetch-site", "cross-site"), true),
        (("sec-fetch-site", "Same-Origin"), true),
    ] {
        let expected = if refused { "foreign-site" } else { "" };
        for method in ["POST", "PUT", "DELETE", "PATCH", "ANYTHING"] {
            let said = said(&names, method, "/", &[host, more]);
            assert_eq!(said, expected, "{method} {more:?}");
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(said(&names, method, "/", &[host, more]), "", "{more:?}");
        }
    }
    let both = [
        host,
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://evil.example"),
    ];
    assert_eq!(said(&names, "POST", "/", &both), "foreign-site");
}
