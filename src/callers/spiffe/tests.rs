use super::*;

#[test]
fn a_spiffe_id_is_taken_in_its_one_form() {
    for (text, domain) in [
        ("spiffe://prod.example/desk-1/bot", "prod.example"),
        ("spiffe://a/b", "a"),
        ("spiffe://a_b-c.d1/X.y_z-0", "a_b-c.d1"),
    ] {
        let id: SpiffeId = text.parse().unwrap();
        assert_eq!((id.as_str(), id.trust_domain()), (text, domain));
    }
    for (text, why) in [
        ("", NotASpiffeId::Scheme),
        ("SPIFFE://a/b", NotASpiffeId::Scheme),
        ("https://a/b", NotASpiffeId::Scheme),
        ("spiffe:/a/b", NotASpiffeId::Scheme),
        (" spiffe://a/b", NotASpiffeId::Scheme),
        ("spiffe://", NotASpiffeId::TrustDomain),
        ("spiffe:///b", NotASpiffeId::TrustDomain),
        ("spiffe://A/b", NotASpiffeId::TrustDomain),
        ("spiffe://a:8443/b", NotASpiffeId::TrustDomain),
        ("spiffe://user@a/b", NotASpiffeId::TrustDomain),
        ("spiffe://%61/b", NotASpiffeId::TrustDomain),
        ("spiffe://a?b", NotASpiffeId::TrustDomain),
        ("spiffe://a", NotASpiffeId::NoPath),
        ("spiffe://a/", NotASpiffeId::NoPath),
        ("spiffe://a/b/", NotASpiffeId::Path),
        ("spiffe://a//b", NotASpiffeId::Path),
        ("spiffe://a/./b", NotASpiffeId::Path),
        ("spiffe://a/../b", NotASpiffeId::Path),
        ("spiffe://a/b%2fc", NotASpiffeId::Path),
        ("spiffe://a/b?c", NotASpiffeId::Path),
        ("spiffe://a/b#c", NotASpiffeId::Path),
        ("spiffe://a/é", NotASpiffeId::Path),
        ("spiffe://a/b\0", NotASpiffeId::Path),
    ] {
        assert_eq!(text.parse::<SpiffeId>(), Err(why), "{text:?}");
    }
    let long = format!("spiffe://a/{}", "b".repeat(LONGEST));
    assert_eq!(long.parse::<SpiffeId>(), Err(NotASpiffeId::TooLong));
}
