//! Attributes: the templates that keys are made by, and what is made of the answers.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType};

use crate::custody::{Algorithm, Attributes};
use crate::id::KeyId;

/// The object identifier 1.3.132.0.10 in DER (SEC 2): secp256k1.
const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// The private key's template, in words that every token knows.
pub(super) fn private(id: KeyId, algorithm: Algorithm) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
        label(algorithm),
    ]
}

/// What the strict template adds: the key cannot be changed or copied, and signs in our way only.
pub(super) fn strict(plain: &[Attribute], signs_by: &[MechanismType]) -> Vec<Attribute> {
    let more = [
        Attribute::SignRecover(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::AllowedMechanisms(signs_by.to_vec()),
    ];
    plain.iter().cloned().chain(more).collect()
}

/// The public key's template.
pub(super) fn public(id: KeyId, algorithm: Algorithm) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
        label(algorithm),
    ];
    let bits: u64 = match algorithm {
        Algorithm::Secp256k1 => {
            template.push(Attribute::EcParams(SECP256K1.to_vec()));
            return template;
        }
        Algorithm::Rsa2048 => 2048,
        Algorithm::Rsa3072 => 3072,
        Algorithm::Rsa4096 => 4096,
    };
    template.push(Attribute::ModulusBits(bits.into()));
    template.push(Attribute::PublicExponent(vec![1, 0, 1]));
    template
}

/// A label for those who look at the token with other tools. Nothing is found by it.
fn label(algorithm: Algorithm) -> Attribute {
    Attribute::Label(format!("chancery {}", algorithm.name()).into_bytes())
}

/// What a key must be to be used; an attribute that the token does not tell fails as well.
pub(super) fn unsafe_because(attributes: &Attributes) -> Option<String> {
    let required = [
        ("sensitive", true),
        ("always-sensitive", true),
        ("extractable", false),
        ("never-extractable", true),
        ("local", true),
        ("sign", true),
    ];
    let forbidden = ["sign-recover", "decrypt", "unwrap", "derive"];
    let wrong = |(name, wanted): &(&str, bool)| attributes.get(*name) != Some(wanted);
    if let Some((name, wanted)) = required.iter().find(|required| wrong(required)) {
        return Some(format!("its attribute {name} is not {wanted}"));
    }
    let allowed = |name: &&&str| attributes.get(**name) == Some(&true);
    forbidden
        .iter()
        .find(allowed)
        .map(|name| format!("its attribute {name} is true"))
}

/// Why a key that was made elsewhere cannot become ours; `None`: it can.
pub(super) fn unadoptable_because(attributes: &Attributes) -> Option<String> {
    [("sensitive", true), ("extractable", false), ("sign", true)]
        .iter()
        .find(|(name, wanted)| attributes.get(*name) != Some(wanted))
        .map(|(name, wanted)| format!("the token does not say that {name} is {wanted}"))
}

/// What a private key is asked for. `CKA_KEY_GEN_MECHANISM` is not: for an imported key, cryptoki then
/// fails the whole question.
pub(super) const ASKED: &[AttributeType] = &[
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::Sign,
    AttributeType::SignRecover,
    AttributeType::Decrypt,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::Modifiable,
    AttributeType::Copyable,
];

/// Its name and value. By variant, never by position: what a token does not tell is missing from its answer.
pub(super) fn named(attribute: &Attribute) -> Option<(String, bool)> {
    let (name, value) = match attribute {
        Attribute::Token(value) => ("token", value),
        Attribute::Private(value) => ("private", value),
        Attribute::Sensitive(value) => ("sensitive", value),
        Attribute::AlwaysSensitive(value) => ("always-sensitive", value),
        Attribute::Extractable(value) => ("extractable", value),
        Attribute::NeverExtractable(value) => ("never-extractable", value),
        Attribute::Local(value) => ("local", value),
        Attribute::Sign(value) => ("sign", value),
        Attribute::SignRecover(value) => ("sign-recover", value),
        Attribute::Decrypt(value) => ("decrypt", value),
        Attribute::Unwrap(value) => ("unwrap", value),
        Attribute::Derive(value) => ("derive", value),
        Attribute::Modifiable(value) => ("modifiable", value),
        Attribute::Copyable(value) => ("copyable", value),
        _ => return None,
    };
    Some((name.to_owned(), *value))
}

#[cfg(test)]
mod tests {
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
}
