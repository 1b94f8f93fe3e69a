//! What somebody who sets the service up is told of KMS.

use async_trait::async_trait;

use super::{AwsKms, Settings};
use crate::custody::{Custody, CustodyError, Describer, Description};

#[async_trait]
impl Describer for AwsKms {
    async fn describe(&self) -> Result<Description, CustodyError> {
        self.health().await?;
        let Settings {
            region,
            endpoint_url,
            sealing_key,
            ..
        } = &self.settings;
        let at = endpoint_url.as_deref().unwrap_or("AWS's own endpoint");
        let seals = match sealing_key {
            Some(arn) => format!("seals under {arn}"),
            None => "has no sealing_key, so that no API secret is sealed here".to_owned(),
        };
        Ok(Description {
            facts: vec![format!("KMS in {region}, {at}; {seals}")],
            troubles: Vec::new(),
            keys: None, // an account's keys are everybody's
        })
    }
}
