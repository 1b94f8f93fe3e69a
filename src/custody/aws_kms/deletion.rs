//! The end of a key in KMS, which waits for days and can be taken back, and the switch that disables a
//! key.

use async_trait::async_trait;
use aws_sdk_kms::primitives::DateTime;
use aws_sdk_kms::types::KeyState;
use time::OffsetDateTime;

use super::AwsKms;
use super::arn::arn;
use crate::custody::{CustodyError, Destruction, DeviceRef, KeySwitch, Place};
use crate::id::KeyId;

/// The shortest time that KMS keeps a key: for a key that nobody has seen yet.
pub(super) const SHORTEST_WINDOW: i32 = 7;

impl AwsKms {
    /// Orders a key's deletion, unless it is ordered already.
    pub(super) async fn schedule_deletion(&self, key: &Place) -> Result<Destruction, CustodyError> {
        // A key that was made and never recorded is found by its tag, not left behind.
        let arn = match &key.device_ref {
            Some(arn) => arn,
            None => &self.find(key.id).await?,
        };
        let known = self.metadata(key.id, arn).await?;
        if known.key_state() == Some(&KeyState::PendingDeletion)
            && let Some(date) = known.deletion_date()
        {
            return due(date);
        }
        self.schedule(key.id, arn, self.settings.deletion_window_days)
            .await
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
}

#[async_trait]
impl KeySwitch for AwsKms {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn enable(&self, key: &Place, enabled: bool) -> Result<(), CustodyError> {
        let (client, arn) = (self.client().await, arn(key)?);
        if enabled {
            self.again(key.id, None, || {
                client.enable_key().key_id(arn.as_str()).send()
            })
            .await?;
        } else {
            self.again(key.id, None, || {
                client.disable_key().key_id(arn.as_str()).send()
            })
            .await?;
        }
        Ok(())
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn restore(&self, key: &Place) -> Result<(), CustodyError> {
        let arn = match &key.device_ref {
            Some(arn) => arn,
            None => &self.find(key.id).await?,
        };
        let known = self.metadata(key.id, arn).await?;
        if known.key_state() != Some(&KeyState::PendingDeletion) {
            return Ok(()); // somebody took it back before
        }
        let client = self.client().await;
        self.again(key.id, None, || {
            client.cancel_key_deletion().key_id(arn.as_str()).send()
        })
        .await?;
        Ok(())
    }
}

fn due(date: &DateTime) -> Result<Destruction, CustodyError> {
    OffsetDateTime::from_unix_timestamp(date.secs())
        .map(Destruction::Due)
        .map_err(|error| CustodyError::Nonsense(error.to_string()))
}
