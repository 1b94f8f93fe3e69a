use super::*;

#[test]
fn a_refusal_means_something_and_what_is_unclear_settles_nothing() {
    let refused = |text: &str| RelayerError::Refused {
        status: 400,
        text: text.into(),
    };
    for (text, means) in [
        ("wallet busy: in-flight action", Means::Busy),
        ("wallet registry validation failed", Means::NotKnownYet),
        (
            "batch nonce 7 does not match on-chain nonce 8",
            Means::OtherNonce,
        ),
        (
            "call blocked: call[0] blocked: calls to 0x00 are not permitted",
            Means::NotPermitted,
        ),
        ("invalid signature", Means::Other),
    ] {
        let error = refused(text);
        assert!(error.means() == means && error.settles(), "{text}");
    }
    for error in [
        VenueError::NoAnswer,
        VenueError::Edge(502),
        VenueError::Redirected(302),
        VenueError::Wordless(400),
        VenueError::Nonsense("submit"),
    ] {
        let error = RelayerError::from(error);
        let text = error.to_string();
        assert!(
            !error.settles() && text.starts_with("the relayer "),
            "{text}"
        );
    }
    assert!(RelayerError::from(VenueError::Unreachable).settles());
}
