use super::*;

fn token(text: &str) -> Result<TokenName, NotAUri> {
    TokenName::try_from(text.to_owned())
}

const TOKEN: Shown<'_> = ["My wallet", "1a2b", "SoftHSM project", "SoftHSM v2"];

#[test]
fn a_token_is_named_by_what_it_states() {
    for fits in [
        "pkcs11:token=My%20wallet",
        "PKCS11:serial=1a2b",
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=1a2b;token=My%20wallet",
        "pkcs11:slot-id=7",
        "pkcs11:token=%4dy%20%77allet;slot-id=007",
    ] {
        let name = token(fits).unwrap();
        assert!(name.fits(7, Some(TOKEN)), "{fits}");
        assert_eq!(token(&name.to_string()), Ok(name));
    }
    for other in [
        "pkcs11:token=my%20wallet",
        "pkcs11:token=My%20wallet;serial=1a2c",
        "pkcs11:token=My%20wallet;model=SoftHSM",
        "pkcs11:token=My%20wallet;manufacturer=SoftHSM",
        "pkcs11:token=My%20wallet;slot-id=8",
    ] {
        assert!(!token(other).unwrap().fits(7, Some(TOKEN)), "{other}");
    }
    // One that does not tell who it is.
    assert!(token("pkcs11:slot-id=7").unwrap().fits(7, None));
    assert!(!token("pkcs11:slot-id=7;serial=1a2b").unwrap().fits(7, None));
}

#[test]
fn a_key_is_named_by_id_or_label_and_spelled_in_one_way() {
    for (text, canonical) in [
        (
            "pkcs11:id=%01%fe;type=private",
            "pkcs11:id=%01%FE;type=private",
        ),
        ("pkcs11:id=ab", "pkcs11:id=%61%62;type=private"),
        (
            "pkcs11:type=private;object=desk%201%2f%c3%a9",
            "pkcs11:object=desk%201%2F%C3%A9;type=private",
        ),
        (
            "pkcs11:object=a:b;id=%00",
            "pkcs11:id=%00;object=a%3Ab;type=private",
        ),
    ] {
        let (name, in_token) = KeyName::parse(text).unwrap();
        assert_eq!((name.to_string().as_str(), in_token), (canonical, None));
        assert_eq!(KeyName::parse(canonical).unwrap().0, name);
        assert_eq!(name.device_ref().unwrap().as_str(), canonical);
    }
    let (_, in_token) = KeyName::parse("pkcs11:token=wallet;id=%01").unwrap();
    assert_eq!(in_token, Some(token("pkcs11:token=wallet").unwrap()));
    let long = KeyName {
        id: Some(vec![0; 128]),
        label: Some("\u{e9}".repeat(64)),
    };
    assert!(long.device_ref().is_err());
}

#[test]
fn what_names_nothing_or_something_else_is_refused() {
    let key = |text: &str| KeyName::parse(text).map(|(name, _)| name);
    for (text, why) in [
        ("wallet", NotAUri::Scheme),
        ("arn:aws:kms:x", NotAUri::Scheme),
        ("pkcs11:", NotAUri::Unknown(String::new())),
        ("pkcs11:token=a;", NotAUri::Unknown(String::new())),
        ("pkcs11:token=a;token=b", NotAUri::Twice("token")),
        ("pkcs11:slot-id=1;slot-id=1", NotAUri::Twice("slot-id")),
        ("pkcs11:Token=a", NotAUri::Unknown("Token".into())),
        (
            "pkcs11:slot-description=a",
            NotAUri::Unknown("slot-description".into()),
        ),
        ("pkcs11:x-vendor=a", NotAUri::Unknown("x-vendor".into())),
        (
            "pkcs11:token=a?x-vendor=a",
            NotAUri::Unknown("x-vendor".into()),
        ),
        ("pkcs11:token=", NotAUri::Value("token")),
        ("pkcs11:token=a b", NotAUri::Value("token")),
        ("pkcs11:token=a%2", NotAUri::Value("token")),
        ("pkcs11:token=a%+2", NotAUri::Value("token")),
        ("pkcs11:token=%ff", NotAUri::Value("token")),
        ("pkcs11:token=a/b", NotAUri::Value("token")),
        ("pkcs11:serial=12345678901234567", NotAUri::Value("serial")),
        ("pkcs11:slot-id=-1", NotAUri::Value("slot-id")),
        ("pkcs11:slot-id=+1", NotAUri::Value("slot-id")),
        (
            "pkcs11:slot-id=18446744073709551616",
            NotAUri::Value("slot-id"),
        ),
        ("pkcs11:token=a?module-path=/x.so", NotAUri::Module),
        ("pkcs11:token=a;id=%01", NotAUri::Key),
        ("pkcs11:token=a;type=private", NotAUri::Key),
    ] {
        assert_eq!(token(text), Err(why), "{text}");
    }
    assert_eq!(key("pkcs11:id=%01;type=public"), Err(NotAUri::Type));
    let twice = key("pkcs11:id=%01;type=private;type=private");
    assert_eq!(twice, Err(NotAUri::Twice("type")));
    let none = key("pkcs11:token=a;type=private").unwrap_err().to_string();
    assert!(none.contains("give id or object"), "{none}");
}

#[test]
fn a_pin_is_refused_and_not_repeated() {
    for text in [
        "pkcs11:token=a?pin-value=123456",
        "pkcs11:token=a;pin-value=123456",
        "pkcs11:id=%01?pin-source=file:/123456",
    ] {
        assert_eq!(parse(text), Err(NotAUri::Pin));
    }
    let unknown = parse("pkcs11:pin-valu=123456").unwrap_err();
    assert!(!unknown.to_string().contains("123456"));
}
