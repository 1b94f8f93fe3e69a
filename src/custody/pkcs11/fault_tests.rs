//! What a token can do wrong that no soft token does: in front of one, a module fails on command.

use super::*;
use crate::custody::Algorithm;
use crate::custody::conformance::softhsm::{self, faults::Faults};
use crate::custody::conformance::{made, payload, permit, verifies};

/// A test of this module, by its name, with a token behind the module that fails on command.
fn run(name: &str, body: impl AsyncFnOnce(Settings, Faults)) {
    let name = format!("custody::pkcs11::fault_tests::{name}");
    softhsm::run(&name, async |softhsm| {
        if let Some((settings, faults)) = softhsm.faulty() {
            body(settings, faults).await;
        }
    });
}

#[test]
fn the_module_in_front_changes_signatures_as_it_is_told() {
    run(
        "the_module_in_front_changes_signatures_as_it_is_told",
        async |settings, faults| {
            let token = Pkcs11::open("hsm", settings).await.unwrap();
            let key = made(&token, Algorithm::Secp256k1).await;
            made(&token, Algorithm::Secp256k1).await;
            let sign = async |number| {
                let payload = payload(Algorithm::Secp256k1, number);
                let raw = token.sign(&permit(&key, payload.clone())).await?;
                let verifies = verifies(&key, &payload, &raw);
                let RawSignature::Ecdsa(raw) = raw else {
                    panic!("{raw:?}")
                };
                Ok::<_, CustodyError>((verifies, raw))
            };
            let (good, first) = sign(1).await.unwrap();
            assert!(good);
            for number in 0..4 {
                faults.falsify(1, "high");
                let (good, raw) = sign(number).await.unwrap();
                assert!(good && raw[32] >= 0x7f);
                faults.falsify(1, "low");
                let (good, raw) = sign(number).await.unwrap();
                assert!(good && raw[32] <= 0x7f);
            }
            for (how, check) in [
                (
                    "zero-r",
                    (|raw, _| raw[..32] == [0; 32]) as fn([u8; 64], [u8; 64]) -> bool,
                ),
                ("zero-s", |raw, _| raw[32..] == [0; 32]),
                ("flipped", |raw, _| raw[..32] != [0; 32]),
                ("other-key", |raw, last| raw != last),
                ("earlier", |raw, last| raw == last),
                ("earlier-r", |raw, last| {
                    raw[..32] == last[..32] && raw != last
                }),
            ] {
                faults.heal();
                let (good, last) = sign(8).await.unwrap();
                assert!(good && last != first);
                faults.falsify(1, how);
                let (good, raw) = sign(9).await.unwrap();
                assert!(!good && check(raw, last), "{how}");
                assert!(sign(9).await.unwrap().0, "after {how}");
            }
            for how in ["truncated", "overlong"] {
                faults.falsify(1, how);
                let refused = sign(9).await;
                assert!(
                    matches!(refused, Err(CustodyError::NotASignature(_))),
                    "{how}: {refused:?}"
                );
            }
            assert!(sign(9).await.unwrap().0);
            assert_eq!(faults.struck("C_Sign"), 16);
        },
    );
}
