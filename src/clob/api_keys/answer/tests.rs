use super::*;

#[test]
fn both_spellings_mean_the_same() {
    let refused = |status, text: &str| VenueError::Refused {
        status,
        text: text.to_owned(),
    };
    for (error, meaning) in [
        (refused(400, "NONCE_ALREADY_USED"), Some(Refusal::Used)),
        (
            refused(400, "Could not create api key"),
            Some(Refusal::NotCreated),
        ),
        (
            refused(400, "Could not derive api key!"),
            Some(Refusal::NotDerived),
        ),
        (refused(401, "INVALID_SIGNATURE"), Some(Refusal::Login)),
        (
            refused(401, "Invalid L1 Request headers"),
            Some(Refusal::Login),
        ),
        (
            refused(400, "Invalid Funder Address"),
            Some(Refusal::Funder),
        ),
        (refused(400, "something else"), None),
        (
            VenueError::Down {
                status: 500,
                text: "NONCE_ALREADY_USED".into(),
            },
            None,
        ),
    ] {
        assert_eq!(Refusal::of(&error), meaning, "{error}");
    }
}

#[test]
fn an_answer_that_is_not_an_api_key_is_refused_without_quoting_it() {
    let good = r#"{"apiKey":"a-1","secret":"c2VjcmV0","passphrase":"p"}"#;
    assert!(serde_json::from_str::<Received>(good).is_ok());
    for bad in [
        r#"{"apiKey":"a-1","secret":"","passphrase":"p"}"#,
        r#"{"apiKey":"a 1","secret":"canary","passphrase":"p"}"#,
        r#"{"apiKey":"a-1","secret":"canary\n","passphrase":"p"}"#,
        r#"{"apiKey":"a-1","secret":"canary"}"#,
    ] {
        let error = serde_json::from_str::<Received>(bad).err().unwrap();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
