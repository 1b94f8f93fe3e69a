//! KMS's own speed, past the pace that keeps the account's quota.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::operation::sign::builders::SignFluentBuilder;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use tokio::task::JoinSet;

use super::AwsKms;
use super::deletion::SHORTEST_WINDOW;
use crate::custody::trial::DIGEST;
use crate::custody::{Algorithm, CustodyError, KeyTemplate, OnTrial, Trial, Tried};
use crate::id::KeyId;

/// So long KMS is asked before it counts: connections are made.
const WARM_UP: Duration = Duration::from_millis(300);

#[async_trait]
impl OnTrial for AwsKms {
    #[tracing::instrument(skip_all, fields(custody.backend = self.backend))]
    async fn try_out(&self, trial: Trial) -> Result<Tried, CustodyError> {
        let id = KeyId::new();
        let template = KeyTemplate {
            id,
            algorithm: trial.algorithm,
            labels: [("purpose", "trial".to_owned())].into(),
        };
        let made = self.make(&template).await?;
        let missing = || CustodyError::Nonsense("a key without an ARN".into());
        let arn = made.device_ref.ok_or_else(missing)?;
        let algorithm = match trial.algorithm {
            Algorithm::Secp256k1 => SigningAlgorithmSpec::EcdsaSha256,
            _ => SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
        };
        let sign = self.client().await.sign().key_id(arn.as_str());
        let sign = sign
            .message(Blob::new(DIGEST))
            .message_type(MessageType::Digest)
            .signing_algorithm(algorithm);
        let tried = ask(&sign, trial).await;
        self.schedule(id, &arn, SHORTEST_WINDOW).await?;
        tried
    }
}

async fn ask(sign: &SignFluentBuilder, trial: Trial) -> Result<Tried, CustodyError> {
    all(sign, trial.at_once, Instant::now() + WARM_UP).await?;
    let begun = trial.begin();
    let latencies = all(sign, trial.at_once, begun.until()).await?;
    Ok(begun.end(latencies))
}

async fn all(
    sign: &SignFluentBuilder,
    at_once: usize,
    until: Instant,
) -> Result<Vec<Duration>, CustodyError> {
    let mut asking = JoinSet::new();
    for _ in 0..at_once {
        let sign = sign.clone();
        asking.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let start = Instant::now();
                let signed = sign.clone().send().await;
                signed.map_err(|error| {
                    CustodyError::Unavailable(DisplayErrorContext(error).to_string())
                })?;
                latencies.push(start.elapsed());
                if Instant::now() >= until {
                    return Ok(latencies);
                }
            }
        });
    }
    let ends = asking.join_all().await.into_iter();
    let latencies: Vec<Vec<Duration>> = ends.collect::<Result<_, CustodyError>>()?;
    Ok(latencies.concat())
}
