use super::*;

fn jwt(issuer: &str, subject: &str) -> Identity {
    Identity::Jwt {
        issuer: issuer.into(),
        subject: subject.into(),
    }
}

#[test]
fn no_two_identities_are_looked_for_as_one() {
    let spiffe = |id: &str| Identity::Spiffe(id.parse().unwrap());
    let all = [
        jwt("ab", "c").shown(),
        jwt("a", "bc").shown(),
        jwt("abc", "").shown(),
        spiffe("spiffe://a/b").shown(),
        spiffe("spiffe://a/bc").shown(),
        jwt("spiffe://a/b", "").shown(),
        Identity::Certificate([7; 32]).shown(),
        Shown::token("spiffe://a/b"),
    ];
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            assert_ne!(one.hash, other.hash);
        }
    }
}

#[test]
fn what_is_registered_is_read_strictly() {
    let certificate = |sha256: &str, days| NewCredential::Certificate {
        sha256: sha256.into(),
        days,
    };
    let digits = "ab".repeat(32);
    let colons = vec!["AB"; 32].join(":");
    let one = certificate(&digits, 1).parse().unwrap();
    assert_eq!(one, certificate(&colons, 1).parse().unwrap());
    for (sha256, days) in [("", 1), (&digits[2..], 1), (&digits, 0), (&digits, 367)] {
        assert!(
            certificate(sha256, days).parse().is_err(),
            "{sha256} {days}"
        );
    }
    for (issuer, subject) in [("", "a"), ("a", ""), ("a\nb", "c"), ("a", "b\0")] {
        let new = NewCredential::Jwt {
            issuer: issuer.into(),
            subject: subject.into(),
            days: 1,
        };
        assert!(new.parse().is_err(), "{issuer:?} {subject:?}");
    }
}
