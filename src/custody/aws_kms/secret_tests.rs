//! Secrets sealed under an emulated KMS.

use super::tests::{device, run, settings};
use super::*;
use crate::custody::DeviceRef;
use crate::custody::DeviceSealingKey;
use serde_json::json;

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
