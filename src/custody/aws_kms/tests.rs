//! Against an emulated KMS.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Value, json};

use super::*;
use crate::custody::DeviceRef;
use crate::custody::conformance::import::takes_private_keys;
use crate::custody::conformance::{conforms, made, payload, permit, seals, skipped};

#[path = "../../../tests/support/kms.rs"]
pub(super) mod kms;

use kms::{Fault, MiniStack, Proxy};

pub(super) fn settings(url: &str) -> Settings {
    Settings {
        endpoint_url: Some(url.to_owned()),
        ..serde_json::from_value(json!({ "region": kms::REGION })).unwrap()
    }
}

/// A device with credentials of its own, for a process has one environment.
pub(super) fn device(settings: Settings) -> AwsKms {
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
pub(super) fn run(body: impl AsyncFnOnce(MiniStack, Proxy)) {
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
        let template = crate::custody::conformance::template(Algorithm::Secp256k1);
        // It is made, and nobody hears of it.
        proxy.fail("CreateKey", 1, Fault::Lost);
        let lost = kms.generate(&template).await;
        assert!(
            matches!(lost, Err(CustodyError::Unavailable(_))),
            "{lost:?}"
        );
        assert_eq!(proxy.calls("CreateKey"), 1, "not ordered twice");
        let place = Place {
            id: template.id,
            algorithm: template.algorithm,
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
        assert!(tags.contains(&template.id.to_string()), "{tags}");
        // KMS is slow to know what it made.
        proxy.fail("DescribeKey", 3, Fault::Error(400, "NotFoundException"));
        made(&kms, Algorithm::Secp256k1).await;
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
