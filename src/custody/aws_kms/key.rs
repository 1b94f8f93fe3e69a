//! Keys in KMS: made, found, and read back.

use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType, OriginType, Tag};
use tokio::time::{Instant, sleep};

use super::AwsKms;
use super::arn::device_ref;
use super::attributes::{attributes, not_as_ordered};
use super::deletion::SHORTEST_WINDOW;
use super::trouble::Trouble;
use crate::custody::{Algorithm, CustodyError, DeviceKey, DeviceRef, KeyTemplate, PublicKey};
use crate::id::KeyId;

/// The tag that holds a key's id.
const KEY_ID: &str = "chancery-key-id";
/// How long a new key is waited for: KMS confirms before all its parts know the key.
pub(super) const APPEARANCE: Duration = Duration::from_secs(10);
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(150);
/// How many keys of an account are searched for a lost one.
const MANY_KEYS: usize = 20_000;

fn spec(algorithm: Algorithm) -> KeySpec {
    match algorithm {
        Algorithm::Secp256k1 => KeySpec::EccSecgP256K1,
        Algorithm::Rsa2048 => KeySpec::Rsa2048,
        Algorithm::Rsa3072 => KeySpec::Rsa3072,
        Algorithm::Rsa4096 => KeySpec::Rsa4096,
    }
}

impl AwsKms {
    /// Makes a key, waits until KMS knows it, and schedules its deletion if it is not as it was ordered.
    pub(super) async fn make(&self, template: &KeyTemplate) -> Result<DeviceKey, CustodyError> {
        let arn = self.create(template, OriginType::AwsKms).await?;
        let made = self.wait_for(template.id, &arn).await?;
        let Some(why) = not_as_ordered(&made, template.algorithm) else {
            return Ok(made);
        };
        self.schedule(template.id, &arn, SHORTEST_WINDOW).await?;
        let why = format!("the new key is scheduled for deletion: {why}");
        Err(CustodyError::Refused(why))
    }

    /// Orders a key. After a time-out the key may exist: it is found by its tag, and not ordered again.
    pub(super) async fn create(
        &self,
        template: &KeyTemplate,
        origin: OriginType,
    ) -> Result<DeviceRef, CustodyError> {
        let tag = |name: String, value: &str| {
            let tag = Tag::builder().tag_key(name).tag_value(value).build();
            tag.map_err(|error| CustodyError::Refused(error.to_string()))
        };
        let mut tags = vec![tag(KEY_ID.to_owned(), &template.id.to_string())?];
        for (name, value) in &template.labels {
            tags.push(tag(format!("chancery-{name}"), value)?);
        }
        let client = self.client().await;
        let mut attempt = 0;
        let made = loop {
            attempt += 1;
            let made = self.once(template.id, || {
                client
                    .create_key()
                    .key_spec(spec(template.algorithm))
                    .key_usage(KeyUsageType::SignVerify)
                    .origin(origin.clone())
                    .description(format!("chancery {}", template.id))
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
    ) -> Result<DeviceKey, CustodyError> {
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
    pub(super) async fn read(&self, id: KeyId, arn: &DeviceRef) -> Result<DeviceKey, CustodyError> {
        let key = self.metadata(id, arn).await?;
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
        Ok(DeviceKey {
            public_key,
            attributes: attributes(&key),
            device_ref: Some(device_ref(key.arn())?),
        })
    }

    pub(super) async fn metadata(
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

    /// Looks through the account for the key with this id, whose ARN was lost with the process that had it
    /// made. Keys whose tags we may not read are somebody else's.
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

    /// Whether KMS answers us: about the sealing key where one is configured, else about anything.
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
            // KMS knows who we are. Listing is a right that signing does not need.
            Err(CustodyError::AccessDenied(why)) if why.starts_with("AccessDenied") => Ok(()),
            Err(error) => Err(error),
        }
    }
}
