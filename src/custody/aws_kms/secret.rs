//! Secrets sealed under data keys that KMS wraps.
//!
//! A sealed secret is `1 ‖ length of the wrapped data key (2 bytes) ‖ wrapped data key ‖ nonce (12 bytes)
//! ‖ ciphertext ‖ tag (16 bytes)`: AES-256-GCM, with all that stands before the nonce in the associated
//! data. The data key is KMS's, wrapped under the symmetric key that the configuration names, with an
//! encryption context of ours: who may use that key for other things cannot unwrap ours without saying
//! so in `CloudTrail`.
//!
//! # Why
//! A call for each secret would be slow and cost quota, so a data key seals many, and an unwrapped one
//! is kept a while. It lies in this process's memory then; whoever reads that has what it opens. The
//! buffers of the SDK that it came in are not ours to wipe.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeySpec, KeyState, KeyUsageType, OriginType};
use moka::sync::Cache;
use tokio::time::Instant;
use zeroize::{Zeroize as _, Zeroizing};

use super::AwsKms;
use crate::custody::{CustodyError, DeviceRef};
use crate::id::KeyId;
use crate::sealing::SealingKey;

const VERSION: u8 = 1;
const HEAD: usize = 3;
/// The longest wrapped data key that is believed.
const WRAPPED: usize = 1024;
/// The tag that a key must have before anything is sealed under it.
const PURPOSE: (&str, &str) = ("chancery-purpose", "sealing");
/// What a data key is bound to.
const CONTEXT: (&str, &str) = ("chancery", "data key v1");
/// How long a data key seals, how many secrets at most, and how long unwrapped ones are kept.
const SEALS_FOR: Duration = Duration::from_hours(1);
const SEALS: u32 = 100_000;
const KEPT: u64 = 64;
const KEPT_FOR: Duration = Duration::from_mins(10);

/// Data keys that are unwrapped.
pub(super) struct DataKeys {
    /// The one that seals.
    current: Mutex<Option<Current>>,
    /// Those that opened something lately, by what they are wrapped.
    known: Cache<Vec<u8>, Arc<SealingKey>>,
}

struct Current {
    key: Arc<SealingKey>,
    wrapped: Vec<u8>,
    made: Instant,
    left: u32,
}

impl Default for DataKeys {
    fn default() -> Self {
        let known = Cache::builder()
            .max_capacity(KEPT)
            .time_to_live(KEPT_FOR)
            .build();
        Self {
            current: Mutex::new(None),
            known,
        }
    }
}

impl DataKeys {
    fn current(&self) -> Option<(Arc<SealingKey>, Vec<u8>)> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let it = current
            .as_mut()
            .filter(|it| it.left > 0 && it.made.elapsed() < SEALS_FOR)?;
        it.left -= 1;
        Some((it.key.clone(), it.wrapped.clone()))
    }

    fn keep(&self, key: &Arc<SealingKey>, wrapped: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Current {
            key: key.clone(),
            wrapped: wrapped.to_vec(),
            made: Instant::now(),
            left: SEALS - 1,
        });
    }
}

impl AwsKms {
    pub(super) async fn seal_secret(
        &self,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CustodyError> {
        let (key, wrapped) = match self.data_keys.current() {
            Some(current) => current,
            None => self.new_data_key().await?,
        };
        let length = u16::try_from(wrapped.len())
            .ok()
            .filter(|length| usize::from(*length) <= WRAPPED)
            .ok_or_else(|| CustodyError::Nonsense("a wrapped data key that is too long".into()))?;
        let head = [&[VERSION], length.to_be_bytes().as_slice(), &wrapped].concat();
        let sealed = key.seal(&[&head, aad].concat(), plaintext);
        Ok([head, sealed].concat())
    }

    pub(super) async fn open_secret(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let does_not_open = || CustodyError::DoesNotOpen;
        let (head, rest) = sealed.split_at_checked(HEAD).ok_or_else(does_not_open)?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        if head[0] != VERSION || length > WRAPPED {
            return Err(does_not_open());
        }
        let (wrapped, body) = rest.split_at_checked(length).ok_or_else(does_not_open)?;
        let key = self.unwrapped(wrapped).await?;
        let bound = [head, wrapped, aad].concat();
        key.open(&bound, body).map_err(|_| does_not_open())
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

    async fn unwrapped(&self, wrapped: &[u8]) -> Result<Arc<SealingKey>, CustodyError> {
        if let Some(key) = self.data_keys.known.get(wrapped) {
            return Ok(key);
        }
        let sealing_key = self.sealing_key()?;
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
        let key = Arc::new(data_key(opened.plaintext)?);
        self.data_keys.known.insert(wrapped.to_vec(), key.clone());
        Ok(key)
    }

    fn sealing_key(&self) -> Result<&DeviceRef, CustodyError> {
        self.settings.sealing_key.as_ref().ok_or_else(|| {
            let backend = &self.backend;
            CustodyError::Unsupported(format!("sealing: [custody.{backend}] has no sealing_key"))
        })
    }

    /// A symmetric key that KMS made, for encryption, enabled.
    pub(super) async fn check_sealing_key(&self, arn: &DeviceRef) -> Result<(), CustodyError> {
        let key = self.describe(KeyId::new(), arn).await?;
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

    /// That somebody meant it to seal: what is sealed under it is lost with it.
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

fn data_key(plaintext: Option<Blob>) -> Result<SealingKey, CustodyError> {
    let mut plaintext = plaintext.map(Blob::into_inner).unwrap_or_default();
    let key = <&[u8; 32]>::try_from(plaintext.as_slice()).map(SealingKey::from_bytes);
    let key = key.map_err(|_| CustodyError::Nonsense("a data key of another length".into()));
    plaintext.zeroize();
    key
}
