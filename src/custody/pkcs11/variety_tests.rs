//! What tokens differ in: sessions, flags, forms of points and signatures. A module in front of a
//! token makes it differ.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::device::GENERATION;
use super::module::Module;
use super::*;
use crate::custody::Algorithm;
use crate::custody::aside::aside;
use crate::custody::conformance::softhsm::{self, faults::Faults};
use crate::custody::conformance::{made, payload, permit, template, verifies};
use crate::custody::{KeyRef, RawSignature};

const WRITE_PROTECTED: &str = "C_GetTokenInfo 1 * flags 0x2";
const FINAL_TRY: &str = "C_GetTokenInfo 1 * flags 0x20000";
const LOCKED: &str = "C_GetTokenInfo 1 * flags 0x40000";

/// A test of this module, by its name, with a token that can be made to differ.
fn run(name: &str, body: impl AsyncFnOnce(Settings, Faults)) {
    let name = format!("custody::pkcs11::variety_tests::{name}");
    softhsm::run(&name, async |softhsm| {
        if let Some((settings, faults)) = softhsm.faulty() {
            body(settings, faults).await;
        }
    });
}

async fn signs(token: &Pkcs11, key: &KeyRef, seed: u8) -> Result<(), CustodyError> {
    let payload = payload(key.place.algorithm, seed);
    let raw = token.sign(&permit(key, payload.clone())).await?;
    assert!(verifies(key, &payload, &raw));
    Ok(())
}

/// 16 tasks sign at once, and none of them is refused.
async fn all_are_signed(token: &Arc<Pkcs11>, key: &KeyRef) {
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..16 {
        let (token, key) = (Arc::clone(token), key.clone());
        tasks.spawn(async move {
            for _ in 0..8 {
                signs(&token, &key, seed).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}

#[test]
fn a_token_with_few_sessions_is_used_with_as_many_and_loses_no_request() {
    let name = "a_token_with_few_sessions_is_used_with_as_many_and_loses_no_request";
    run(name, async |settings, faults| {
        // One that refuses one more, and one that says how many it has; the anchor is among them.
        for (rules, working) in [
            (vec!["C_OpenSession 1 * limit 3".to_owned()], 2),
            (vec!["C_OpenSession 1 * limit 2".to_owned()], 1),
            (
                vec![
                    "C_GetTokenInfo 1 * max-sessions 3".to_owned(),
                    "C_OpenSession 1 * limit 3".to_owned(),
                ],
                2,
            ),
        ] {
            faults.set(&rules);
            let token = Arc::new(Pkcs11::open("hsm", settings.clone()).await.unwrap());
            let key = made(&*token, Algorithm::Secp256k1).await;
            for _ in 0..3 {
                all_are_signed(&token, &key).await;
            }
            assert!(token.workers().await.unwrap().working() <= 4);
            // Whoever had no work had no need of a session.
            eventually(async || {
                all_are_signed(&token, &key).await;
                token.workers().await.unwrap().working() == working
            })
            .await;
            token.health().await.unwrap();
            drop(token);
            faults.heal();
            let module = Module::shared(&settings.module).unwrap();
            let generation = module.enter(GENERATION).map(|c| c.generation());
            // What the last one's threads still close is closed with it.
            let patience = Duration::from_secs(5);
            aside(move || Ok(module.rebuild(generation.unwrap(), patience)))
                .await
                .unwrap()
                .unwrap();
        }
    });
}

#[test]
fn a_token_that_says_how_many_sessions_it_has_is_not_asked_for_more() {
    let name = "a_token_that_says_how_many_sessions_it_has_is_not_asked_for_more";
    run(name, async |settings, faults| {
        faults.set(&[
            "C_GetTokenInfo 1 * max-sessions 2".to_owned(),
            "C_OpenSession 1 * note".to_owned(),
        ]);
        let token = Arc::new(Pkcs11::open("hsm", settings).await.unwrap());
        let key = made(&*token, Algorithm::Secp256k1).await;
        for _ in 0..3 {
            all_are_signed(&token, &key).await;
        }
        assert_eq!(faults.struck("C_OpenSession"), 2);
    });
}

#[test]
fn a_write_protected_token_signs_and_makes_nothing() {
    let name = "a_write_protected_token_signs_and_makes_nothing";
    run(name, async |settings, faults| {
        let token = Pkcs11::open("hsm", settings.clone()).await.unwrap();
        let key = made(&token, Algorithm::Secp256k1).await;
        drop(token);

        faults.set(&[WRITE_PROTECTED.to_owned()]);
        let token = Pkcs11::open("hsm", settings).await.unwrap();
        signs(&token, &key, 1).await.unwrap();
        token.health().await.unwrap();
        let refused = token.generate(&template(Algorithm::Secp256k1)).await;
        assert!(
            matches!(refused, Err(CustodyError::Unsupported(_))),
            "{refused:?}"
        );
        let refused = token.destroy(&key.place).await;
        assert!(
            matches!(refused, Err(CustodyError::Unsupported(_))),
            "{refused:?}"
        );
        signs(&token, &key, 2).await.unwrap();
    });
}

#[test]
fn a_token_that_one_wrong_pin_would_lock_is_not_logged_in_to() {
    let name = "a_token_that_one_wrong_pin_would_lock_is_not_logged_in_to";
    run(name, async |settings, faults| {
        for (flag, word) in [(FINAL_TRY, "FINAL_TRY"), (LOCKED, "LOCKED")] {
            faults.set(&[flag.to_owned(), "C_Login 1 * note".to_owned()]);
            for _ in 0..3 {
                let refused = Pkcs11::open("hsm", settings.clone()).await;
                let why = refused.err().expect("it is not opened").to_string();
                assert!(why.contains(word), "{why}");
            }
            assert_eq!(faults.struck("C_Login"), 0);
        }
        // Somebody logged in with the right PIN elsewhere: no restart is needed.
        faults.heal();
        Pkcs11::open("hsm", settings).await.unwrap();
    });
}

#[test]
fn signatures_without_their_zeros_and_bare_points_are_understood() {
    let name = "signatures_without_their_zeros_and_bare_points_are_understood";
    run(name, async |settings, faults| {
        faults.set(&["C_GetAttributeValue 1 * bare-point".to_owned()]);
        let token = Pkcs11::open("hsm", settings).await.unwrap();
        let key = made(&token, Algorithm::Secp256k1).await;
        assert_eq!(
            token.inspect(&key.place).await.unwrap().public_key,
            key.public_key
        );
        for seed in 0..4 {
            faults.falsify(1, "stripped");
            let payload = payload(Algorithm::Secp256k1, seed);
            let raw = token.sign(&permit(&key, payload.clone())).await.unwrap();
            assert!(verifies(&key, &payload, &raw));
            let RawSignature::Ecdsa(raw) = raw else {
                panic!("{raw:?}")
            };
            assert!(raw[0] == 0 || raw[32] == 0, "a zero was left away");
            assert_eq!(faults.struck("C_Sign"), usize::from(seed) + 1);
        }
    });
}

/// Waits until it is so, or for 20 seconds.
async fn eventually(so: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !so().await {
        assert!(Instant::now() < end, "it never came");
        tokio::task::yield_now().await;
    }
}
