//! The CLOB as a counterparty: a client for each chain, and what can be known from an answer.
//!
//! It **trusts** nothing that comes back: answers have limits in size and time, addresses and code
//! are never taken from them, and a text that is quoted to callers is cut.
//!
//! # Why
//! The one question that matters after a request is whether it took effect. A refusal in the venue's
//! own form says no; a connection that was never made says no; everything else (a time-out, a 5xx,
//! the web firewall's page) says nothing, and [`VenueError::settles`] keeps the two apart.

use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::request::VersionChoice;
pub use super::venue_error::VenueError;
use super::wallet::Chain;
use crate::counterparty::{self, BadCounterparty, Counterparty, NoReply, Reply};

/// `[clob]`: the CLOB of each chain, where there is one.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[clob.polygon]`, for wallets on chain 137.
    pub polygon: Option<VenueSettings>,
    /// `[clob.amoy]`, for wallets on chain 80002.
    pub amoy: Option<VenueSettings>,
}

/// `[clob.polygon]`, `[clob.amoy]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueSettings {
    /// `https://clob.polymarket.com`. Plain `http` only to this machine.
    pub url: String,
    /// How long a call may take.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// The order format that `auto` stands for: what the venue's `/version` says, or this one.
    #[serde(default)]
    pub version: VersionChoice,
    /// How far from the venue's clock an L1 timestamp is taken, in seconds. After that a login that
    /// was lost on its way can no longer take effect.
    #[serde(default = "default_l1_window")]
    pub l1_window_s: u32,
    /// Whether what a caller says of their market is compared with what the venue says.
    #[serde(default = "default_verify_given")]
    pub verify_given: bool,
    /// How long that may take before an order is made without it.
    #[serde(default = "default_verify_timeout")]
    pub verify_timeout_ms: u64,
    /// How many markets are remembered.
    #[serde(default = "default_remembered_markets")]
    pub remembered_markets: u64,
    /// How long a market's tick is remembered, in seconds. An order made on one that is older than a
    /// second says so.
    #[serde(default = "default_short_ttl")]
    pub tick_size_ttl_s: u32,
    /// How long it is remembered whether a market is a neg-risk one, in seconds.
    #[serde(default = "default_long_ttl")]
    pub neg_risk_ttl_s: u32,
    /// How long a market's fee is remembered, in seconds.
    #[serde(default = "default_short_ttl")]
    pub fee_rate_ttl_s: u32,
    /// How long the venue's order version is remembered, in seconds.
    #[serde(default = "default_version_ttl")]
    pub version_ttl_s: u32,
}

fn default_timeout() -> u64 {
    4_000
}

fn default_l1_window() -> u32 {
    300
}

fn default_verify_given() -> bool {
    true
}

fn default_verify_timeout() -> u64 {
    500
}

fn default_remembered_markets() -> u64 {
    10_000
}

fn default_short_ttl() -> u32 {
    10
}

fn default_long_ttl() -> u32 {
    3_600
}

fn default_version_ttl() -> u32 {
    5
}

/// The venues of this deployment.
#[derive(Clone, Default)]
pub struct Venues {
    polygon: Option<Venue>,
    amoy: Option<Venue>,
}

/// The CLOB of one chain. Cheap to clone.
#[derive(Clone)]
pub struct Venue {
    server: Counterparty,
    chain: Chain,
    settings: VenueSettings,
}

/// A venue cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error("[clob] url = {0}")]
pub struct BadVenue(#[from] BadCounterparty);

/// A call to the venue. `name` stands for it in errors.
pub struct Call<'a> {
    /// GET, POST, DELETE.
    pub method: Method,
    /// Without the query.
    pub path: &'a str,
    /// Names and values.
    pub query: &'a [(&'a str, &'a str)],
    /// Names and values, in their order.
    pub headers: &'a [(&'static str, String)],
    /// JSON, byte for byte as it is signed.
    pub body: Option<String>,
}

impl<'a> Call<'a> {
    /// A GET without credentials.
    pub fn get(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method: Method::GET,
            path,
            query,
            headers: &[],
            body: None,
        }
    }
}

impl Venues {
    /// Clients for the venues of the configuration.
    pub fn open(settings: &Settings) -> Result<Self, BadVenue> {
        let open = |chain, settings: &Option<VenueSettings>| {
            let venue = settings.as_ref().map(|it| Venue::open(chain, it));
            venue.transpose()
        };
        Ok(Self {
            polygon: open(Chain::Polygon, &settings.polygon)?,
            amoy: open(Chain::Amoy, &settings.amoy)?,
        })
    }

    /// Those that are configured.
    pub fn all(&self) -> impl Iterator<Item = &Venue> {
        self.polygon.iter().chain(&self.amoy)
    }

    /// The venue of a chain.
    pub fn on(&self, chain: Chain) -> Result<&Venue, VenueError> {
        let venue = match chain {
            Chain::Polygon => &self.polygon,
            Chain::Amoy => &self.amoy,
        };
        venue.as_ref().ok_or(VenueError::NotConfigured(chain))
    }
}

impl Venue {
    /// A client for one venue.
    pub fn open(chain: Chain, settings: &VenueSettings) -> Result<Self, BadVenue> {
        let timeout = Duration::from_millis(settings.timeout_ms);
        Ok(Self {
            server: Counterparty::open(&settings.url, timeout)?,
            chain,
            settings: settings.clone(),
        })
    }

    /// The chain whose orders it takes.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// How it is configured.
    pub fn settings(&self) -> &VenueSettings {
        &self.settings
    }

    /// Its clock, in unix seconds.
    pub async fn time(&self) -> Result<i64, VenueError> {
        self.call("time", Call::get("/time", &[])).await
    }

    /// Makes a call, once.
    pub async fn call<T: DeserializeOwned>(
        &self,
        name: &'static str,
        call: Call<'_>,
    ) -> Result<T, VenueError> {
        let mut request = self.server.request(call.method, call.path, call.query);
        for (name, value) in call.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = call.body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let reply = counterparty::send(request).await;
        judge(
            name,
            &reply.map_err(|none| match none {
                NoReply::Unreachable => VenueError::Unreachable,
                NoReply::Lost => VenueError::NoAnswer,
                NoReply::TooLarge => VenueError::Nonsense(name),
            })?,
        )
    }
}

/// What an answer says.
pub fn judge<T: DeserializeOwned>(name: &'static str, reply: &Reply) -> Result<T, VenueError> {
    let (status, body) = (reply.status, reply.text());
    if status == 429 {
        let retry_after_s = reply.retry_after_s();
        return Err(VenueError::Throttled { retry_after_s });
    }
    if reply.is_page() {
        return Err(VenueError::Edge(status));
    }
    let text = said(body);
    match status {
        200..300 => serde_json::from_slice(body).map_err(|_| VenueError::Nonsense(name)),
        300..400 => Err(VenueError::Redirected(status)),
        400..500 => Err(match text {
            Some(text) => VenueError::Refused { status, text },
            None => VenueError::Wordless(status),
        }),
        _ => Err(VenueError::Down {
            status,
            text: text.unwrap_or_else(|| "without a reason".to_owned()),
        }),
    }
}

/// The `error` of a refusal, cut to what may be shown; none where the body is not the venue's.
fn said(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = match &value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(members) => ["error", "errorMsg", "message"]
            .iter()
            .find_map(|name| members.get(*name)?.as_str())?
            .to_owned(),
        _ => return None,
    };
    Some(counterparty::quoted(&text))
}

#[cfg(test)]
mod tests;
