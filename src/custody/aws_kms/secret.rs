//! Secrets sealed under data keys that KMS wraps.
//!
//! A sealed secret is `2 ‖ id of the sealing key (8 bytes) ‖ length of the wrapped data key (2 bytes) ‖
//! wrapped data key ‖ nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`: AES-256-GCM, with all that stands
//! before the nonce in the associated data. The id is a hash of the ARN, so that a former sealing key is
//! found among those that the configuration names; a secret that begins with `1` is older, and has no id.
//! KMS makes the data key and wraps it under the symmetric key that the configuration names, with an
//! encryption context of ours: whoever may use that symmetric key for other things cannot unwrap a data
//! key of ours without saying so in `CloudTrail`.
//!
//! # Why
//! A call for each secret would be slow and cost quota, so one data key seals many secrets, and is kept
//! unwrapped for a while in this process's memory. Whoever reads that memory has what the key opens. The
//! SDK's buffers, in which the key came, are not ours to wipe.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeySpec, KeyState, KeyUsageType, OriginType};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::AwsKms;
use crate::custody::{CustodyError, DeviceRef, DeviceSealingKey, Sealer};
use crate::id::KeyId;
use crate::sealing::SealingKey;

const VERSION: u8 = 2;
const UNNAMED: u8 = 1;
const ID: usize = 8;
/// The longest wrapped data key that is taken.
const WRAPPED: usize = 1024;
/// The tag that a symmetric key must have before anything is sealed under it.
const PURPOSE: (&str, &str) = ("chancery-purpose", "sealing");
/// What a data key is bound to.
const CONTEXT: (&str, &str) = ("chancery", "data key v1");
impl AwsKms {
    fn configured(&self) -> impl Iterator<Item = &DeviceRef> {
        let former = &self.settings.former_sealing_keys;
        self.settings.sealing_key.iter().chain(former)
    }

    /// Has KMS make a data key, and keeps it for what is sealed next.
    async fn new_data_key(&self) -> Result<(Arc<SealingKey>, Vec<u8>), CustodyError> {
        let sealing_key = self.sealing_key()?;
        self.check_sealing_key(sealing_key).await?;
        self.check_tag(sealing_key).await?;
        let client = self.client().await;
        let made = self
            .again(KeyId::new(), None, || {
                client
                    .generate_data_key()
                    .key_id(sealing_key.as_str())
                    .key_spec(DataKeySpec::Aes256)
                    .encryption_context(CONTEXT.0, CONTEXT.1)
                    .send()
            })
            .await?;
        let key = Arc::new(data_key(made.plaintext)?);
        let wrapped = made.ciphertext_blob.map(Blob::into_inner);
        let wrapped = wrapped.filter(|wrapped| !wrapped.is_empty());
        let wrapped = wrapped
            .ok_or_else(|| CustodyError::Nonsense("a data key that is not wrapped".into()))?;
        self.data_keys.keep(&key, &wrapped);
        Ok((key, wrapped))
    }

    /// The data key, unwrapped under the sealing key of this id. Without an id, under the key that can.
    async fn unwrapped(
        &self,
        named: &[u8],
        wrapped: &[u8],
    ) -> Result<Arc<SealingKey>, CustodyError> {
        let known = [named, wrapped].concat();
        if let Some(key) = self.data_keys.known.get(&known) {
            return Ok(key);
        }
        self.sealing_key()?;
        let mut refused = CustodyError::SealingKeyMissing(
            "its sealing key in KMS is neither sealing_key nor one of former_sealing_keys".into(),
        );
        for sealing_key in self.configured() {
            if !named.is_empty() && named != id(sealing_key) {
                continue;
            }
            match self.unwrap_under(sealing_key, wrapped).await {
                Ok(key) => {
                    self.data_keys.known.insert(known, key.clone());
                    return Ok(key);
                }
                // Another key's, or altered: which, KMS does not say.
                Err(error @ CustodyError::DoesNotOpen) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    async fn unwrap_under(
        &self,
        sealing_key: &DeviceRef,
        wrapped: &[u8],
    ) -> Result<Arc<SealingKey>, CustodyError> {
        let client = self.client().await;
        let opened = self
            .again(KeyId::new(), None, || {
                client
                    .decrypt()
                    .key_id(sealing_key.as_str())
                    .ciphertext_blob(Blob::new(wrapped))
                    .encryption_context(CONTEXT.0, CONTEXT.1)
                    .send()
            })
            .await?;
        Ok(Arc::new(data_key(opened.plaintext)?))
    }

    fn sealing_key(&self) -> Result<&DeviceRef, CustodyError> {
        self.settings.sealing_key.as_ref().ok_or_else(|| {
            let backend = &self.backend;
            CustodyError::Unsupported(format!("sealing: [custody.{backend}] has no sealing_key"))
        })
    }

    /// A symmetric key that KMS made, for encryption, enabled.
    pub(super) async fn check_sealing_key(&self, arn: &DeviceRef) -> Result<(), CustodyError> {
        let key = self.metadata(KeyId::new(), arn).await?;
        let fits = key.key_usage() == Some(&KeyUsageType::EncryptDecrypt)
            && key.key_spec() == Some(&KeySpec::SymmetricDefault)
            && key.origin() == Some(&OriginType::AwsKms)
            && key.key_state() == Some(&KeyState::Enabled);
        if fits {
            return Ok(());
        }
        let why = "the sealing key is not an enabled symmetric key that KMS made for encryption";
        Err(CustodyError::Refused(why.into()))
    }

    /// A key whose tag says that it is meant to seal: with the key all that it sealed is lost.
    async fn check_tag(&self, arn: &DeviceRef) -> Result<(), CustodyError> {
        let client = self.client().await;
        let tags = self
            .again(KeyId::new(), None, || {
                client.list_resource_tags().key_id(arn.as_str()).send()
            })
            .await?;
        let meant = tags
            .tags()
            .iter()
            .any(|tag| (tag.tag_key(), tag.tag_value()) == PURPOSE);
        if meant {
            return Ok(());
        }
        let (name, value) = PURPOSE;
        let why = format!("the sealing key has no tag {name} = {value}");
        Err(CustodyError::Refused(why))
    }
}

#[async_trait]
impl Sealer for AwsKms {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let named = id(self.sealing_key()?);
        let (key, wrapped) = match self.data_keys.current() {
            Some(current) => current,
            None => self.new_data_key().await?,
        };
        let length = u16::try_from(wrapped.len())
            .ok()
            .filter(|length| usize::from(*length) <= WRAPPED)
            .ok_or_else(|| CustodyError::Nonsense("a wrapped data key that is too long".into()))?;
        let length = length.to_be_bytes();
        let head = [&[VERSION], named.as_slice(), &length, &wrapped].concat();
        let sealed = key.seal(&[&head, aad].concat(), plaintext);
        Ok([head, sealed].concat())
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let does_not_open = || CustodyError::DoesNotOpen;
        let named = match sealed.first() {
            Some(&VERSION) => ID,
            Some(&UNNAMED) => 0,
            _ => return Err(does_not_open()),
        };
        let head = sealed.get(..1 + named + 2).ok_or_else(does_not_open)?;
        let length = usize::from(u16::from_be_bytes([head[1 + named], head[2 + named]]));
        if length > WRAPPED {
            return Err(does_not_open());
        }
        let rest = &sealed[head.len()..];
        let (wrapped, body) = rest.split_at_checked(length).ok_or_else(does_not_open)?;
        let key = self.unwrapped(&head[1..=named], wrapped).await?;
        let bound = [head, wrapped, aad].concat();
        key.open(&bound, body).map_err(|_| does_not_open())
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        let sealing_key = self.settings.sealing_key.as_ref();
        let configured = self.configured();
        Ok(configured
            .map(|arn| DeviceSealingKey {
                id: arn.to_string(),
                seals: sealing_key == Some(arn),
                made_at: None,
            })
            .collect())
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        let (&VERSION, named) = sealed.get(..=ID)?.split_first()? else {
            return None;
        };
        let mut configured = self.configured();
        Some(configured.find(|arn| id(arn) == named)?.to_string())
    }
}

/// Tells sealing keys apart.
fn id(arn: &DeviceRef) -> [u8; ID] {
    let hash = Sha256::new()
        .chain_update(b"chancery sealing key in KMS\n")
        .chain_update(arn.as_str())
        .finalize();
    let mut id = [0; ID];
    id.copy_from_slice(&hash[..ID]);
    id
}

fn data_key(plaintext: Option<Blob>) -> Result<SealingKey, CustodyError> {
    let mut plaintext = plaintext.map(Blob::into_inner).unwrap_or_default();
    let key = <&[u8; 32]>::try_from(plaintext.as_slice()).map(SealingKey::from_bytes);
    let key = key.map_err(|_| CustodyError::Nonsense("a data key of another length".into()));
    plaintext.zeroize();
    key
}
