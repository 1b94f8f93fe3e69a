//! AWS KMS: asymmetric keys that sign, symmetric ones that wrap data keys.
//!
//! It promises that a key is only ever used by its ARN, never by an alias, which anybody with the right
//! can move; that KMS is given a digest and never a message; that the quota is shared fairly among
//! callers, and what exceeds it refused early instead of timing out; and that KMS's answers are told
//! apart: refused for good, throttled, unavailable, unknown. It **trusts** KMS for secrecy, and the host's
//! credentials for who we are: whoever has them can sign with every key that their policy allows, past
//! our record.
//!
//! # Why
//! The SDK's own retries are off, for they know neither our deadline nor our line: a call is repeated
//! here, counted, and takes its turn anew. A signature that was made and got lost does no harm. A key that
//! was made and got lost does: so `CreateKey` is not repeated after a time-out, and a key carries its id as
//! a tag from the moment it exists, by which it is found again.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::RequestId as _;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::data_keys::DataKeys;
use self::pace::Pace;
use self::tries::Breaker;
use super::{
    Adopter, Algorithm, Custody, CustodyError, Describer, Destruction, DeviceKey, Evidence,
    Importer, KeyRef, KeySwitch, KeyTemplate, Line, Load, OnTrial, Payload, Place, RawSignature,
    Sealer, Sign, Turn,
};
use crate::audit::Logged;
use crate::counterparty;
use crate::id::CallerId;
use crate::policy::Permit;

mod adoption;
mod arn;
mod attributes;
mod data_keys;
mod deletion;
mod describing;
#[cfg(test)]
mod fault_tests;
mod import;
mod key;
mod pace;
mod secret;
#[cfg(test)]
mod secret_tests;
mod settings;
mod signature;
#[cfg(test)]
mod tests;
mod trial;
mod tries;
mod trouble;

pub use settings::Settings;

/// Keys in AWS KMS.
pub struct AwsKms {
    backend: String,
    settings: Settings,
    client: OnceCell<Client>,
    ecc: Pace,
    rsa: Pace,
    breaker: Breaker,
    data_keys: DataKeys,
}

impl AwsKms {
    /// Checks the settings. The first call to KMS is made when somebody needs it.
    pub fn new(backend: &str, settings: Settings) -> Result<Self, CustodyError> {
        let refuse = |why: &str| Err(CustodyError::Refused(why.to_owned()));
        if !(7..=30).contains(&settings.deletion_window_days) {
            return refuse("deletion_window_days is 7 to 30");
        }
        let counts = [
            settings.attempts,
            settings.ecc_per_second,
            settings.rsa_per_second,
        ];
        if counts.contains(&0) || settings.queue == 0 {
            return refuse("attempts, ecc_per_second, rsa_per_second and queue must be at least 1");
        }
        if let Some(url) = &settings.endpoint_url {
            counterparty::checked(url)
                .map_err(|error| CustodyError::Refused(format!("endpoint_url: {error}")))?;
        }
        for arn in settings
            .sealing_key
            .iter()
            .chain(&settings.former_sealing_keys)
        {
            arn::check_arn(arn, &settings.region)?;
        }
        Ok(Self {
            backend: backend.to_owned(),
            client: OnceCell::new(),
            ecc: Pace::new(settings.ecc_per_second, settings.queue),
            rsa: Pace::new(settings.rsa_per_second, settings.queue),
            breaker: Breaker::default(),
            data_keys: DataKeys::default(),
            settings,
        })
    }

    /// The client, which looks for credentials when it makes its first call, and again before they
    /// expire.
    async fn client(&self) -> &Client {
        self.client
            .get_or_init(async || tries::client(&self.settings).await)
            .await
    }

    fn pace(&self, algorithm: Algorithm) -> &Pace {
        match algorithm {
            Algorithm::Secp256k1 => &self.ecc,
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => &self.rsa,
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.settings.timeout_ms)
    }
}

#[async_trait]
impl Custody for AwsKms {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn sign(&self, permit: &Logged<Permit<Sign>>) -> Result<RawSignature, CustodyError> {
        let Sign {
            key: KeyRef { place, .. },
            payload,
            caller,
            tries,
            turn,
        } = permit.get().action();
        payload.fits(place.algorithm)?;
        let (digest, algorithm) = match payload {
            Payload::Digest(digest) => (*digest, SigningAlgorithmSpec::EcdsaSha256),
            Payload::Message(message) => (
                Sha256::digest(message).into(),
                SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
            ),
            Payload::Hmac { .. } => return Err(CustodyError::WrongPayload(place.algorithm)),
        };
        let arn = arn::arn(place)?;
        let client = self.client().await;
        let line = tries::Line {
            pace: self.pace(place.algorithm),
            caller: *caller,
            tries,
            turn,
        };
        let signed = self
            .again(place.id, Some(&line), || {
                client
                    .sign()
                    .key_id(arn.as_str())
                    .message(Blob::new(digest))
                    .message_type(MessageType::Digest)
                    .signing_algorithm(algorithm.clone())
                    .send()
            })
            .await?;
        tries.answered(signed.request_id());
        if signed.key_id() != Some(arn.as_str()) {
            let why = "it says that it used another key";
            return Err(CustodyError::NotASignature(why.into()));
        }
        let signature = signed.signature().map(Blob::as_ref).unwrap_or_default();
        signature::raw(place.algorithm, signature)
    }

    /// While the breaker is open, one caller at a time looks whether KMS is back.
    async fn ready(&self) -> Result<(), CustodyError> {
        if self.breaker.is_open() {
            self.answers().await?;
        }
        Ok(())
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %template.id))]
    async fn generate(&self, template: &KeyTemplate) -> Result<DeviceKey, CustodyError> {
        self.make(template).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn inspect(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        let arn = match &key.device_ref {
            Some(arn) => arn.clone(),
            None => self.find(key.id).await?,
        };
        let found = self.read(key.id, &arn).await?;
        if found.public_key.algorithm() != Some(key.algorithm) {
            return Err(CustodyError::Nonsense(format!(
                "its public key is not of {:?}",
                key.algorithm
            )));
        }
        Ok(found)
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn recover(&self, key: &Place) -> Result<DeviceKey, CustodyError> {
        let found = self.inspect(key).await?;
        match attributes::not_as_ordered(&found, key.algorithm) {
            None => Ok(found),
            Some(why) => Err(CustodyError::Refused(format!(
                "the key that was made: {why}"
            ))),
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        self.schedule_deletion(key).await
    }

    fn evidence(&self) -> Evidence {
        Evidence::ProviderStatement
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.answers().await
    }

    fn load(&self) -> Load {
        let paces = [&self.ecc, &self.rsa];
        Load {
            waiting: Some(paces.iter().map(|it| it.waiting()).sum()),
            throttled: Some(paces.iter().map(|it| it.throttled()).sum()),
            ..Load::default()
        }
    }

    fn queues(&self) -> Option<&dyn Line> {
        Some(self)
    }

    fn adopts(&self) -> Option<&dyn Adopter> {
        Some(self)
    }

    fn imports(&self) -> Option<&dyn Importer> {
        Some(self)
    }

    fn switches(&self) -> Option<&dyn KeySwitch> {
        Some(self)
    }

    fn seals(&self) -> Option<&dyn Sealer> {
        Some(self)
    }

    fn describes(&self) -> Option<&dyn Describer> {
        Some(self)
    }

    fn on_trial(&self) -> Option<&dyn OnTrial> {
        Some(self)
    }
}

#[async_trait]
impl Line for AwsKms {
    async fn turn(&self, key: &Place, caller: CallerId) -> Result<Turn, CustodyError> {
        self.ready().await?;
        let place = self.pace(key.algorithm);
        let told = place.reserve(caller, Instant::now() + self.timeout())?;
        Ok(Turn::new(told))
    }
}
