//! Keys that somebody else had KMS make.

use async_trait::async_trait;

use super::AwsKms;
use super::arn::check_arn;
use super::attributes::unsafe_because;
use crate::custody::{Adopter, CustodyError, DeviceKey, DeviceRef};
use crate::id::KeyId;

#[async_trait]
impl Adopter for AwsKms {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn look_up(&self, device_ref: &DeviceRef) -> Result<DeviceKey, CustodyError> {
        check_arn(device_ref, &self.settings.region)?;
        let found = self.read(KeyId::new(), device_ref).await.map_err(|error| {
            let why = match error {
                CustodyError::NotFound { .. } => "there is no such key",
                CustodyError::Disabled(_) => "it is disabled",
                CustodyError::PendingDeletion(_) => "it is scheduled for deletion, or not whole",
                CustodyError::WrongUsage(_) => "it is not for signing",
                CustodyError::Nonsense(_) => "its public key is of no kind that is used here",
                other => return other,
            };
            CustodyError::NotAdoptable(format!("{device_ref}: {why}"))
        })?;
        let wrong = match found.public_key.algorithm() {
            None => Some("its exponent or length is none that is used here".to_owned()),
            Some(_) => unsafe_because(&found.attributes),
        };
        wrong.map_or(Ok(found), |why| {
            Err(CustodyError::NotAdoptable(format!("{device_ref}: {why}")))
        })
    }
}
