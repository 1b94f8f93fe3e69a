//! What KMS says of a key, and what a key must be to be used.

use aws_sdk_kms::types::{KeyManagerType, KeyMetadata, KeyState, KeyUsageType, OriginType};

use crate::custody::{Algorithm, Attributes, DeviceKey};

/// What `DescribeKey` says, in the words for all devices. KMS signs none of it.
pub(super) fn attributes(key: &KeyMetadata) -> Attributes {
    let made_here = key.origin() == Some(&OriginType::AwsKms);
    let used_to = |usage: KeyUsageType| key.key_usage() == Some(&usage);
    [
        ("local", made_here),
        ("sensitive", true), // no call of KMS gives a private key out, whichever its origin
        ("always-sensitive", made_here),
        ("extractable", false),
        ("never-extractable", made_here),
        ("sign", used_to(KeyUsageType::SignVerify)),
        ("decrypt", used_to(KeyUsageType::EncryptDecrypt)),
        ("derive", used_to(KeyUsageType::KeyAgreement)),
        ("multi-region", key.multi_region() == Some(true)),
        (
            "customer-managed",
            key.key_manager() == Some(&KeyManagerType::Customer),
        ),
        ("enabled", key.key_state() == Some(&KeyState::Enabled)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Why a key must not be used; `None`: it may.
pub(super) fn unsafe_because(attributes: &Attributes) -> Option<String> {
    let required = [
        ("sign", true),
        ("decrypt", false),
        ("derive", false),
        ("customer-managed", true),
        ("multi-region", false), // its copies in other regions sign past our record of it
        ("enabled", true),
    ];
    required
        .iter()
        .find(|(name, wanted)| attributes.get(*name) != Some(wanted))
        .map(|(name, wanted)| format!("its attribute {name} is not {wanted}"))
}

/// Why a key that KMS made is not what was ordered.
pub(super) fn not_as_ordered(made: &DeviceKey, algorithm: Algorithm) -> Option<String> {
    if made.public_key.algorithm() != Some(algorithm) {
        Some(format!("its public key is not of {algorithm:?}"))
    } else if made.attributes.get("local") != Some(&true) {
        Some("KMS says that it did not make it".to_owned())
    } else {
        unsafe_because(&made.attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_say_what_kms_says_and_no_more() {
        let made = |origin, usage| {
            let key = KeyMetadata::builder()
                .key_id("k")
                .origin(origin)
                .key_usage(usage)
                .key_manager(KeyManagerType::Customer)
                .key_state(KeyState::Enabled)
                .multi_region(false);
            attributes(&key.build().unwrap())
        };
        let ours = made(OriginType::AwsKms, KeyUsageType::SignVerify);
        assert_eq!(unsafe_because(&ours), None);
        assert!(ours["never-extractable"]);
        let imported = made(OriginType::External, KeyUsageType::SignVerify);
        assert_eq!(unsafe_because(&imported), None);
        for name in ["local", "always-sensitive", "never-extractable"] {
            assert!(!imported[name], "{name}");
        }
        let other_use = made(OriginType::AwsKms, KeyUsageType::EncryptDecrypt);
        assert!(unsafe_because(&other_use).unwrap().contains("sign"));
        for (name, value) in [
            ("multi-region", true),
            ("customer-managed", false),
            ("enabled", false),
        ] {
            let mut changed = ours.clone();
            changed.insert(name.to_owned(), value);
            assert!(unsafe_because(&changed).unwrap().contains(name));
            changed.remove(name);
            assert!(unsafe_because(&changed).unwrap().contains(name), "not told");
        }
    }
}
