//! Against an emulated KMS, and what KMS can do wrong.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::custody::conformance::import::takes_private_keys;
use crate::custody::conformance::{
    conforms, made, payload, permit, permit_for, seals, skipped, verifies,
};
use crate::id::CallerId;
use crate::signing::{BadSignature, Checked};

#[path = "../../../tests/support/kms.rs"]
mod kms;

use kms::{Fault, MiniStack, Proxy};

fn settings(url: &str) -> Settings {
    Settings {
        endpoint_url: Some(url.to_owned()),
        ..serde_json::from_value(json!({ "region": kms::REGION })).unwrap()
    }
}

/// A device with credentials of its own, for a process has one environment.
fn device(settings: Settings) -> AwsKms {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let host = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let client = tries::client_of(&host, &settings);
    let device = AwsKms::new("kms", settings).unwrap();
    device.client.set(client).unwrap();
    device
}

/// Runs `body` with an emulated KMS, and a proxy in front of it.
fn run(body: impl AsyncFnOnce(MiniStack, Proxy)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match MiniStack::start().await {
            Ok(server) => {
                let proxy = Proxy::start(&server.url).await;
                body(server, proxy).await;
            }
            Err(why) => skipped(&format!("no MiniStack: {why}")),
        }
    });
}

#[test]
fn an_emulated_kms_conforms() {
    run(async |server, _| {
        let arn = server.sealing_key().await;
        let settings = Settings {
            sealing_key: Some(DeviceRef::try_from(arn).unwrap()),
            attempt_timeout_ms: 5_000, // making a large RSA key takes a Python program a while
            timeout_ms: 10_000,
            ..settings(&server.url)
        };
        let kms: Arc<dyn Custody> = Arc::new(device(settings.clone()));
        seals(&kms, async || device(settings.clone())).await;
        let (attributes, high) = conforms(kms).await;
        assert!((1..128).contains(&high), "both halves of s occur: {high}");
        for (name, value) in [
            ("local", true),
            ("sensitive", true),
            ("never-extractable", true),
            ("extractable", false),
            ("sign", true),
            ("decrypt", false),
            ("multi-region", false),
            ("customer-managed", true),
            ("enabled", true),
        ] {
            assert_eq!(attributes.get(name), Some(&value), "{name}");
        }
    });
}

#[test]
fn an_emulated_kms_takes_private_keys_that_pass_through_wrapped() {
    run(async |server, _| {
        let settings = Settings {
            attempt_timeout_ms: 10_000, // making the wrapping key takes a Python program a while
            timeout_ms: 20_000,
            ..settings(&server.url)
        };
        let (kms, second) = (device(settings.clone()), device(settings));
        let attributes = takes_private_keys(&kms, &second).await;
        for (name, value) in [
            ("local", false),
            ("sensitive", true),
            ("extractable", false),
            ("never-extractable", false),
            ("sign", true),
            ("enabled", true),
        ] {
            assert_eq!(attributes.get(name), Some(&value), "{name}");
        }
    });
}

/// Off unless the environment names a region: it makes keys in the account and schedules their deletion.
#[test]
fn the_real_kms_conforms() {
    #[expect(clippy::disallowed_methods, reason = "a test reads its own switches")]
    let Ok(region) = std::env::var("CHANCERY_TEST_AWS_KMS") else {
        println!("skipped: CHANCERY_TEST_AWS_KMS names no region");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let settings = Settings {
            deletion_window_days: 7,
            ..serde_json::from_value(json!({ "region": region })).unwrap()
        };
        let kms: Arc<dyn Custody> = Arc::new(AwsKms::new("kms", settings).unwrap());
        conforms(kms).await;
    });
}

#[test]
fn a_key_carries_its_tags_from_the_start() {
    run(async |server, proxy| {
        let kms = device(settings(&proxy.url));
        let wanted = crate::custody::conformance::wanted(Algorithm::Secp256k1);
        // It is made, and nobody hears of it.
        proxy.fail("CreateKey", 1, Fault::Lost);
        let lost = kms.generate(&wanted).await;
        assert!(
            matches!(lost, Err(CustodyError::Unavailable(_))),
            "{lost:?}"
        );
        assert_eq!(proxy.calls("CreateKey"), 1, "not ordered twice");
        let place = Place {
            id: wanted.id,
            algorithm: wanted.algorithm,
            device_ref: None,
        };
        let found = kms.inspect(&place).await.unwrap();
        let arn = found.device_ref.unwrap();
        let tags = json!({ "KeyId": arn.as_str() });
        let tags = server.call("ListResourceTags", &tags).await["Tags"].to_string();
        for tag in [
            "chancery-key-id",
            "chancery-owner",
            "desk 1",
            "chancery-purpose",
        ] {
            assert!(tags.contains(tag), "{tag}: {tags}");
        }
        assert!(tags.contains(&wanted.id.to_string()), "{tags}");
        // KMS is slow to know what it made.
        proxy.fail("DescribeKey", 3, Fault::Error(400, "NotFoundException"));
        made(&kms, Algorithm::Secp256k1).await;
    });
}

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

#[test]
fn a_key_is_disabled_enabled_given_up_and_brought_back() {
    run(async |server, _| {
        let kms = device(settings(&server.url));
        let key = made(&kms, Algorithm::Rsa2048).await;
        let sign = async || {
            let payload = payload(Algorithm::Rsa2048, 1);
            kms.sign(&permit(&key, payload)).await
        };
        kms.enable(&key.place, false).await.unwrap();
        assert!(matches!(sign().await, Err(CustodyError::Disabled(_))));
        assert!(!kms.inspect(&key.place).await.unwrap().attributes["enabled"]);
        kms.enable(&key.place, true).await.unwrap();
        sign().await.unwrap();

        let due = kms.destroy(&key.place).await.unwrap();
        let Destruction::Due(date) = due else {
            panic!("KMS destroys nothing at once");
        };
        let days = (date - crate::clock::Clock::system().now()).whole_days();
        assert!((29..=30).contains(&days), "{days}");
        assert!(matches!(
            sign().await,
            Err(CustodyError::PendingDeletion(_))
        ));
        let gone = kms.inspect(&key.place).await;
        assert!(
            matches!(gone, Err(CustodyError::PendingDeletion(_))),
            "{gone:?}"
        );
        kms.restore(&key.place).await.unwrap();
        assert!(matches!(sign().await, Err(CustodyError::Disabled(_))));
        kms.enable(&key.place, true).await.unwrap();
        sign().await.unwrap();
    });
}

#[test]
fn only_a_key_for_signing_is_adopted_and_only_by_its_arn() {
    run(async |server, proxy| {
        let kms = device(settings(&proxy.url));
        let spec = |spec: &str, usage: &str| json!({ "KeySpec": spec, "KeyUsage": usage });
        let look = async |arn: &str| {
            let arn = DeviceRef::try_from(arn.to_owned()).unwrap();
            kms.look_up(&arn).await
        };
        for (name, algorithm) in [
            ("ECC_SECG_P256K1", Algorithm::Secp256k1),
            ("RSA_3072", Algorithm::Rsa3072),
        ] {
            let arn = server.create(&spec(name, "SIGN_VERIFY")).await;
            let found = look(&arn).await.unwrap();
            assert_eq!(found.public_key.algorithm(), Some(algorithm));
            assert_eq!(found.device_ref.unwrap().as_str(), arn);
        }
        let good = server.create(&spec("ECC_SECG_P256K1", "SIGN_VERIFY")).await;
        let id = good.rsplit('/').next().unwrap().to_owned();
        let alias = json!({ "AliasName": "alias/wallet", "TargetKeyId": id });
        server.call("CreateAlias", &alias).await;
        let disabled = server.create(&spec("RSA_2048", "SIGN_VERIFY")).await;
        server
            .call("DisableKey", &json!({ "KeyId": disabled }))
            .await;
        let deleted = server.create(&spec("RSA_2048", "SIGN_VERIFY")).await;
        server
            .call(
                "ScheduleKeyDeletion",
                &json!({ "KeyId": deleted, "PendingWindowInDays": 7 }),
            )
            .await;
        for (what, arn) in [
            ("an id", id.clone()),
            ("an alias", "alias/wallet".to_owned()),
            (
                "an alias's ARN",
                good.replace(&format!("key/{id}"), "alias/wallet"),
            ),
            ("another region", good.replace(kms::REGION, "eu-west-1")),
            (
                "no key",
                good.replace(&id, "00000000-0000-0000-0000-000000000000"),
            ),
            (
                "another curve",
                server.create(&spec("ECC_NIST_P256", "SIGN_VERIFY")).await,
            ),
            (
                "for encryption",
                server.create(&spec("RSA_2048", "ENCRYPT_DECRYPT")).await,
            ),
            ("symmetric", server.create(&json!({})).await),
            ("disabled", disabled),
            ("scheduled for deletion", deleted),
        ] {
            let refused = look(&arn).await;
            assert!(
                matches!(refused, Err(CustodyError::NotAdoptable(_))),
                "{what}: {refused:?}"
            );
        }
        // What cannot be made here is what KMS may answer all the same.
        for (member, value) in [
            ("MultiRegion", json!(true)),
            ("KeyManager", json!("AWS")),
            ("KeyUsage", json!("KEY_AGREEMENT")),
        ] {
            let change = move |mut body: Value| {
                body["KeyMetadata"][member] = value.clone();
                body
            };
            proxy.fail("DescribeKey", 1, Fault::Answer(Arc::new(change)));
            let refused = look(&good).await;
            assert!(
                matches!(refused, Err(CustodyError::NotAdoptable(_))),
                "{member}: {refused:?}"
            );
        }
    });
}

#[test]
fn nothing_is_sealed_under_a_key_that_is_not_meant_for_it() {
    run(async |server, proxy| {
        let meant = server.sealing_key().await;
        let with = |arn: Option<&String>| {
            device(Settings {
                sealing_key: arn.map(|arn| DeviceRef::try_from(arn.clone()).unwrap()),
                ..settings(&proxy.url)
            })
        };
        let untagged = server.create(&json!({})).await;
        for arn in [None, Some(&untagged)] {
            let refused = with(arn).seal(b"row", b"secret").await;
            let why = matches!(
                refused,
                Err(CustodyError::Unsupported(_) | CustodyError::Refused(_))
            );
            assert!(why, "{refused:?}");
        }
        let kms = with(Some(&meant));
        let sealed = kms.seal(b"row", b"secret").await.unwrap();
        for _ in 0..20 {
            kms.seal(b"row", b"secret").await.unwrap();
            assert_eq!(**kms.open(b"row", &sealed).await.unwrap(), *b"secret");
        }
        assert_eq!(proxy.calls("GenerateDataKey"), 1);
        assert_eq!(proxy.calls("Decrypt"), 1);
        // A sealing key that is gone is not a secret that does not open.
        server.call("DisableKey", &json!({ "KeyId": meant })).await;
        let away = with(Some(&meant)).open(b"row", &sealed).await;
        assert!(matches!(away, Err(CustodyError::Disabled(_))), "{away:?}");
        assert!(with(Some(&meant)).health().await.is_err());
    });
}

#[test]
fn settings_that_cannot_be_are_refused_at_the_start() {
    let good = settings("http://127.0.0.1:1");
    AwsKms::new("kms", good.clone()).unwrap();
    let alias = "arn:aws:kms:us-east-1:1:alias/x".to_owned();
    for bad in [
        settings("http://kms.example"),
        settings("kms"),
        Settings {
            deletion_window_days: 3,
            ..good.clone()
        },
        Settings {
            attempts: 0,
            ..good.clone()
        },
        Settings {
            queue: 0,
            ..good.clone()
        },
        Settings {
            ecc_per_second: 0,
            ..good.clone()
        },
        Settings {
            sealing_key: Some(DeviceRef::try_from(alias).unwrap()),
            ..good
        },
    ] {
        assert!(AwsKms::new("kms", bad).is_err());
    }
}

#[test]
fn a_former_sealing_key_opens_as_long_as_the_configuration_names_it() {
    run(async |server, proxy| {
        let arn = |text: String| DeviceRef::try_from(text).unwrap();
        let (old, new) = (
            arn(server.sealing_key().await),
            arn(server.sealing_key().await),
        );
        let with = |current: &DeviceRef, former: &[&DeviceRef]| {
            device(Settings {
                sealing_key: Some(current.clone()),
                former_sealing_keys: former.iter().map(|&arn| arn.clone()).collect(),
                ..settings(&proxy.url)
            })
        };
        let before = with(&old, &[]);
        let sealed = before.seal(b"row", b"secret").await.unwrap();
        assert_eq!(before.sealed_under(&sealed), Some(old.to_string()));

        let during = with(&new, &[&old]);
        assert_eq!(**during.open(b"row", &sealed).await.unwrap(), *b"secret");
        let fresh = during.seal(b"row", b"secret").await.unwrap();
        assert_eq!(during.sealed_under(&fresh), Some(new.to_string()));
        let seals = |key: DeviceSealingKey| (key.id, key.seals);
        let listed: Vec<_> = during
            .sealing_keys()
            .await
            .unwrap()
            .into_iter()
            .map(seals)
            .collect();
        assert_eq!(listed, [(new.to_string(), true), (old.to_string(), false)]);

        let after = with(&new, &[]);
        assert_eq!(**after.open(b"row", &fresh).await.unwrap(), *b"secret");
        assert_eq!(after.sealed_under(&sealed), None);
        let missing = after.open(b"row", &sealed).await;
        assert!(
            matches!(missing, Err(CustodyError::SealingKeyMissing(_))),
            "{missing:?}"
        );
        // The id is bound: said to be the other key's, it does not open.
        let mut renamed = sealed.clone();
        renamed[1..9].copy_from_slice(&fresh[1..9]);
        assert!(during.open(b"row", &renamed).await.is_err());
    });
}
