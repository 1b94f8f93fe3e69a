//! The relayer, which has contract wallets' operations carried out and pays for that: `submit`, follow, settle.
//!
//! What is submitted was signed before, and is on record as it was released: its text is read from there each time.
//! So a lost answer never leads to a second signature. Whoever does not know whether the relayer has taken something
//! looks for it among what it has, and else sends the same text again, which can happen once: its nonce is in it. No nonce
//! is ever taken from what the relayer says.
//!
//! It promises that a try is on record before it is sent, and that what is on record as carried out is what the
//! relayer says was confirmed, with a nonce that has moved since. It **trusts** the relayer for that: the service
//! does not see the chain. A relayer that lies can have an operation taken for done that is not; it cannot change what is
//! signed, nor have it done twice.

mod answers;
mod error;
mod following;
pub(crate) mod records;
mod released;
mod submitting;

use std::time::Duration;

use reqwest::Method;
use ruint::aliases::U256;
use serde::de::DeserializeOwned;

use super::venue::{VenueError, judge};
use super::wallet::Chain;
use crate::counterparty::{self, BadCounterparty, Counterparty, NoReply};
use crate::ethereum::Address;
use crate::name::Name;
pub use answers::{Progress, Transaction};
pub use error::{Means, RelayerError};
pub use records::{State, Submission};
pub use released::Signed;
pub use submitting::{NotSubmitted, SubmissionRequest, Submissions, Tools};

/// `[relayer]`: the relayer of each chain, where there is one.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[relayer.polygon]`, for wallets on chain 137.
    pub polygon: Option<RelayerSettings>,
    /// `[relayer.amoy]`, for wallets on chain 80002.
    pub amoy: Option<RelayerSettings>,
}

/// `[relayer.polygon]`, `[relayer.amoy]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayerSettings {
    /// `https://relayer-v2.polymarket.com`. Plain `http` only to this machine.
    pub url: String,
    /// How long a call may take.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// The wallet whose builder's API key names us to the relayer, for wallets that have none of their own.
    #[serde(default)]
    pub builder: Option<Name>,
}

fn default_timeout() -> u64 {
    10_000
}

/// The relayers of this deployment.
#[derive(Clone, Default)]
pub struct Relayers {
    polygon: Option<Relayer>,
    amoy: Option<Relayer>,
}

/// The relayer of one chain. Cheap to clone.
#[derive(Clone)]
pub struct Relayer {
    server: Counterparty,
    builder: Option<Name>,
}

/// A relayer cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error("[relayer] url = {0}")]
pub struct BadRelayer(#[from] BadCounterparty);

/// Under which of the relayer's types a nonce is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A Safe's.
    Safe,
    /// The relay hub's, for a proxy wallet's key.
    Proxy,
    /// A deposit wallet's.
    Wallet,
}

impl Counted {
    fn word(self) -> &'static str {
        match self {
            Self::Safe => "SAFE",
            Self::Proxy => "PROXY",
            Self::Wallet => "WALLET",
        }
    }
}

/// A header of a request.
pub type Header = (&'static str, String);

impl Relayers {
    /// Clients for the relayers of the configuration.
    pub fn open(settings: &Settings) -> Result<Self, BadRelayer> {
        let open =
            |settings: &Option<RelayerSettings>| settings.as_ref().map(Relayer::open).transpose();
        Ok(Self {
            polygon: open(&settings.polygon)?,
            amoy: open(&settings.amoy)?,
        })
    }

    /// The relayer of a chain.
    pub fn on(&self, chain: Chain) -> Result<&Relayer, RelayerError> {
        let relayer = match chain {
            Chain::Polygon => &self.polygon,
            Chain::Amoy => &self.amoy,
        };
        relayer.as_ref().ok_or(RelayerError::NotConfigured(chain))
    }
}

impl Relayer {
    fn open(settings: &RelayerSettings) -> Result<Self, BadRelayer> {
        let timeout = Duration::from_millis(settings.timeout_ms);
        Ok(Self {
            server: Counterparty::open(&settings.url, timeout)?,
            builder: settings.builder.clone(),
        })
    }

    /// The wallet whose builder's API key stands in for wallets that have none.
    pub fn builder(&self) -> Option<&Name> {
        self.builder.as_ref()
    }

    /// Hands over what was signed, in just this text.
    pub async fn submit(&self, headers: &[Header], body: &str) -> Result<String, RelayerError> {
        let request = self.server.request(Method::POST, "/submit", &[]);
        let json = (reqwest::header::CONTENT_TYPE, "application/json");
        let request = request.header(json.0, json.1).body(body.to_owned());
        let taken: answers::Taken = call("submit", request, headers).await?;
        taken.id().ok_or_else(|| no_answer("submit"))
    }

    /// A transaction that it has taken; `None`: it knows none of this id.
    pub async fn transaction(&self, id: &str) -> Result<Option<Transaction>, RelayerError> {
        let request = self
            .server
            .request(Method::GET, "/transaction", &[("id", id)]);
        let found: Result<Vec<Transaction>, _> = call("transaction", request, &[]).await;
        match found {
            Ok(all) => Ok(all.into_iter().find(|it| it.id == id)),
            Err(RelayerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The transactions that it has of whom the headers name, the latest of them.
    pub async fn transactions(&self, headers: &[Header]) -> Result<Vec<Transaction>, RelayerError> {
        let request = self.server.request(Method::GET, "/transactions", &[]);
        call("transactions", request, headers).await
    }

    /// The nonce that is the next one of a wallet.
    pub async fn nonce(&self, address: Address, of: Counted) -> Result<U256, RelayerError> {
        let address = address.to_string();
        let query = [("address", address.as_str()), ("type", of.word())];
        let request = self.server.request(Method::GET, "/nonce", &query);
        let answer: answers::Nonce = call("nonce", request, &[]).await?;
        answer.number().ok_or_else(|| no_answer("nonce"))
    }

    /// Whether a wallet is there, as far as it knows.
    pub async fn is_deployed(&self, address: Address, of: Counted) -> Result<bool, RelayerError> {
        let address = address.to_string();
        let query = [("address", address.as_str()), ("type", of.word())];
        let request = self.server.request(Method::GET, "/deployed", &query);
        let answer: answers::Deployed = call("deployed", request, &[]).await?;
        Ok(answer.deployed)
    }
}

fn no_answer(call: &'static str) -> RelayerError {
    VenueError::Nonsense(call).into()
}

/// Makes a call, once.
async fn call<T: DeserializeOwned>(
    name: &'static str,
    request: reqwest::RequestBuilder,
    headers: &[Header],
) -> Result<T, RelayerError> {
    let add =
        |request: reqwest::RequestBuilder, (name, value): &Header| request.header(*name, value);
    let request = headers.iter().fold(request, add);
    let reply = counterparty::send(request).await;
    let reply = reply.map_err(|none| match none {
        NoReply::Unreachable => VenueError::Unreachable,
        NoReply::Lost => VenueError::NoAnswer,
        NoReply::TooLarge => VenueError::Nonsense(name),
    })?;
    Ok(judge(name, &reply)?)
}

#[cfg(test)]
mod tests;
