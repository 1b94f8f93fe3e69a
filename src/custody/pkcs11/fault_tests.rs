//! What a token can do wrong that no soft token does: in front of one, a module fails on command.

use std::time::Duration;
use std::time::Instant;

use super::*;
use crate::custody::conformance::softhsm::faults::{Faults, code};
use crate::custody::conformance::{made, payload, permit, softhsm, verifies};
use crate::custody::{Algorithm, KeyRef};

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

async fn signs(token: &Pkcs11, key: &KeyRef) -> Result<Option<u32>, CustodyError> {
    let payload = payload(key.place.algorithm, 1);
    let permit = permit(key, payload.clone());
    let raw = token.sign(&permit).await?;
    assert!(verifies(key, &payload, &raw));
    Ok(permit.get().action().tries.repeated())
}

/// Signs, once the token is found to be back; how long that took.
async fn signs_again(token: &Pkcs11, key: &KeyRef, what: &str) -> Duration {
    let since = Instant::now();
    while let Err(error) = signs(token, key).await {
        assert!(error.may_pass(), "{what}: {error}");
        assert!(since.elapsed() < Duration::from_secs(30), "{what}: {error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    token.ready().await.unwrap();
    since.elapsed()
}

#[test]
fn a_code_that_comes_once_costs_no_signature_and_one_that_stays_is_recovered_from() {
    const EVERYWHERE: &[&str] = &["C_Sign", "C_SignInit", "C_FindObjectsInit", "C_OpenSession"];
    let rungs: &[(u64, &[&str])] = &[
        (code::OBJECT_HANDLE_INVALID, &["C_Sign", "C_SignInit"]),
        (code::KEY_HANDLE_INVALID, &["C_Sign", "C_SignInit"]),
        (
            code::SESSION_HANDLE_INVALID,
            &["C_Sign", "C_SignInit", "C_FindObjectsInit"],
        ),
        (
            code::SESSION_CLOSED,
            &["C_Sign", "C_SignInit", "C_FindObjectsInit"],
        ),
        (
            code::OPERATION_ACTIVE,
            &["C_Sign", "C_SignInit", "C_FindObjectsInit"],
        ),
        (code::USER_NOT_LOGGED_IN, &["C_Sign", "C_SignInit"]),
        (code::DEVICE_ERROR, EVERYWHERE),
        (code::DEVICE_REMOVED, EVERYWHERE),
        (code::TOKEN_NOT_PRESENT, EVERYWHERE),
        (code::GENERAL_ERROR, EVERYWHERE),
        (code::FUNCTION_FAILED, EVERYWHERE),
        (code::CRYPTOKI_NOT_INITIALIZED, EVERYWHERE),
    ];
    run(
        "a_code_that_comes_once_costs_no_signature_and_one_that_stays_is_recovered_from",
        async |settings, faults| {
            let settings = Settings {
                sessions: 1,
                ..settings
            };
            let token = Pkcs11::open("hsm", settings).await.unwrap();
            let key = made(&token, Algorithm::Secp256k1).await;
            for (code, functions) in rungs {
                for function in *functions {
                    let what = format!("{code:#x} from {function}");
                    // A session and a handle are remembered; what finds and opens comes with a new one.
                    let anew = !function.starts_with("C_Sign");
                    let first = if anew { "C_SignInit 1 1 code 0xb3" } else { "" };
                    faults.set(&[first.into(), format!("{function} 1 1 code {code:#x}")]);
                    let tries = signs(&token, &key).await;
                    assert!(matches!(tries, Ok(Some(2..))), "{what}: {tries:?}");
                    assert!(faults.struck(function) > 0, "{what}");
                    assert_eq!(signs(&token, &key).await.unwrap(), None, "{what}");

                    faults.set(&[
                        first.replace(" 1 1 ", " 1 * "),
                        format!("{function} 1 * code {code:#x}"),
                    ]);
                    let away = signs(&token, &key).await;
                    assert!(
                        matches!(away, Err(CustodyError::Unavailable(_))),
                        "{what}: {away:?}"
                    );
                    faults.heal();
                    let took = signs_again(&token, &key, &what).await;
                    println!("{what}: signs again after {} ms", took.as_millis());
                }
            }
        },
    );
}

#[test]
fn a_token_out_of_memory_is_left_alone_and_found_again() {
    run(
        "a_token_out_of_memory_is_left_alone_and_found_again",
        async |settings, faults| {
            let token = Pkcs11::open("hsm", settings).await.unwrap();
            let key = made(&token, Algorithm::Secp256k1).await;
            for code in [code::DEVICE_MEMORY, code::HOST_MEMORY] {
                faults.set(&[
                    format!("C_Sign 1 * code {code:#x}"),
                    format!("C_GetSessionInfo 1 * code {code:#x}"),
                ]);
                let away = signs(&token, &key).await;
                assert!(
                    matches!(away, Err(CustodyError::Unavailable(_))),
                    "{away:?}"
                );
                let ready = token.ready().await;
                assert!(
                    matches!(ready, Err(CustodyError::Unavailable(_))),
                    "{ready:?}"
                );
                let before = faults.struck("C_Sign");
                for _ in 0..20 {
                    assert!(signs(&token, &key).await.is_err());
                }
                assert_eq!(faults.struck("C_Sign"), before, "it is left alone");
                faults.heal();
                let took = signs_again(&token, &key, "memory").await;
                println!("{code:#x}: signs again after {} ms", took.as_millis());
            }
        },
    );
}

#[test]
fn a_refused_pin_is_given_once_and_never_again() {
    run(
        "a_refused_pin_is_given_once_and_never_again",
        async |settings, faults| {
            for code in [code::PIN_INCORRECT, code::PIN_LOCKED] {
                faults.fail_always("C_Login", code);
                let before = faults.struck("C_Login");
                let refused = Pkcs11::open("hsm", settings.clone()).await;
                assert!(
                    matches!(refused, Err(CustodyError::PinRefused)),
                    "{code:#x}"
                );
                assert_eq!(faults.struck("C_Login"), before + 1, "{code:#x}");
            }
            faults.heal();
            let token = Pkcs11::open("hsm", settings).await.unwrap();
            let key = made(&token, Algorithm::Secp256k1).await;
            // The login is lost, and the PIN was changed meanwhile.
            let wrong = code::PIN_INCORRECT;
            let (gone, not_in) = (code::DEVICE_REMOVED, code::USER_NOT_LOGGED_IN);
            let before = faults.struck("C_Login");
            faults.set(&[
                format!("C_Sign 1 1 code {not_in:#x}"),
                format!("C_SignInit 2 1 code {gone:#x}"),
                format!("C_Login 1 * code {wrong:#x}"),
            ]);
            for _ in 0..20 {
                let refused = signs(&token, &key).await;
                assert!(
                    matches!(refused, Err(CustodyError::PinRefused)),
                    "{refused:?}"
                );
                let ready = token.ready().await;
                assert!(matches!(ready, Err(CustodyError::PinRefused)), "{ready:?}");
            }
            faults.set(&["C_Login 1 * note".into()]);
            tokio::time::sleep(Duration::from_millis(500)).await; // who looks does not log in either
            assert_eq!(faults.struck("C_Login"), before + 1);
        },
    );
}

#[test]
fn a_call_that_hangs_costs_a_thread_and_the_module_goes_on_without_it() {
    run(
        "a_call_that_hangs_costs_a_thread_and_the_module_goes_on_without_it",
        async |settings, faults| {
            let settings = Settings {
                sessions: 2,
                call_timeout_ms: 300,
                replacements: 2,
                ..settings
            };
            let token = Pkcs11::open("hsm", settings).await.unwrap();
            let key = made(&token, Algorithm::Secp256k1).await;
            for round in 0..2 {
                faults.hang("C_Sign", 1);
                let hung = signs(&token, &key).await;
                assert!(matches!(hung, Err(CustodyError::TimedOut)), "{hung:?}");
                let took = signs_again(&token, &key, "hang").await;
                println!("hang {round}: signs again after {} ms", took.as_millis());
            }
            // All of the first crew hang, and two more in their places: nobody is left.
            faults.hang("C_Sign", 9);
            for _ in 0..2 {
                assert!(signs(&token, &key).await.is_err());
            }
            let away = loop {
                match token.ready().await {
                    Ok(()) => drop(signs(&token, &key).await),
                    Err(away) => break away,
                }
            };
            assert!(matches!(away, CustodyError::Unavailable(_)), "{away:?}");
            // They come back, and what they bring is nobody's.
            faults.heal();
            faults.end_hang();
            signs_again(&token, &key, "all hung").await;
            let keys: Vec<_> = [made(&token, Algorithm::Secp256k1).await, key].into();
            for key in keys.iter().cycle().take(20) {
                signs(&token, key).await.unwrap();
            }
        },
    );
}

#[test]
fn who_answers_while_another_hangs_does_not_hide_that_somebody_has_to_look() {
    run(
        "who_answers_while_another_hangs_does_not_hide_that_somebody_has_to_look",
        async |settings, faults| {
            let settings = Settings {
                sessions: 2,
                call_timeout_ms: 200,
                replacements: 0,
                ..settings
            };
            let token = Pkcs11::open("hsm", settings).await.unwrap();
            let key = made(&token, Algorithm::Secp256k1).await;
            faults.hang("C_Sign", 1);
            let (started, starts) = std::sync::mpsc::channel();
            let (end, ends) = std::sync::mpsc::channel::<()>();
            let ends = std::sync::Mutex::new(ends);
            let slow = token.run_long(move |_| {
                started.send(()).unwrap();
                ends.lock().unwrap().recv().unwrap();
                Ok(())
            });
            let hung = async {
                tokio::task::yield_now().await;
                starts.recv().unwrap();
                let hung = signs(&token, &key).await;
                end.send(()).unwrap();
                hung
            };
            let (slow, hung) = tokio::join!(slow, hung);
            assert!(matches!(hung, Err(CustodyError::TimedOut)), "{hung:?}");
            slow.unwrap();
            signs_again(&token, &key, "one hangs, one was slow").await;
            faults.end_hang();
        },
    );
}
