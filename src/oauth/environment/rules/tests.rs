use super::*;

const ISSUER: &str = r#"issuer = "https://t.auth0.com/""#;
const ENDPOINT: &str = r#"token_endpoint = "https://t.auth0.com/oauth/token""#;
const AUDIENCE: &str = r#"token_audience = "https://api.example""#;

fn environment(lines: &[&str]) -> Result<Environment, String> {
    toml::from_str(&lines.join("\n")).map_err(|error| error.message().to_owned())
}

#[test]
fn the_documentation_s_environment_needs_three_lines() {
    let read = environment(&[ISSUER, ENDPOINT, AUDIENCE]).unwrap();
    assert_eq!(read.api_url, "https://api.example");
    assert_eq!(read.aud(), "https://t.auth0.com/oauth/token");
    assert_eq!((read.typ.as_str(), read.kid), ("JWT", Kid::Omit));
    assert_eq!(read.lifetime_s.seconds(), 60);
    for issuer in ["https://login.example", "http://127.0.0.1:9400/"] {
        let line = format!("issuer = {issuer:?}");
        assert!(
            environment(&[&line, ENDPOINT, AUDIENCE]).is_ok(),
            "{issuer}"
        );
    }
}

#[test]
fn what_would_fail_at_the_server_fails_at_the_start() {
    for (line, why) in [
        (r#"issuer = "https://t.auth0.com""#, "ends in a slash"),
        (r#"issuer = "https://t.auth0.com/x/""#, "the host alone"),
        (r#"issuer = "http://t.auth0.com/""#, "https"),
        (r#"issuer = "t.auth0.com""#, "https"),
        (r#"issuer = "https://T.auth0.com/""#, "byte by byte"),
        (r#"issuer = "https://t.auth0.com:443/""#, "byte by byte"),
        (r#"issuer = "https://t.auth0.com/?x""#, "query"),
        (r#"issuer = "https://u@t.auth0.com/""#, "user"),
        (
            r#"token_endpoint = "https://s.auth0.com/oauth/token""#,
            "another Auth0 tenant",
        ),
        (
            r#"token_endpoint = "http://host/oauth/token""#,
            "token_endpoint",
        ),
        (
            r#"token_endpoint = "https://t.auth0.com/oauth/../token""#,
            "byte by byte",
        ),
        (r#"token_audience = "api""#, "token_audience"),
        (r#"api_url = "ftp://api""#, "api_url"),
        (r#"assertion_aud = { literal = "" }"#, "assertion_aud"),
        (r#"assertion_aud = { literal = "a b" }"#, "assertion_aud"),
        (r#"assertion_aud = ["a"]"#, "wanted string or table"),
        (r#"assertion_aud = "api""#, "unknown variant"),
        (
            r#"assertion_aud = { literal = "https://api.example/" }"#,
            "the API",
        ),
        (r#"kid = { literal = "" }"#, "kid"),
        (r#"typ = "at+jwt""#, "client-authentication+jwt"),
        ("lifetime_s = 301", "10 to 300"),
        ("lifetime_s = 9", "10 to 300"),
        ("timeout_ms = 0", "timeout_ms"),
    ] {
        let field = line.split(' ').next().unwrap();
        let mut lines: Vec<_> = [ISSUER, ENDPOINT, AUDIENCE]
            .into_iter()
            .filter(|it| !it.starts_with(field))
            .collect();
        lines.push(line);
        let error = environment(&lines).unwrap_err();
        assert!(error.contains(why), "{line}: {error}");
    }
    let long = format!("kid = {{ literal = {:?} }}", "k".repeat(65));
    assert!(environment(&[ISSUER, ENDPOINT, AUDIENCE, &long]).is_err());
    let fits = format!("kid = {{ literal = {:?} }}", "k".repeat(64));
    assert!(environment(&[ISSUER, ENDPOINT, AUDIENCE, &fits]).is_ok());
}

#[test]
fn nothing_is_good_in_two_environments() {
    let two = |second: &str| {
        let text = format!(
            "[environments.a]\nissuer = \"https://a/\"\ntoken_endpoint = \"https://a/token\"\n\
             token_audience = \"https://api.a\"\n[environments.b]\n{second}"
        );
        toml::from_str::<Settings>(&text).map_err(|error| error.message().to_owned())
    };
    let second = |issuer: &str, endpoint: &str, audience: &str, more: &str| {
        two(&format!(
            "issuer = {issuer:?}\ntoken_endpoint = {endpoint:?}\ntoken_audience = {audience:?}\n{more}"
        ))
    };
    let (issuer, endpoint, audience) = ("https://b/", "https://b/token", "https://api.b");
    let apart = second(issuer, endpoint, audience, "").unwrap();
    assert_eq!(apart.environments.len(), 2);
    for (what, read) in [
        ("issuer", second("https://a", endpoint, audience, "")),
        ("endpoint", second(issuer, "https://a/token", audience, "")),
        ("audience", second(issuer, endpoint, "https://api.a/", "")),
        (
            "the other's endpoint as aud",
            second(
                issuer,
                endpoint,
                audience,
                "assertion_aud = { literal = \"https://A/token\" }",
            ),
        ),
        (
            "the other's audience as aud",
            second(
                issuer,
                endpoint,
                audience,
                "assertion_aud = { literal = \"https://api.a\" }",
            ),
        ),
        (
            "the other's API",
            second(issuer, endpoint, audience, "api_url = \"https://api.a\""),
        ),
    ] {
        let error = read.unwrap_err();
        assert!(error.contains("a and b share"), "{what}: {error}");
    }
}
