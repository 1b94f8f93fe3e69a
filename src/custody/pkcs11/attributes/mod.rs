//! Attributes: the templates by which keys are made, and the answers of which keys are judged.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use rsa::traits::PublicKeyParts as _;
use zeroize::Zeroize as _;

use crate::custody::{Algorithm, Attributes, Material, PublicKey};
use crate::id::KeyId;

/// The object identifier 1.3.132.0.10 in DER (SEC 2): secp256k1.
const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// A private key's template, of attributes that every token knows.
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

/// The strict template: besides, the key can be neither changed nor copied, and signs by our mechanisms only.
pub(super) fn strict(plain: &[Attribute], signs_by: &[MechanismType]) -> Vec<Attribute> {
    let more = [
        Attribute::SignRecover(false),
        Attribute::Modifiable(false),
        Attribute::AllowedMechanisms(signs_by.to_vec()),
        Attribute::Copyable(false), // last, for SoftHSM refuses it of a key that is unwrapped
    ];
    plain.iter().cloned().chain(more).collect()
}

/// A public key's template.
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

/// The public object of a key that is brought.
pub(super) fn brought_public(id: KeyId, key: &PublicKey) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
    ];
    match key {
        PublicKey::Secp256k1(key) => {
            let point = key.to_encoded_point(false);
            let wrapped = [&[4, 65], point.as_bytes()].concat(); // a DER OCTET STRING
            template.extend([
                Attribute::KeyType(KeyType::EC),
                Attribute::EcParams(SECP256K1.to_vec()),
                Attribute::EcPoint(wrapped),
                label(Algorithm::Secp256k1),
            ]);
        }
        PublicKey::Rsa(rsa) => {
            template.extend([
                Attribute::KeyType(KeyType::RSA),
                Attribute::Modulus(rsa.n().to_bytes_be()),
                Attribute::PublicExponent(rsa.e().to_bytes_be()),
            ]);
            template.extend(key.algorithm().map(label));
        }
    }
    template
}

/// The private key's numbers, for a token to which the key is handed open. Wipe them after use.
pub(super) fn numbers(material: &Material) -> Option<Vec<Attribute>> {
    let Some(scalar) = material.scalar() else {
        let rsa = material.rsa_numbers()?;
        let bytes = |number: rsa::pkcs1::UintRef<'_>| number.as_bytes().to_vec();
        return Some(vec![
            Attribute::Modulus(bytes(rsa.modulus)),
            Attribute::PublicExponent(bytes(rsa.public_exponent)),
            Attribute::PrivateExponent(bytes(rsa.private_exponent)),
            Attribute::Prime1(bytes(rsa.prime1)),
            Attribute::Prime2(bytes(rsa.prime2)),
            Attribute::Exponent1(bytes(rsa.exponent1)),
            Attribute::Exponent2(bytes(rsa.exponent2)),
            Attribute::Coefficient(bytes(rsa.coefficient)),
        ]);
    };
    Some(vec![
        Attribute::EcParams(SECP256K1.to_vec()),
        Attribute::Value(scalar.to_vec()),
    ])
}

/// Wipes attributes that [`numbers`] made.
pub(super) fn wipe(template: impl IntoIterator<Item = Attribute>) {
    for attribute in template {
        match attribute {
            Attribute::Value(mut bytes)
            | Attribute::PrivateExponent(mut bytes)
            | Attribute::Prime1(mut bytes)
            | Attribute::Prime2(mut bytes)
            | Attribute::Exponent1(mut bytes)
            | Attribute::Exponent2(mut bytes)
            | Attribute::Coefficient(mut bytes) => bytes.zeroize(),
            _ => {}
        }
    }
}

/// A label for people who look at the token with other tools. Nothing is found by it.
fn label(algorithm: Algorithm) -> Attribute {
    Attribute::Label(format!("chancery {}", algorithm.name()).into_bytes())
}

/// Why a key must not be used. An attribute that the token does not tell fails as well.
pub(super) fn unsafe_because(attributes: &Attributes) -> Option<String> {
    let history = [
        ("always-sensitive", true),
        ("never-extractable", true),
        ("local", true),
    ];
    missing(&history, attributes).or_else(|| unsafe_now(attributes))
}

/// Why a key that was brought must not be used. No token can vouch for how it was kept before.
pub(super) fn unsafe_now(attributes: &Attributes) -> Option<String> {
    let required = [("sensitive", true), ("extractable", false), ("sign", true)];
    let forbidden = ["sign-recover", "decrypt", "unwrap", "derive"];
    let allowed = |name: &&&str| attributes.get(**name) == Some(&true);
    let allowed = || forbidden.iter().find(allowed);
    missing(&required, attributes)
        .or_else(|| allowed().map(|name| format!("its attribute {name} is true")))
}

fn missing(required: &[(&str, bool)], attributes: &Attributes) -> Option<String> {
    let wrong = |(name, wanted): &&(&str, bool)| attributes.get(*name) != Some(wanted);
    let wrong = required.iter().find(wrong);
    wrong.map(|(name, wanted)| format!("its attribute {name} is not {wanted}"))
}

/// Why a key that was made elsewhere cannot become ours; `None`: it can.
pub(super) fn unadoptable_because(attributes: &Attributes) -> Option<String> {
    [("sensitive", true), ("extractable", false), ("sign", true)]
        .iter()
        .find(|(name, wanted)| attributes.get(*name) != Some(wanted))
        .map(|(name, wanted)| format!("the token does not say that {name} is {wanted}"))
}

/// The attributes that are read of a private key. `CKA_KEY_GEN_MECHANISM` is not among them: of an
/// imported key, cryptoki then reads nothing at all.
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

/// An attribute's name and value. Answers are matched by variant, never by position: what a token does not
/// tell is missing from its answer.
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

/// The template of a private key that is brought.
pub(super) fn brought_private(id: KeyId, algorithm: Algorithm) -> Vec<Attribute> {
    let kind = match algorithm {
        Algorithm::Secp256k1 => KeyType::EC,
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => KeyType::RSA,
    };
    let mut template = private(id, algorithm);
    template.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    template.push(Attribute::KeyType(kind));
    template
}

#[cfg(test)]
mod tests;
