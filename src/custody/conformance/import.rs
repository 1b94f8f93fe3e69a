//! What every backend promises that takes private keys from outside.

use super::*;
use crate::custody::wrapping::wrap;
use crate::custody::{Importer, Material, Offer};

/// Goes through it on a device and on another opened on the same one, as a second replica is. Returns
/// the attributes of a wallet key that was brought.
pub(crate) async fn takes_private_keys(
    custody: &dyn Custody,
    second: &dyn Custody,
) -> crate::custody::Attributes {
    let vectors = include_str!("../../../tests/vectors/private-keys.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let golden = |name: &str| {
        let text = vectors["good"][name]["text"].as_str().unwrap();
        Material::read(text.as_bytes()).unwrap()
    };
    for name in ["sec1", "rsa2048-pkcs1"] {
        brought_by_another_replica(custody, second, &golden(name)).await;
    }
    let other = Material::read(&[b'1'; 64]).unwrap();
    another_key_is_not_kept(custody, &golden("hex"), &other).await;
    another_key_is_not_kept(custody, &golden("hex"), &golden("rsa2048-pkcs8")).await;
    what_does_not_unwrap_changes_nothing(custody, &golden("pkcs8")).await;
    let (key, _) = announce(custody, &golden("hex")).await;
    importer(custody).forget_import(&key.place).await.unwrap();
    absent(&custody.inspect(&key.place).await, key.place.id);

    let wallet = Material::read(&[b'2'; 64]).unwrap();
    let (key, offer) = announce(custody, &wallet).await;
    let brought = importer(custody)
        .import(&key, &offer.ticket, &wrapped(&offer, &wallet))
        .await
        .unwrap();
    brought.attributes
}

fn importer(custody: &dyn Custody) -> &dyn Importer {
    custody.imports().unwrap()
}

/// A key that is going to be brought.
async fn announce(custody: &dyn Custody, material: &Material) -> (KeyRef, Offer) {
    let template = template(material.algorithm());
    let offer = importer(custody)
        .prepare_import(&template, None)
        .await
        .unwrap();
    let place = Place {
        id: template.id,
        algorithm: template.algorithm,
        device_ref: offer.device_ref.clone(),
    };
    absent(&custody.inspect(&place).await, place.id);
    let public_key = material.public_key().clone();
    (KeyRef { place, public_key }, offer)
}

fn wrapped(offer: &Offer, material: &Material) -> Vec<u8> {
    wrap(offer.scheme, &offer.wrapping_key, material.pkcs8()).unwrap()
}

async fn brought_by_another_replica(
    custody: &dyn Custody,
    second: &dyn Custody,
    material: &Material,
) {
    // Begun twice: the first may have died. What was wrapped for the first is worth nothing.
    let template = template(material.algorithm());
    let first = importer(custody)
        .prepare_import(&template, None)
        .await
        .unwrap();
    let mut place = Place {
        id: template.id,
        algorithm: template.algorithm,
        device_ref: None, // it was not written down
    };
    let offer = importer(custody)
        .prepare_import(&template, Some(&place))
        .await
        .unwrap();
    assert_eq!(offer.device_ref, first.device_ref, "one object, not two");
    place.device_ref = first.device_ref;
    let key = KeyRef {
        place,
        public_key: material.public_key().clone(),
    };
    let wrapped = wrapped(&offer, material);
    let brought = importer(second)
        .import(&key, &offer.ticket, &wrapped)
        .await
        .unwrap();
    assert_eq!(&brought.public_key, material.public_key());
    assert_eq!(brought.attributes.get("local"), Some(&false));
    for device in [custody, second] {
        let inspected = device.inspect(&key.place).await.unwrap();
        assert_eq!(inspected.public_key, brought.public_key);
        assert_eq!(inspected.attributes, brought.attributes);
        for seed in 0..4 {
            let payload = payload(key.place.algorithm, seed);
            let raw = device.sign(&permit(&key, payload.clone())).await.unwrap();
            assert!(verifies(&key, &payload, &raw));
        }
    }
    custody.destroy(&key.place).await.unwrap();
}

async fn another_key_is_not_kept(custody: &dyn Custody, announced: &Material, other: &Material) {
    let (key, offer) = announce(custody, announced).await;
    let refused = importer(custody)
        .import(&key, &offer.ticket, &wrapped(&offer, other))
        .await;
    if other.algorithm() == announced.algorithm() {
        let not_the_key = matches!(refused, Err(CustodyError::NotTheKey(_)));
        assert!(not_the_key, "{refused:?}");
    } else {
        assert!(refused.is_err(), "{refused:?}");
    }
    let payload = payload(key.place.algorithm, 0);
    assert!(custody.sign(&permit(&key, payload)).await.is_err());
    assert!(custody.inspect(&key.place).await.is_err());
}

async fn what_does_not_unwrap_changes_nothing(custody: &dyn Custody, material: &Material) {
    let (key, offer) = announce(custody, material).await;
    let good = wrapped(&offer, material);
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    for bad in [&[], &good[..good.len() - 8], &good[..100], &altered[..]] {
        let refused = importer(custody).import(&key, &offer.ticket, bad).await;
        let told = matches!(refused, Err(CustodyError::DoesNotUnwrap));
        // KMS has other words for what is too short.
        let told = told || (bad.len() < 300 && matches!(refused, Err(CustodyError::Refused(_))));
        assert!(told, "{}: {refused:?}", bad.len());
        absent(&custody.inspect(&key.place).await, key.place.id);
    }
    let brought = importer(custody)
        .import(&key, &offer.ticket, &good)
        .await
        .unwrap();
    assert_eq!(&brought.public_key, material.public_key());
    custody.destroy(&key.place).await.unwrap();
}
