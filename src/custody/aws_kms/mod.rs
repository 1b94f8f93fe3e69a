//! AWS KMS: asymmetric keys that sign, symmetric ones that wrap data keys.
//!
//! It promises that a key is only ever used by its ARN, never by an alias, which anybody with the right
//! can move; that KMS is given a digest and never a message; that more than the quota is refused early
//! and shared fairly among callers, instead of timing out; and that what KMS says is told apart: refused
//! for good, throttled, unavailable, unknown. It **trusts** KMS for secrecy, and the host's credentials
//! for who we are: whoever has them can sign with every key that their policy allows, past our record.
//!
//! # Why
//! The SDK's own retries are off, for they know neither our deadline nor our line: what is tried again
//! is tried here, counted, and takes its turn anew. A signature that was made and got lost does no harm;
//! a key that was made and got lost does, so `CreateKey` is not repeated after a time-out, and a key
//! carries its id as a tag from the moment it exists, by which it is found again.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::pace::Pace;
use self::secret::DataKeys;
use self::tries::{Breaker, Line};
use super::{
    Algorithm, Custody, CustodyError, Description, Destruction, DeviceRef, DeviceSealingKey,
    Evidence, Generated, KeyRef, Offer, Payload, Place, RawSignature, Sign, Turn, Wanted,
};
use crate::audit::Logged;
use crate::counterparty;
use crate::id::CallerId;
use crate::policy::Permit;

mod import;
mod key;
mod pace;
mod secret;
mod signature;
#[cfg(test)]
mod tests;
mod tries;
mod trouble;

/// How to reach KMS, and how much may be asked of it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The region, such as `eu-west-1`. Keys of another are refused.
    pub region: String,
    /// Where KMS is, if not where AWS has it: a VPC endpoint, a test. Plain http only to this machine.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// A profile of the host's AWS configuration; the default chain of credentials unless it is set.
    #[serde(default)]
    pub profile: Option<String>,
    /// The ARN of the symmetric key under which data keys are wrapped. Without it nothing is sealed here.
    #[serde(default)]
    pub sealing_key: Option<DeviceRef>,
    /// ARNs of former sealing keys, which still open what was sealed under them.
    #[serde(default)]
    pub former_sealing_keys: Vec<DeviceRef>,
    /// How long making a connection may take, in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long one call may take.
    #[serde(default = "default_attempt_timeout_ms")]
    pub attempt_timeout_ms: u64,
    /// How long an operation may take: waiting for its turn and all its attempts.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How often a call is tried at most.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// Signatures a second with secp256k1 keys: this replica's share of the account's quota.
    #[serde(default = "default_ecc_per_second")]
    pub ecc_per_second: u32,
    /// The same with RSA keys, which KMS counts apart.
    #[serde(default = "default_rsa_per_second")]
    pub rsa_per_second: u32,
    /// How many signatures may wait for their turn, of each kind. More are refused as throttled.
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// How many days KMS keeps a key whose destruction was ordered: 7 to 30.
    #[serde(default = "default_deletion_window_days")]
    pub deletion_window_days: i32,
}

fn default_connect_timeout_ms() -> u64 {
    500
}

fn default_attempt_timeout_ms() -> u64 {
    1_000
}

fn default_timeout_ms() -> u64 {
    3_000
}

fn default_attempts() -> u32 {
    3
}

fn default_ecc_per_second() -> u32 {
    250
}

fn default_rsa_per_second() -> u32 {
    400
}

fn default_queue() -> usize {
    512
}

fn default_deletion_window_days() -> i32 {
    30
}

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
    /// Checks the settings. KMS is spoken to when somebody asks for something.
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
            key::check_arn(arn, &settings.region)?;
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
        let arn = key::arn(place)?;
        let client = self.client().await;
        let line = Line {
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
        if signed.key_id() != Some(arn.as_str()) {
            let why = "it says that it used another key";
            return Err(CustodyError::NotASignature(why.into()));
        }
        let signature = signed.signature().map(Blob::as_ref).unwrap_or_default();
        signature::raw(place.algorithm, signature)
    }

    /// While KMS rests, one at a time looks whether it is back.
    async fn ready(&self) -> Result<(), CustodyError> {
        if self.breaker.is_open() {
            self.answers().await?;
        }
        Ok(())
    }

    async fn turn(&self, key: &Place, caller: CallerId) -> Result<Turn, CustodyError> {
        let place = self.pace(key.algorithm);
        let told = place.reserve(caller, Instant::now() + self.timeout())?;
        Ok(Turn::new(told))
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %wanted.id))]
    async fn generate(&self, wanted: &Wanted) -> Result<Generated, CustodyError> {
        self.make(wanted).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn inspect(&self, key: &Place) -> Result<Generated, CustodyError> {
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
    async fn recover(&self, key: &Place) -> Result<Generated, CustodyError> {
        let found = self.inspect(key).await?;
        match key::not_as_ordered(&found, key.algorithm) {
            None => Ok(found),
            Some(why) => Err(CustodyError::Refused(format!(
                "the key that was made: {why}"
            ))),
        }
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn look_up(&self, device_ref: &DeviceRef) -> Result<Generated, CustodyError> {
        self.adopted(device_ref).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %wanted.id))]
    async fn prepare_import(
        &self,
        wanted: &Wanted,
        earlier: Option<&Place>,
    ) -> Result<Offer, CustodyError> {
        self.offer(wanted, earlier).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %announced.place.id))]
    async fn import(
        &self,
        announced: &KeyRef,
        ticket: &[u8],
        wrapped: &[u8],
    ) -> Result<Generated, CustodyError> {
        self.bring(announced, ticket, wrapped).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn destroy(&self, key: &Place) -> Result<Destruction, CustodyError> {
        self.schedule_deletion(key).await
    }

    /// KMS leaves the key disabled; [`enable`](Custody::enable) is another step.
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn restore(&self, key: &Place) -> Result<(), CustodyError> {
        self.cancel_deletion(key).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend, key.id = %key.id))]
    async fn enable(&self, key: &Place, enabled: bool) -> Result<(), CustodyError> {
        let (client, arn) = (self.client().await, key::arn(key)?);
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

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CustodyError> {
        self.seal_secret(aad, plaintext).await
    }

    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        self.open_secret(aad, sealed).await
    }

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

    fn evidence(&self) -> Evidence {
        Evidence::ProviderStatement
    }

    async fn sealing_keys(&self) -> Result<Vec<DeviceSealingKey>, CustodyError> {
        Ok(self.listed())
    }

    fn sealed_under(&self, sealed: &[u8]) -> Option<String> {
        self.names(sealed)
    }

    async fn health(&self) -> Result<(), CustodyError> {
        self.answers().await
    }
}
