//! The suite on each PKCS#11 token that the tests can have, and what they differ in.

use std::sync::Arc;

use super::{
    conforms, made, opencryptoki, p11_kit, payload, permit, seals, skipped, softhsm, verifies,
};
use crate::custody::pkcs11::Pkcs11;
use crate::custody::{Adopter as _, Algorithm, Attributes, Custody, CustodyError, Sealer as _};

/// What a key that a token made is, as far as the token tells.
const MADE: [(&str, bool); 14] = [
    ("token", true),
    ("private", true),
    ("sensitive", true),
    ("always-sensitive", true),
    ("extractable", false),
    ("never-extractable", true),
    ("local", true),
    ("sign", true),
    ("sign-recover", false),
    ("decrypt", false),
    ("unwrap", false),
    ("derive", false),
    ("modifiable", false),
    ("copyable", false),
];

fn is_as_made(attributes: &Attributes) {
    for (name, value) in MADE {
        assert_eq!(attributes.get(name), Some(&value), "{name}");
    }
}

#[test]
fn a_softhsm_token_conforms() {
    let name = "custody::conformance::tokens::a_softhsm_token_conforms";
    if !chosen("softhsm") {
        return;
    }
    softhsm::run(name, async |softhsm| {
        let token: Arc<dyn Custody> = Arc::new(softhsm.open().await);
        seals(&token, async || softhsm.open().await).await;
        let (attributes, high) = conforms(token).await;
        assert!((1..128).contains(&high), "both halves of s occur: {high}");
        is_as_made(&attributes);
    });
}

#[test]
fn a_token_behind_p11_kit_conforms_and_says_that_it_does_not_seal() {
    let name = "custody::conformance::tokens::a_token_behind_p11_kit_conforms_and_says_that_it_does_not_seal";
    if !chosen("p11kit") {
        return;
    }
    softhsm::run(name, async |softhsm| {
        let Some(server) = p11_kit::P11Kit::start(&softhsm) else {
            return;
        };
        let token = Pkcs11::open("hsm", server.settings()).await.unwrap();
        // It does not hand AES-GCM on. Nothing is made in the token for it either.
        for refused in [
            token.seal(b"row", b"secret").await.map(|_| ()),
            token.open(b"row", &[1; 100]).await.map(|_| ()),
        ] {
            let said = matches!(&refused, Err(CustodyError::Unsupported(why)) if why.contains("CKM_AES_GCM"));
            assert!(said, "{refused:?}");
        }
        let (attributes, high) = conforms(Arc::new(token)).await;
        assert!((1..128).contains(&high), "{high}");
        is_as_made(&attributes);
    });
}

#[test]
fn a_token_behind_p11_kit_is_lost_with_its_process_and_no_request_with_it() {
    let name = "custody::conformance::tokens::a_token_behind_p11_kit_is_lost_with_its_process_and_no_request_with_it";
    if !chosen("p11kit") {
        return;
    }
    softhsm::run(name, async |softhsm| {
        let Some(server) = p11_kit::P11Kit::start(&softhsm) else {
            return;
        };
        let token = Pkcs11::open("hsm", server.settings()).await.unwrap();
        let key = made(&token, Algorithm::Secp256k1).await;
        for number in 0..5 {
            server.lose_the_token();
            let payload = payload(Algorithm::Secp256k1, number);
            let raw = token.sign(&permit(&key, payload.clone())).await.unwrap();
            assert!(verifies(&key, &payload, &raw));
        }
        server.lose_the_token();
        token.inspect(&key.place).await.unwrap();
        server.lose_the_token();
        let none = token
            .look_up(&"pkcs11:id=%01".to_owned().try_into().unwrap())
            .await;
        let said =
            matches!(&none, Err(CustodyError::NotAdoptable(why)) if why.contains("0 private keys"));
        assert!(said, "{none:?}");
    });
}

#[test]
fn an_opencryptoki_token_conforms() {
    let name = "custody::conformance::tokens::an_opencryptoki_token_conforms";
    if !chosen("opencryptoki") {
        return;
    }
    opencryptoki::run(name, async |settings| {
        let open = async || Pkcs11::open("hsm", settings.clone()).await.unwrap();
        let token: Arc<dyn Custody> = Arc::new(open().await);
        seals(&token, open).await;
        let (attributes, high) = conforms(token).await;
        assert!((1..128).contains(&high), "both halves of s occur: {high}");
        is_as_made(&attributes);
    });
}

/// Whether tests on this token run: all do, unless one token is chosen.
fn chosen(token: &str) -> bool {
    let chosen = std::env::var_os("CHANCERY_TEST_PKCS11");
    let runs = chosen.is_none_or(|chosen| chosen == token);
    if !runs {
        skipped(&format!(
            "no wish for {token}: CHANCERY_TEST_PKCS11 chooses another"
        ));
    }
    runs
}
