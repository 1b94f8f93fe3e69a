//! Keys in KMS: making, finding, reading back, and scheduling their end.

use std::time::Duration;

use aws_sdk_kms::primitives::{Blob, DateTime};
use aws_sdk_kms::types::{
    KeyManagerType, KeyMetadata, KeySpec, KeyState, KeyUsageType, OriginType, Tag,
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::AwsKms;
use super::trouble::Trouble;
use crate::custody::{
    Algorithm, Attributes, CustodyError, Destruction, DeviceRef, Generated, Place, PublicKey,
    Wanted,
};
use crate::id::KeyId;

/// The tag that holds a key's id.
const KEY_ID: &str = "chancery-key-id";
/// How long a new key is waited for: KMS says yes before all of it knows.
pub(super) const APPEARANCE: Duration = Duration::from_secs(10);
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(150);
/// How many keys of an account are looked through for one that was lost.
const MANY_KEYS: usize = 20_000;
/// The shortest time that KMS keeps a key: for one that nobody has seen yet.
pub(super) const SHORTEST_WINDOW: i32 = 7;

/// Checks that it is a key's ARN, of this region: not an alias, which can be moved, nor a bare id.
pub(super) fn check_arn(device_ref: &DeviceRef, region: &str) -> Result<(), CustodyError> {
    let parts: Vec<&str> = device_ref.as_str().splitn(6, ':').collect();
    let wrong = match parts.as_slice() {
        ["arn", partition, "kms", theirs, account, key]
            if partition.starts_with("aws")
                && !account.is_empty()
                && key.strip_prefix("key/").is_some_and(|id| !id.is_empty()) =>
        {
            (*theirs != region).then(|| format!("it is of {theirs}, and this device is {region}"))
        }
        _ => Some("wanted is arn:aws:kms:REGION:ACCOUNT:key/ID; an alias can be moved".into()),
    };
    wrong.map_or(Ok(()), |why| {
        Err(CustodyError::NotAdoptable(format!("{device_ref}: {why}")))
    })
}

/// What a key on record is called in KMS. One that has no name there was never finished.
pub(super) fn arn(key: &Place) -> Result<&DeviceRef, CustodyError> {
    let id = key.id;
    let found = 0;
    key.device_ref
        .as_ref()
        .ok_or(CustodyError::NotFound { id, found })
}

fn spec(algorithm: Algorithm) -> KeySpec {
    match algorithm {
        Algorithm::Secp256k1 => KeySpec::EccSecgP256K1,
        Algorithm::Rsa2048 => KeySpec::Rsa2048,
        Algorithm::Rsa3072 => KeySpec::Rsa3072,
        Algorithm::Rsa4096 => KeySpec::Rsa4096,
    }
}

/// What `DescribeKey` says, in the words for all devices. It is KMS's word: it signs no attestation.
fn attributes(key: &KeyMetadata) -> Attributes {
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
pub(super) fn not_as_ordered(made: &Generated, algorithm: Algorithm) -> Option<String> {
    if made.public_key.algorithm() != Some(algorithm) {
        Some(format!("its public key is not of {algorithm:?}"))
    } else if made.attributes.get("local") != Some(&true) {
        Some("KMS says that it did not make it".to_owned())
    } else {
        unsafe_because(&made.attributes)
    }
}

impl AwsKms {
    /// Makes a key, waits until KMS knows it, and gives it up again if it is not as it was ordered.
    pub(super) async fn make(&self, wanted: &Wanted) -> Result<Generated, CustodyError> {
        let arn = self.create(wanted, OriginType::AwsKms).await?;
        let made = self.wait_for(wanted.id, &arn).await?;
        let Some(why) = not_as_ordered(&made, wanted.algorithm) else {
            return Ok(made);
        };
        self.schedule(wanted.id, &arn, SHORTEST_WINDOW).await?;
        let why = format!("the new key is scheduled for deletion: {why}");
        Err(CustodyError::Refused(why))
    }

    /// Orders a key. After a time-out there may be one: it is found by its tag, and not ordered again.
    pub(super) async fn create(
        &self,
        wanted: &Wanted,
        origin: OriginType,
    ) -> Result<DeviceRef, CustodyError> {
        let tag = |name: String, value: &str| {
            let tag = Tag::builder().tag_key(name).tag_value(value).build();
            tag.map_err(|error| CustodyError::Refused(error.to_string()))
        };
        let mut tags = vec![tag(KEY_ID.to_owned(), &wanted.id.to_string())?];
        for (name, value) in &wanted.labels {
            tags.push(tag(format!("chancery-{name}"), value)?);
        }
        let client = self.client().await;
        let mut attempt = 0;
        let made = loop {
            attempt += 1;
            let made = self.once(wanted.id, || {
                client
                    .create_key()
                    .key_spec(spec(wanted.algorithm))
                    .key_usage(KeyUsageType::SignVerify)
                    .origin(origin.clone())
                    .description(format!("chancery {}", wanted.id))
                    .set_tags(Some(tags.clone()))
                    .send()
            });
            match made.await {
                Ok(made) => break made,
                Err(Trouble::Throttled) if attempt < self.settings.attempts => {
                    sleep(LOOK_AGAIN * attempt).await; // nothing was made
                }
                Err(Trouble::Throttled) => {
                    let retry_after = LOOK_AGAIN * attempt;
                    return Err(CustodyError::Throttled { retry_after });
                }
                Err(Trouble::Final(e) | Trouble::KeyAway(e) | Trouble::Away(e)) => return Err(e),
            }
        };
        let arn = made.key_metadata().and_then(KeyMetadata::arn);
        device_ref(arn)
    }

    /// Reads a new key back once KMS knows it.
    pub(super) async fn wait_for(
        &self,
        id: KeyId,
        arn: &DeviceRef,
    ) -> Result<Generated, CustodyError> {
        let until = Instant::now() + APPEARANCE;
        loop {
            match self.read(id, arn).await {
                Err(CustodyError::NotFound { .. }) if Instant::now() < until => {
                    sleep(LOOK_AGAIN).await;
                }
                read => return read,
            }
        }
    }

    /// Reads a key by its ARN.
    pub(super) async fn read(&self, id: KeyId, arn: &DeviceRef) -> Result<Generated, CustodyError> {
        let key = self.describe(id, arn).await?;
        match key.key_state() {
            Some(KeyState::PendingDeletion) => return Err(CustodyError::PendingDeletion(id)),
            // An empty shell: the key itself was not brought.
            Some(KeyState::PendingImport) => return Err(CustodyError::NotFound { id, found: 0 }),
            _ => {}
        }
        let client = self.client().await;
        let answer = self
            .again(id, None, || {
                client.get_public_key().key_id(arn.as_str()).send()
            })
            .await?;
        let public_key = answer.public_key().map(Blob::as_ref).unwrap_or_default();
        let public_key = PublicKey::from_spki_der(public_key)
            .map_err(|error| CustodyError::Nonsense(error.to_string()))?;
        Ok(Generated {
            public_key,
            attributes: attributes(&key),
            device_ref: Some(device_ref(key.arn())?),
        })
    }

    pub(super) async fn describe(
        &self,
        id: KeyId,
        arn: &DeviceRef,
    ) -> Result<KeyMetadata, CustodyError> {
        let client = self.client().await;
        let answer = self
            .again(id, None, || {
                client.describe_key().key_id(arn.as_str()).send()
            })
            .await?;
        match answer.key_metadata {
            Some(key) if key.arn() == Some(arn.as_str()) => Ok(key),
            _ => Err(CustodyError::Nonsense("described another key".into())),
        }
    }

    /// A key that is not ours yet, if it can become ours.
    pub(super) async fn adopted(&self, arn: &DeviceRef) -> Result<Generated, CustodyError> {
        check_arn(arn, &self.settings.region)?;
        let found = self.read(KeyId::new(), arn).await.map_err(|error| {
            let why = match error {
                CustodyError::NotFound { .. } => "there is no such key",
                CustodyError::Disabled(_) => "it is disabled",
                CustodyError::PendingDeletion(_) => "it is scheduled for deletion, or not whole",
                CustodyError::WrongUsage(_) => "it is not for signing",
                CustodyError::Nonsense(_) => "its public key is of no kind that is used here",
                other => return other,
            };
            CustodyError::NotAdoptable(format!("{arn}: {why}"))
        })?;
        let wrong = match found.public_key.algorithm() {
            None => Some("its exponent or length is none that is used here".to_owned()),
            Some(_) => unsafe_because(&found.attributes),
        };
        wrong.map_or(Ok(found), |why| {
            Err(CustodyError::NotAdoptable(format!("{arn}: {why}")))
        })
    }

    /// Looks for the key with this id among all keys of the account: for one whose name was lost with
    /// the process that had it made. Keys whose tags we may not read are somebody else's.
    pub(super) async fn find(&self, id: KeyId) -> Result<DeviceRef, CustodyError> {
        let (client, ours) = (self.client().await, id.to_string());
        let (mut marker, mut looked_at, mut found) = (None, 0_usize, Vec::new());
        loop {
            let page = self
                .again(id, None, || {
                    let marker: Option<String> = marker.clone();
                    client.list_keys().limit(1000).set_marker(marker).send()
                })
                .await?;
            for arn in page.keys().iter().filter_map(|key| key.key_arn()) {
                let tags = self
                    .again(id, None, || client.list_resource_tags().key_id(arn).send())
                    .await;
                match tags {
                    Ok(tags) => {
                        let is_ours =
                            |tag: &Tag| tag.tag_key() == KEY_ID && tag.tag_value() == ours;
                        if tags.tags().iter().any(is_ours) {
                            found.push(device_ref(Some(arn))?);
                        }
                    }
                    Err(CustodyError::AccessDenied(_) | CustodyError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            looked_at += page.keys().len();
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
            if looked_at >= MANY_KEYS {
                let why = format!("{looked_at} keys were looked through, and there are more");
                return Err(CustodyError::Refused(why));
            }
        }
        match <[DeviceRef; 1]>::try_from(found) {
            Ok([arn]) => Ok(arn),
            Err(found) => Err(CustodyError::NotFound {
                id,
                found: found.len(),
            }),
        }
    }

    /// Orders a key's deletion, unless it is ordered already.
    pub(super) async fn schedule_deletion(&self, key: &Place) -> Result<Destruction, CustodyError> {
        // One that was made and never recorded is found by its tag, not left behind.
        let arn = match &key.device_ref {
            Some(arn) => arn,
            None => &self.find(key.id).await?,
        };
        let known = self.describe(key.id, arn).await?;
        if known.key_state() == Some(&KeyState::PendingDeletion)
            && let Some(date) = known.deletion_date()
        {
            return due(date);
        }
        self.schedule(key.id, arn, self.settings.deletion_window_days)
            .await
    }

    /// Takes a key's deletion back, if it is ordered.
    pub(super) async fn cancel_deletion(&self, key: &Place) -> Result<(), CustodyError> {
        let arn = match &key.device_ref {
            Some(arn) => arn,
            None => &self.find(key.id).await?,
        };
        let known = self.describe(key.id, arn).await?;
        if known.key_state() != Some(&KeyState::PendingDeletion) {
            return Ok(()); // it was taken back before
        }
        let client = self.client().await;
        self.again(key.id, None, || {
            client.cancel_key_deletion().key_id(arn.as_str()).send()
        })
        .await?;
        Ok(())
    }

    pub(super) async fn schedule(
        &self,
        id: KeyId,
        arn: &DeviceRef,
        days: i32,
    ) -> Result<Destruction, CustodyError> {
        let client = self.client().await;
        let answer = self
            .again(id, None, || {
                client
                    .schedule_key_deletion()
                    .key_id(arn.as_str())
                    .pending_window_in_days(days)
                    .send()
            })
            .await?;
        let missing = || CustodyError::Nonsense("a deletion without a date".into());
        due(answer.deletion_date().ok_or_else(missing)?)
    }

    /// Whether KMS answers us: about the sealing key where there is one, else about anything.
    pub(super) async fn answers(&self) -> Result<(), CustodyError> {
        let nobody = KeyId::new();
        if let Some(sealing_key) = &self.settings.sealing_key {
            return self.check_sealing_key(sealing_key).await;
        }
        let client = self.client().await;
        let listed = self
            .again(nobody, None, || client.list_keys().limit(1).send())
            .await;
        match listed {
            Ok(_) => Ok(()),
            // It knows who we are; listing is a right that signing does not need.
            Err(CustodyError::AccessDenied(why)) if why.starts_with("AccessDenied") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn due(date: &DateTime) -> Result<Destruction, CustodyError> {
    OffsetDateTime::from_unix_timestamp(date.secs())
        .map(Destruction::Due)
        .map_err(|error| CustodyError::Nonsense(error.to_string()))
}

fn device_ref(arn: Option<&str>) -> Result<DeviceRef, CustodyError> {
    let text = arn.unwrap_or_default().to_owned();
    DeviceRef::try_from(text).map_err(|_| CustodyError::Nonsense("a key without an ARN".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_the_arn_of_a_key_in_the_region() {
        let check = |text: &str| {
            let arn = DeviceRef::try_from(text.to_owned()).unwrap();
            check_arn(&arn, "eu-west-1")
        };
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        check(&format!("arn:aws:kms:eu-west-1:111122223333:key/{id}")).unwrap();
        check(&format!(
            "arn:aws-us-gov:kms:eu-west-1:111122223333:key/{id}"
        ))
        .unwrap();
        for wrong in [
            id.to_owned(),
            "alias/wallet".to_owned(),
            "arn:aws:kms:eu-west-1:111122223333:alias/wallet".to_owned(),
            "arn:aws:kms:eu-west-1:111122223333:key/".to_owned(),
            format!("arn:aws:kms:us-east-1:111122223333:key/{id}"),
            format!("arn:aws:s3:eu-west-1:111122223333:key/{id}"),
            format!("arn:aws:kms:eu-west-1::key/{id}"),
        ] {
            let refused = check(&wrong);
            assert!(
                matches!(refused, Err(CustodyError::NotAdoptable(_))),
                "{wrong}"
            );
        }
    }

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
