//! Private keys that are brought to KMS: it makes a shell without a key and gives a wrapping key for it,
//! for a day; what is wrapped under it, this service passes on and cannot read.
//!
//! # Why
//! A shell takes one key for ever, the first that it is given. So one that was given another than the
//! announced is no use any more, and is scheduled for deletion.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    AlgorithmSpec, ExpirationModelType, KeyState, OriginType, WrappingKeySpec,
};
use tokio::time::{Instant, sleep};

use super::AwsKms;
use super::key::{APPEARANCE, LOOK_AGAIN, SHORTEST_WINDOW, arn, unsafe_because};
use crate::custody::{
    CustodyError, DeviceRef, Generated, KeyRef, Offer, Place, PublicKey, Scheme, Wanted,
};
use crate::id::KeyId;

impl AwsKms {
    /// A shell, found again or made, and what a key for it is wrapped under.
    pub(super) async fn offer(
        &self,
        wanted: &Wanted,
        earlier: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        let known = match earlier {
            None => None,
            Some(Place {
                device_ref: Some(arn),
                ..
            }) => Some(arn.clone()),
            // It may have been made by one that died before it was written down.
            Some(place) => match self.find(place.id).await {
                Ok(arn) => Some(arn),
                Err(CustodyError::NotFound { found: 0, .. }) => None,
                Err(error) => return Err(error),
            },
        };
        let arn = match known {
            Some(arn) => arn,
            None => self.create(wanted, OriginType::External).await?,
        };
        self.wait_for_shell(wanted.id, &arn).await?;
        let client = self.client().await;
        let answer = self
            .again(wanted.id, None, || {
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

    /// Waits until KMS knows a new shell.
    async fn wait_for_shell(&self, id: KeyId, arn: &DeviceRef) -> Result<(), CustodyError> {
        let until = Instant::now() + APPEARANCE;
        loop {
            match self.describe(id, arn).await {
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

    /// Passes a wrapped key on, and reads back what came of it.
    pub(super) async fn bring(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<Generated, CustodyError> {
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
