//! A device's word about a key, compared with the record.

use crate::custody::{CustodyError, DeviceKey};
use crate::keys::{Key, KeyState};

words! {
    /// Whether a device and the record agree.
    #[derive(utoipa::ToSchema)]
    #[schema(as = AttestationVerdict)]
    pub enum Verdict {
        /// The device says what the record says.
        AsRecorded = "as-recorded",
        /// The device contradicts the record.
        Drift = "drift",
        /// The device does not say.
        Unknown = "unknown",
    }
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = AttestationFinding)]
pub struct Finding {
    /// What, as a stable word.
    pub kind: FindingKind,
    /// What does not fit, as people read it.
    pub detail: String,
}

/// What does not fit.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Another key is in its place.
    OtherPublicKey,
    /// The device calls it something else.
    OtherReference,
    /// An attribute is not what it was.
    Attribute,
    /// A healthy device does not hold it.
    Missing,
    /// The device holds several under its id.
    Several,
    /// The device was told not to use it.
    Disabled,
    /// The device is about to destroy it.
    PendingDeletion,
    /// The device holds it for another use or as another kind.
    OtherUse,
    /// What the device holds in its place is no key.
    NotAKey,
    /// The device did not say.
    Silent,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, detail }
    }
}

/// Compares the two. An error is no verdict: the device said nothing about the key.
pub(super) fn compare(
    key: &Key,
    seen: &Result<DeviceKey, CustodyError>,
) -> Result<(Verdict, Vec<Finding>), CustodyError> {
    let findings = match seen {
        Ok(found) => differences(key, found),
        Err(error) => vec![refused(key, error).ok_or_else(|| error.clone())?],
    };
    let may_be_disabled = may_be_disabled(key.state);
    let expected = |it: &Finding| may_be_disabled && matches!(it.kind, FindingKind::Disabled);
    let verdict = if findings.iter().all(expected) {
        Verdict::AsRecorded
    } else {
        Verdict::Drift
    };
    Ok((verdict, findings))
}

/// Whether an operator may well have disabled such a key in its device.
fn may_be_disabled(state: KeyState) -> bool {
    match state {
        KeyState::Suspended
        | KeyState::Deactivated
        | KeyState::Compromised
        | KeyState::DestroyPending
        | KeyState::Destroyed => true,
        KeyState::PreActivation | KeyState::Active | KeyState::Retiring => false,
    }
}

fn differences(key: &Key, found: &DeviceKey) -> Vec<Finding> {
    let mut all = Vec::new();
    if key.public_key.as_ref() != Some(&found.public_key) {
        let theirs = hex::encode(found.public_key.fingerprint());
        let what = format!("its public key is another one, with fingerprint {theirs}");
        all.push(Finding::new(FindingKind::OtherPublicKey, what));
    }
    // A token does not repeat the name by which the key was looked up.
    if found.device_ref.is_some() && key.device_ref != found.device_ref {
        let what = "its device calls it something else than on record";
        all.push(Finding::new(FindingKind::OtherReference, what));
    }
    // The record cannot contradict an attribute that it does not have: a newer device tells more.
    for (name, recorded) in &key.attributes {
        let what = match found.attributes.get(name) {
            Some(now) if now == recorded => continue,
            Some(now) => format!("its attribute {name} is {now}, and was {recorded}"),
            None => format!("its attribute {name} is not told any more, and was {recorded}"),
        };
        let kind = match name.as_str() {
            "enabled" => FindingKind::Disabled,
            _ => FindingKind::Attribute,
        };
        all.push(Finding::new(kind, what));
    }
    all
}

/// What an error says of the key. `None`: it is the device's trouble and says nothing of the key.
fn refused(key: &Key, error: &CustodyError) -> Option<Finding> {
    let kind = match error {
        CustodyError::NotFound { found: 0, .. } => FindingKind::Missing,
        CustodyError::NotFound { .. } => FindingKind::Several,
        CustodyError::Disabled(_) => FindingKind::Disabled,
        CustodyError::PendingDeletion(_) => FindingKind::PendingDeletion,
        CustodyError::WrongUsage(_) => FindingKind::OtherUse,
        // It was a sound key when it was recorded.
        CustodyError::Nonsense(_) if key.public_key.is_some() => FindingKind::NotAKey,
        CustodyError::Nonsense(_)
        | CustodyError::Busy
        | CustodyError::Unavailable(_)
        | CustodyError::TimedOut
        | CustodyError::Throttled { .. }
        | CustodyError::AccessDenied(_)
        | CustodyError::NotAdoptable(_)
        | CustodyError::DoesNotUnwrap
        | CustodyError::NotTheKey(_)
        | CustodyError::Unsupported(_)
        | CustodyError::PinRefused
        | CustodyError::Refused(_)
        | CustodyError::NotASignature(_)
        | CustodyError::SealingKeyMissing(_)
        | CustodyError::DoesNotOpen
        | CustodyError::WrongPayload(_) => return None,
    };
    Some(Finding::new(kind, error.to_string()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::custody::{Algorithm, PublicKey};
    use crate::id::KeyId;
    use crate::keys::{Origin, Purpose};

    /// A key in use, and how its device shows it.
    pub(in crate::attestation) fn key() -> (Key, DeviceKey) {
        let secret = k256::SecretKey::from_slice(&[7; 32]).unwrap();
        let public_key = PublicKey::Secp256k1(secret.public_key());
        let attributes = [
            ("sensitive", true),
            ("extractable", false),
            ("enabled", true),
        ];
        let attributes: crate::custody::Attributes = attributes
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let name = || "k".parse().unwrap();
        let key = Key {
            id: KeyId::new(),
            name: name(),
            purpose: Purpose::Wallet,
            algorithm: Algorithm::Secp256k1,
            backend: name(),
            device_ref: None,
            origin: Origin::Created,
            environment: name(),
            owner: name(),
            state: KeyState::Active,
            epoch: 1,
            public_key: Some(public_key.clone()),
            attributes: attributes.clone(),
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            cryptoperiod_ends_at: time::OffsetDateTime::UNIX_EPOCH,
            stated: crate::authority::Version::default(),
        };
        let found = DeviceKey {
            public_key,
            attributes,
            device_ref: None,
        };
        (key, found)
    }

    fn kinds(key: &Key, seen: &Result<DeviceKey, CustodyError>) -> (Verdict, Vec<FindingKind>) {
        let (verdict, findings) = compare(key, seen).unwrap();
        (verdict, findings.iter().map(|it| it.kind).collect())
    }

    #[test]
    fn what_is_not_as_it_was_is_a_drift() {
        let (key, found) = key();
        assert_eq!(
            kinds(&key, &Ok(found.clone())),
            (Verdict::AsRecorded, vec![])
        );
        let changed = |change: &dyn Fn(&mut DeviceKey)| {
            let mut found = found.clone();
            change(&mut found);
            kinds(&key, &Ok(found))
        };
        let one = |kind| (Verdict::Drift, vec![kind]);
        let other = k256::SecretKey::from_slice(&[8; 32]).unwrap().public_key();
        let replaced = changed(&|it| it.public_key = PublicKey::Secp256k1(other));
        assert_eq!(replaced, one(FindingKind::OtherPublicKey));
        for (name, value) in [("extractable", true), ("sensitive", false)] {
            let turned = changed(&|it| {
                let _ = it.attributes.insert(name.into(), value);
            });
            assert_eq!(turned, one(FindingKind::Attribute), "{name}");
        }
        let silent = changed(&|it| {
            let _ = it.attributes.remove("extractable");
        });
        assert_eq!(silent, one(FindingKind::Attribute));
        let more = changed(&|it| {
            let _ = it.attributes.insert("trusted".into(), true);
        });
        assert_eq!(more, (Verdict::AsRecorded, vec![]));
        let elsewhere = "arn:aws:kms:eu-west-1:1:key/2".to_owned();
        let elsewhere = changed(&|it| it.device_ref = elsewhere.clone().try_into().ok());
        assert_eq!(elsewhere, one(FindingKind::OtherReference));
    }

    #[test]
    fn a_healthy_device_without_the_key_is_a_drift_and_one_that_is_away_is_none() {
        let (key, _) = key();
        let id = key.id;
        for (error, kind) in [
            (
                CustodyError::NotFound { id, found: 0 },
                FindingKind::Missing,
            ),
            (
                CustodyError::NotFound { id, found: 2 },
                FindingKind::Several,
            ),
            (CustodyError::Disabled(id), FindingKind::Disabled),
            (
                CustodyError::PendingDeletion(id),
                FindingKind::PendingDeletion,
            ),
            (CustodyError::WrongUsage(id), FindingKind::OtherUse),
            (CustodyError::Nonsense("RSA".into()), FindingKind::NotAKey),
        ] {
            assert_eq!(kinds(&key, &Err(error)), (Verdict::Drift, vec![kind]));
        }
        for error in [
            CustodyError::Busy,
            CustodyError::TimedOut,
            CustodyError::PinRefused,
            CustodyError::Unavailable("away".into()),
            CustodyError::AccessDenied("no".into()),
            CustodyError::Refused("no".into()),
        ] {
            assert!(compare(&key, &Err(error)).is_err());
        }
    }

    #[test]
    fn a_key_out_of_use_may_be_disabled_in_its_device() {
        let (mut key, mut found) = key();
        found.attributes.insert("enabled".into(), false);
        let disabled = || Err(CustodyError::Disabled(KeyId::new()));
        assert_eq!(kinds(&key, &Ok(found.clone())).0, Verdict::Drift);
        assert_eq!(kinds(&key, &disabled()).0, Verdict::Drift);
        for state in [
            KeyState::Suspended,
            KeyState::Deactivated,
            KeyState::Compromised,
        ] {
            key.state = state;
            assert_eq!(kinds(&key, &Ok(found.clone())).0, Verdict::AsRecorded);
            assert_eq!(kinds(&key, &disabled()).0, Verdict::AsRecorded);
            let gone = CustodyError::PendingDeletion(key.id);
            assert_eq!(kinds(&key, &Err(gone)).0, Verdict::Drift);
        }
    }
}
