use super::*;

fn judged(status: u16, body: &str) -> VenueError {
    let reply = Reply {
        status,
        headers: reqwest::header::HeaderMap::new(),
        body: body.into(),
    };
    judge::<Vec<u8>>("a call", &reply).unwrap_err()
}

#[test]
fn only_the_venue_s_own_refusal_says_that_nothing_happened() {
    for (status, body, settles) in [
        (400, r#"{"error":"Could not create api key"}"#, true),
        (401, r#"{"error":"Invalid L1 Request headers"}"#, true),
        (429, "<html>slow down</html>", true),
        (
            403,
            "<!DOCTYPE html><title>Attention required</title>",
            false,
        ),
        (404, "not here", false),
        (500, r#"{"error":"oops"}"#, false),
        (502, "Bad gateway", false),
        (200, "<html>blocked</html>", false),
        (200, r#"{"unexpected":true}"#, false),
        (302, "", false),
    ] {
        let error = judged(status, body);
        assert_eq!(error.settles(), settles, "{status} {body}: {error}");
        let of_firewall = error.to_string().contains("firewall");
        let is_page = body.starts_with('<') && status != 429;
        assert_eq!(of_firewall, is_page, "{status} {body}: {error}");
    }
}

#[test]
fn a_version_is_followed_or_pinned() {
    let version = |text: &str| {
        let settings = format!("url = \"https://clob.polymarket.com\"\n{text}");
        toml::from_str::<VenueSettings>(&settings).map(|it| it.version)
    };
    assert_eq!(version(""), Ok(VersionChoice::Auto));
    assert_eq!(version("version = \"auto\""), Ok(VersionChoice::Auto));
    let pinned = VersionChoice::Exactly(crate::clob::Version::V1);
    assert_eq!(version("version = 1"), Ok(pinned));
    for wrong in ["version = -1", "version = 4", "version = \"2\""] {
        assert!(version(wrong).is_err(), "{wrong}");
    }
}
