//! Private keys that are brought to KMS, which makes a shell without a key, and a wrapping key for it
//! that lasts a day. The wrapped key passes through this service, which cannot read it.
//!
//! # Why
//! A shell takes one key for ever, the first that it is given. A shell that was given another key than
//! the announced is useless, and is scheduled for deletion.

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    AlgorithmSpec, ExpirationModelType, KeyState, OriginType, WrappingKeySpec,
};
use tokio::time::{Instant, sleep};

use super::AwsKms;
use super::arn::arn;
use super::attributes::unsafe_because;
use super::deletion::SHORTEST_WINDOW;
use super::key::{APPEARANCE, LOOK_AGAIN};
use crate::custody::{
    CustodyError, DeviceKey, DeviceRef, Importer, KeyRef, KeyTemplate, Offer, Place, PublicKey,
    Scheme,
};
use crate::id::KeyId;

impl AwsKms {
    /// Waits until KMS knows a new shell.
    async fn wait_for_shell(&self, id: KeyId, arn: &DeviceRef) -> Result<(), CustodyError> {
        let until = Instant::now() + APPEARANCE;
        loop {
            match self.metadata(id, arn).await {
                Err(CustodyError::NotFound { .. }) if Instant::now() < until => {
                    sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(error),
                Ok(shell) if shell.key_state() == Some(&KeyState::PendingDeletion) => {
                    return Err(CustodyError::PendingDeletion(id));
                }
                Ok(shell) if shell.origin() != Some(&OriginType::External) => {
                    let why = "KMS made this key itself, and takes no other for it";
                    return Err(CustodyError::Refused(why.into()));
                }
                Ok(_) => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Importer for AwsKms {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %template.id))]
    async fn prepare_import(
        &self,
        template: &KeyTemplate,
        earlier: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        let known = match earlier {
            None => None,
            Some(Place {
                device_ref: Some(arn),
                ..
            }) => Some(arn.clone()),
            // A process that died may have made the shell and not written it down.
            Some(place) => match self.find(place.id).await {
                Ok(arn) => Some(arn),
                Err(CustodyError::NotFound { found: 0, .. }) => None,
                Err(error) => return Err(error),
            },
        };
        let arn = match known {
            Some(arn) => arn,
            None => self.create(template, OriginType::External).await?,
        };
        self.wait_for_shell(template.id, &arn).await?;
        let client = self.client().await;
        let answer = self
            .again(template.id, None, || {
                client
                    .get_parameters_for_import()
                    .key_id(arn.as_str())
                    .wrapping_algorithm(AlgorithmSpec::RsaAesKeyWrapSha256)
                    .wrapping_key_spec(WrappingKeySpec::Rsa4096)
                    .send()
            })
            .await?;
        let wrapping_key = answer.public_key().map(Blob::as_ref).unwrap_or_default();
        let ticket = answer.import_token().map(Blob::as_ref).unwrap_or_default();
        let is_rsa = matches!(
            PublicKey::from_spki_der(wrapping_key),
            Ok(PublicKey::Rsa(_))
        );
        if ticket.is_empty() || !is_rsa {
            let why = "parameters for import without a wrapping key or a token";
            return Err(CustodyError::Nonsense(why.into()));
        }
        Ok(Offer {
            scheme: Scheme::Sha256,
            wrapping_key: wrapping_key.to_vec(),
            ticket: ticket.to_vec(),
            device_ref: Some(arn),
        })
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %announced.place.id))]
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<DeviceKey, CustodyError> {
        let (id, arn) = (announced.place.id, arn(&announced.place)?);
        let client = self.client().await;
        let passed = self
            .again(id, None, || {
                client
                    .import_key_material()
                    .key_id(arn.as_str())
                    .import_token(Blob::new(ticket))
                    .encrypted_key_material(Blob::new(wrapped))
                    .expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire)
                    .send()
            })
            .await;
        let wrong = match passed {
            Ok(_) => {
                let brought = self.wait_for(id, arn).await?;
                if brought.public_key == announced.public_key {
                    match unsafe_because(&brought.attributes) {
                        None => return Ok(brought),
                        Some(why) => CustodyError::Refused(why),
                    }
                } else {
                    CustodyError::NotTheKey("its public half is another".into())
                }
            }
            Err(CustodyError::DoesNotOpen) => return Err(CustodyError::DoesNotUnwrap),
            Err(error) => return Err(error),
        };
        self.schedule(id, arn, SHORTEST_WINDOW).await?;
        Err(wrong)
    }
}
