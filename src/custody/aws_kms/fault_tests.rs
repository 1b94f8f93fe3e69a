//! What KMS can do wrong, and what becomes of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::tests::kms::Fault;
use super::tests::{device, run, settings};
use super::*;
use crate::custody::conformance::{made, payload, permit, permit_for, verifies};
use crate::id::CallerId;
use crate::signing::{BadSignature, Checked};

#[test]
fn a_call_that_failed_is_made_again_and_counted() {
    run(async |_, proxy| {
        let kms = device(Settings {
            attempt_timeout_ms: 300,
            ..settings(&proxy.url)
        });
        let key = made(&kms, Algorithm::Secp256k1).await;
        let payload = payload(Algorithm::Secp256k1, 1);
        for fault in [
            Fault::Error(400, "ThrottlingException"),
            Fault::Error(500, "KMSInternalException"),
            Fault::Error(503, "KeyUnavailableException"),
            Fault::Error(503, "DependencyTimeoutException"),
            Fault::Reset,
            Fault::Lost,
            Fault::Html,
            Fault::Delay(Duration::from_millis(600)),
        ] {
            proxy.fail("Sign", 2, fault);
            let permit = permit(&key, payload.clone());
            let raw = kms.sign(&permit).await.unwrap();
            assert!(verifies(&key, &payload, &raw));
            assert_eq!(permit.get().action().tries.repeated(), Some(3));
        }
        let permit = permit(&key, payload.clone());
        kms.sign(&permit).await.unwrap();
        assert_eq!(permit.get().action().tries.repeated(), None);
    });
}

#[test]
fn an_end_is_told_by_its_cause() {
    type Is = fn(&CustodyError) -> bool;
    run(async |_, proxy| {
        let kms = device(Settings {
            attempt_timeout_ms: 200,
            ..settings(&proxy.url)
        });
        let key = made(&kms, Algorithm::Secp256k1).await;
        let cases: [(Fault, Is, usize); 11] = [
            (
                Fault::Error(400, "ThrottlingException"),
                |e| matches!(e, CustodyError::Throttled { .. }),
                3,
            ),
            (
                Fault::Error(500, "KMSInternalException"),
                |e| matches!(e, CustodyError::Unavailable(_)),
                3,
            ),
            (
                Fault::Delay(Duration::from_millis(400)),
                |e| matches!(e, CustodyError::TimedOut),
                3,
            ),
            (
                Fault::Reset,
                |e| matches!(e, CustodyError::Unavailable(_)),
                3,
            ),
            (
                Fault::Error(400, "DisabledException"),
                |e| matches!(e, CustodyError::Disabled(_)),
                1,
            ),
            (
                Fault::Error(400, "KMSInvalidStateException"),
                |e| matches!(e, CustodyError::PendingDeletion(_)),
                1,
            ),
            (
                Fault::Error(400, "NotFoundException"),
                |e| matches!(e, CustodyError::NotFound { .. }),
                1,
            ),
            (
                Fault::Error(400, "InvalidKeyUsageException"),
                |e| matches!(e, CustodyError::WrongUsage(_)),
                1,
            ),
            (
                Fault::Error(400, "AccessDeniedException"),
                |e| matches!(e, CustodyError::AccessDenied(_)),
                1,
            ),
            (
                Fault::Error(400, "ExpiredTokenException"),
                |e| matches!(e, CustodyError::AccessDenied(_)),
                1,
            ),
            (
                Fault::Error(400, "LimitExceededException"),
                |e| matches!(e, CustodyError::Refused(_)),
                1,
            ),
        ];
        for (fault, is, calls) in cases {
            let before = proxy.calls("Sign");
            proxy.fail("Sign", usize::MAX, fault);
            let permit = permit(&key, payload(Algorithm::Secp256k1, 1));
            let error = kms.sign(&permit).await.unwrap_err();
            assert!(is(&error), "{error:?}");
            assert_eq!(proxy.calls("Sign") - before, calls, "{error:?}");
            proxy.heal();
            kms.breaker.worked();
        }
    });
}

#[test]
fn nothing_but_the_right_signature_passes_the_check() {
    run(async |server, proxy| {
        let kms = device(settings(&proxy.url));
        let key = made(&kms, Algorithm::Secp256k1).await;
        let spec = json!({ "KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY" });
        let other = server.create(&spec).await;
        let payload = payload(Algorithm::Secp256k1, 1);
        let set =
            |member: &'static str, value: Value| -> Arc<dyn Fn(Value) -> Value + Send + Sync> {
                Arc::new(move |mut body: Value| {
                    body[member] = value.clone();
                    body
                })
            };
        let bytes = |change: fn(Vec<u8>) -> Vec<u8>| {
            Fault::Answer(Arc::new(move |mut body: Value| {
                let der = STANDARD
                    .decode(body["Signature"].as_str().unwrap())
                    .unwrap();
                body["Signature"] = STANDARD.encode(change(der)).into();
                body
            }))
        };
        let nonsense = [
            (
                "another key signs",
                Fault::Ask(set("KeyId", other.clone().into())),
            ),
            ("no signature", Fault::Answer(set("Signature", Value::Null))),
            ("cut", bytes(|der| der[..der.len() - 1].to_vec())),
            ("overlong", bytes(|der| [der, vec![0]].concat())),
            ("empty", bytes(|_| Vec::new())),
            ("zero", bytes(|_| vec![0x30, 6, 2, 1, 0, 2, 1, 0])),
        ];
        for (what, fault) in nonsense {
            proxy.fail("Sign", 1, fault);
            let refused = kms.sign(&permit(&key, payload.clone())).await;
            assert!(
                matches!(refused, Err(CustodyError::NotASignature(_))),
                "{what}: {refused:?}"
            );
        }
        // What looks like a signature is found out under the public key on record.
        let another_digest = STANDARD.encode([9; 32]);
        let this_key = key.place.device_ref.clone().unwrap().to_string();
        let (swap, restore) = (other.clone(), this_key);
        let lies = [
            (
                "another digest",
                vec![Fault::Ask(set("Message", another_digest.into()))],
            ),
            (
                "r is not that of any such signature",
                vec![bytes(|mut der| {
                    let last = der.len() - 1;
                    der[last] ^= 1;
                    der
                })],
            ),
        ];
        for (what, faults) in lies {
            for fault in faults {
                proxy.fail("Sign", 1, fault);
            }
            let permit = permit(&key, payload.clone());
            let raw = kms.sign(&permit).await.unwrap();
            let checked = Checked::check(&raw, permit.get().action());
            assert!(
                matches!(checked, Err(BadSignature::Ecdsa(_))),
                "{what}: {checked:?}"
            );
        }
        // Another key signs, and the answer says that it was ours.
        let signed = server
            .call(
                "Sign",
                &json!({
                    "KeyId": swap, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256",
                    "Message": STANDARD.encode([1; 32]),
                }),
            )
            .await;
        let signature = signed["Signature"].clone();
        proxy.fail(
            "Sign",
            1,
            Fault::Answer(Arc::new(move |mut body: Value| {
                body["KeyId"] = restore.clone().into();
                body["Signature"] = signature.clone();
                body
            })),
        );
        let permit = permit(&key, payload);
        let raw = kms.sign(&permit).await.unwrap();
        assert!(Checked::check(&raw, permit.get().action()).is_err());
    });
}

#[test]
fn a_flood_is_refused_early_and_leaves_room_for_others() {
    run(async |_, proxy| {
        let kms = Arc::new(device(Settings {
            ecc_per_second: 20,
            timeout_ms: 1_000,
            queue: 16,
            ..settings(&proxy.url)
        }));
        let key = made(&*kms, Algorithm::Secp256k1).await;
        let (flood, one) = (CallerId::new(), CallerId::new());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (kms, key) = (kms.clone(), key.clone());
            tasks.spawn(async move {
                let payload = payload(Algorithm::Secp256k1, number);
                let start = Instant::now();
                let signed = kms.sign(&permit_for(flood, &key, payload)).await;
                (signed, start.elapsed())
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for number in 0..3 {
            let payload = payload(Algorithm::Secp256k1, number);
            kms.sign(&permit_for(one, &key, payload)).await.unwrap();
        }
        let (mut signed, mut refused) = (0, 0);
        for (outcome, took) in tasks.join_all().await {
            match outcome {
                Ok(_) => signed += 1,
                Err(CustodyError::Throttled { retry_after }) => {
                    assert!(!retry_after.is_zero());
                    assert!(
                        took < Duration::from_millis(900),
                        "as late as a time-out: {took:?}"
                    );
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(
            signed >= 10 && refused >= 60,
            "{signed} signed, {refused} refused"
        );
    });
}

#[test]
fn a_kms_that_is_away_is_left_alone_and_found_again() {
    run(async |_, proxy| {
        let kms = device(settings(&proxy.url));
        let key = made(&kms, Algorithm::Secp256k1).await;
        let sign = async || {
            let payload = payload(Algorithm::Secp256k1, 1);
            kms.sign(&permit(&key, payload)).await
        };
        proxy.fail("Sign", usize::MAX, Fault::Reset);
        for _ in 0..6 {
            let away = sign().await;
            assert!(
                matches!(away, Err(CustodyError::Unavailable(_))),
                "{away:?}"
            );
        }
        let calls = proxy.calls("Sign");
        assert!(calls <= 9, "it was asked on and on: {calls}");
        proxy.heal();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        sign().await.unwrap();
        sign().await.unwrap();
    });
}
