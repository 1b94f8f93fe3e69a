use super::*;

fn safe() -> Attributes {
    ASKED
        .iter()
        .filter_map(|asked| match asked {
            AttributeType::Token => Some(Attribute::Token(true)),
            AttributeType::Sensitive => Some(Attribute::Sensitive(true)),
            AttributeType::AlwaysSensitive => Some(Attribute::AlwaysSensitive(true)),
            AttributeType::Extractable => Some(Attribute::Extractable(false)),
            AttributeType::NeverExtractable => Some(Attribute::NeverExtractable(true)),
            AttributeType::Local => Some(Attribute::Local(true)),
            AttributeType::Sign => Some(Attribute::Sign(true)),
            AttributeType::Decrypt => Some(Attribute::Decrypt(false)),
            _ => None,
        })
        .filter_map(|attribute| named(&attribute))
        .collect()
}

#[test]
fn labels_fit_into_every_token() {
    for algorithm in [
        Algorithm::Secp256k1,
        Algorithm::Rsa2048,
        Algorithm::Rsa3072,
        Algorithm::Rsa4096,
    ] {
        let id = KeyId::new();
        for attribute in private(id, algorithm).iter().chain(&public(id, algorithm)) {
            match attribute {
                Attribute::Label(label) => assert!(label.len() <= 32),
                Attribute::Id(id) => assert_eq!(id.len(), 16),
                _ => {}
            }
        }
    }
}

#[test]
fn a_key_must_say_that_it_is_safe() {
    assert_eq!(unsafe_because(&safe()), None);
    for name in [
        "sensitive",
        "always-sensitive",
        "extractable",
        "never-extractable",
        "local",
        "sign",
    ] {
        let mut turned = safe();
        let value = turned[name];
        turned.insert(name.into(), !value);
        assert!(unsafe_because(&turned).unwrap().contains(name));
        let mut silent = safe();
        silent.remove(name);
        assert!(unsafe_because(&silent).unwrap().contains(name));
    }
    for name in ["sign-recover", "decrypt", "unwrap", "derive"] {
        let mut turned = safe();
        turned.insert(name.into(), true);
        assert!(unsafe_because(&turned).unwrap().contains(name));
    }
}
