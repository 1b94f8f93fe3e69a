use super::*;

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

const OURS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The example of the specification's own libraries.
#[test]
fn the_known_example_comes_out() {
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let body = r#"{"test": 2432232314}"#;
    let signed = sign(&[secret(OURS)], id, 1_614_265_330, body);
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let headers = (id, "1614265330", signed.as_str());
    assert_eq!(
        verify(&[secret(OURS)], headers, body, 1_614_265_330),
        Ok(())
    );
}

#[test]
fn a_receiver_takes_any_secret_it_knows_and_nothing_old_or_altered() {
    let new = || secret(&format!("{PREFIX}{}", STANDARD.encode([7; 32])));
    let signed = sign(&[new(), secret(OURS)], "i", 1_000, "b");
    let of = |secrets: &[Secret], id, at, body, now| {
        verify(secrets, (id, at, signed.as_str()), body, now)
    };
    for known in [new(), secret(OURS)] {
        assert_eq!(of(&[known], "i", "1000", "b", 1_300), Ok(()));
    }
    let other = || [secret(&format!("{PREFIX}{}", STANDARD.encode([8; 32])))];
    for (secrets, id, at, body, now, why) in [
        (other(), "i", "1000", "b", 1_000, NotVerified::Signature),
        ([new()], "j", "1000", "b", 1_000, NotVerified::Signature),
        ([new()], "i", "1001", "b", 1_000, NotVerified::Signature),
        ([new()], "i", "1000", "c", 1_000, NotVerified::Signature),
        ([new()], "i", "1000", "b", 1_301, NotVerified::Time),
        ([new()], "i", "1000", "b", 699, NotVerified::Time),
        ([new()], "i", "x", "b", 1_000, NotVerified::Headers),
        ([new()], "", "1000", "b", 1_000, NotVerified::Headers),
    ] {
        assert_eq!(of(&secrets, id, at, body, now), Err(why));
    }
}

#[test]
fn a_secret_is_long_and_has_its_prefix() {
    let of = |length: usize| format!("{PREFIX}{}", STANDARD.encode(vec![1; length]));
    for (text, good) in [
        (of(24), true),
        (of(64), true),
        (of(23), false),
        (of(65), false),
        (STANDARD.encode([1; 32]), false),
        ("whsec_!".to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(Secret::parse(&text).is_some(), good, "{text}");
    }
}
