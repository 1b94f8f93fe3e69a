//! Golden keys: what OpenSSL and wallets write, and what is no key of ours.

use std::collections::BTreeMap;

use super::*;

#[derive(serde::Deserialize)]
struct Vectors {
    good: BTreeMap<String, Good>,
    bad: BTreeMap<String, Bad>,
}

#[derive(serde::Deserialize)]
struct Good {
    text: String,
    algorithm: Algorithm,
    address: Option<String>,
    fingerprint: String,
}

#[derive(serde::Deserialize)]
struct Bad {
    text: String,
    why: String,
}

fn vectors() -> Vectors {
    let text = include_str!("../../../tests/vectors/private-keys.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_key_is_read_in_every_form_that_is_used() {
    for (name, good) in vectors().good {
        let material = Material::read(good.text.as_bytes());
        let material = material.unwrap_or_else(|error| panic!("{name}: {error}"));
        let public = material.public_key();
        let address = public.address().map(|it| it.to_string());
        assert_eq!(material.algorithm(), good.algorithm, "{name}");
        assert_eq!(address, good.address, "{name}");
        assert_eq!(
            hex::encode(public.fingerprint()),
            good.fingerprint,
            "{name}"
        );
        assert!(public.is(&good.fingerprint) && !public.is("0x00"), "{name}");
        // What is wrapped reads back as the same key.
        let again = Material::from_pkcs8(material.pkcs8()).unwrap();
        assert_eq!(again.public_key(), public, "{name}");
        assert_eq!(material.scalar().is_some(), good.address.is_some());
        assert_eq!(material.rsa_numbers().is_some(), good.address.is_none());
        assert_eq!(format!("{material:?}"), "Material([redacted])");
    }
}

#[test]
fn what_is_not_one_whole_key_of_ours_is_refused_and_told_apart() {
    for (name, bad) in vectors().bad {
        let refused = Material::read(bad.text.as_bytes()).unwrap_err();
        assert_eq!(format!("{refused:?}"), bad.why, "{name}");
    }
    let not_text = Material::read(&[0xff; 64]).unwrap_err();
    assert_eq!(not_text, BadMaterial::NotAKey);
}

#[test]
fn numbers_that_do_not_belong_together_are_refused() {
    let good = vectors().good;
    let (_, der) = SecretDocument::from_pem(&good["rsa2048-pkcs1"].text).unwrap();
    let key = pkcs1::RsaPrivateKey::from_der(der.as_bytes()).unwrap();
    let mut exponent = key.private_exponent.as_bytes().to_vec();
    *exponent.last_mut().unwrap() ^= 2;
    let altered = pkcs1::RsaPrivateKey {
        private_exponent: pkcs1::UintRef::new(&exponent).unwrap(),
        ..key
    };
    let altered = altered.to_der().unwrap();
    assert_eq!(
        Material::from_pkcs1(&altered).unwrap_err(),
        BadMaterial::Inconsistent
    );
}
