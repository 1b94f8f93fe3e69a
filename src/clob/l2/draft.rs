//! Headers on their way through the door.

use std::sync::Arc;

use ruint::aliases::U256;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::VenueRequest;
use crate::clob::wallets::Wallet;
use crate::credentials::{Credential, Kind};
use crate::custody::{Payload, SealedSecret};
use crate::id::IntentId;
use crate::keys::Key;
use crate::policy::{Action, Ask, Resource, Stake};
use crate::signing::{Answer, Business, Checked, Draft, Prepared};

/// How long headers are answered again under their idempotency key. The venue's own window is not
/// published.
const USEFUL_FOR: Duration = Duration::seconds(60);

/// Headers to be made with a wallet's API key, the trading key or the builder's.
pub struct HeaderDraft {
    /// Of which wallet.
    pub wallet: Arc<Wallet>,
    /// With which API key.
    pub credential: Credential,
    /// Its secrets.
    pub secret: Arc<SealedSecret>,
    /// For which request.
    pub request: VenueRequest,
    /// Unix seconds; the moment of the INTENT unless it is given.
    pub timestamp: Option<i64>,
    /// What is answered.
    pub shape: Shape,
    /// By which right. Callers have one for headers; the service's own calls come with the right to
    /// what they are made for.
    pub right: Action,
    /// Whether what is asked for with them saves a wallet.
    pub is_rescue: bool,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// [`IssuedHeaders`].
    Whole,
    /// The headers alone, as the remote builder-signing protocol has them.
    Bare,
}

/// The answer: headers, and under which id they are on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct IssuedHeaders {
    /// The signature's id here.
    #[schema(value_type = String)]
    pub id: IntentId,
    /// The API key that they are of.
    #[serde(rename = "apiKey")]
    pub api_key: String,
    /// To be sent as they are, with that method, path and body.
    #[schema(value_type = Object)]
    pub headers: Map<String, Value>,
}

impl Ask for HeaderDraft {
    fn action(&self) -> Action {
        self.right
    }

    fn resource(&self) -> Resource {
        self.wallet.resource()
    }

    fn stake(&self) -> Stake {
        self.request.stake()
    }

    fn markets(&self) -> Vec<U256> {
        self.request.markets()
    }
}

impl Draft for HeaderDraft {
    fn operation(&self) -> &'static str {
        match self.credential.kind {
            Kind::Trading => "l2-headers",
            Kind::Builder => "builder-headers",
        }
    }

    fn subject(&self) -> Uuid {
        self.wallet.id.uuid()
    }

    fn key(&self) -> &Key {
        &self.wallet.key
    }

    fn secret(&self) -> Option<&SealedSecret> {
        Some(&self.secret)
    }

    fn business(&self) -> Business {
        let by_callers = [Action::IssueL2Headers, Action::IssueBuilderHeaders];
        let is_a_callers = by_callers.contains(&self.right);
        match self.credential.kind {
            // A caller does not end the API key that the rest of the winding down needs.
            Kind::Trading if is_a_callers && self.request.deletes_credentials() => {
                Business::Ordinary
            }
            Kind::Trading if self.request.reduces() && is_a_callers => Business::Reduction,
            Kind::Trading if self.request.reduces() => Business::Unwinding,
            Kind::Builder if self.is_rescue => Business::Rescue,
            Kind::Trading | Kind::Builder => Business::Ordinary,
        }
    }

    fn reads(&self) -> bool {
        self.request.reads()
    }

    fn tells_the_time(&self) -> bool {
        self.timestamp.is_none()
    }

    fn prepare(&self, now_ms: i64) -> Prepared {
        let timestamp = self.timestamp.unwrap_or(now_ms.div_euclid(1000));
        let message = self.request.message(timestamp);
        let mut record = self.request.record();
        record["timestamp"] = timestamp.into();
        record["address"] = self.credential.account.address.to_string().into();
        record["apiKey"] = self.credential.api_key.as_str().into();
        record["secretVersion"] = self.credential.sealed.version.into();
        record["sealedIn"] = self.secret.backend.as_str().into();
        let signed_at = OffsetDateTime::from_unix_timestamp(timestamp);
        let digest = Sha256::digest(&message).into();
        let payload = Payload::Hmac {
            secret: Arc::clone(&self.secret),
            message,
        };
        Prepared {
            expires_at: signed_at.ok().map(|at| at + USEFUL_FOR),
            ..Prepared::new(payload, digest, record)
        }
    }

    fn answer(&self, id: IntentId, prepared: &Prepared, signature: &Checked) -> Answer {
        let (Checked::Hmac(mac, passphrase), Some(timestamp)) =
            (signature, prepared.record["timestamp"].as_i64())
        else {
            unreachable!("headers are an HMAC over a message with a timestamp");
        };
        let Credential {
            kind,
            account,
            api_key,
            ..
        } = &self.credential;
        let headers = super::headers(
            *kind,
            &account.address,
            api_key,
            passphrase.expose(),
            timestamp,
            &super::signature(mac),
        );
        let headers: Map<String, Value> = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let body = match self.shape {
            Shape::Bare => serde_json::to_vec(&headers),
            Shape::Whole => serde_json::to_vec(&IssuedHeaders {
                id,
                api_key: api_key.clone(),
                headers,
            }),
        };
        Answer {
            body: body.expect("plain data serializes"),
            is_secret: true,
        }
    }
}
