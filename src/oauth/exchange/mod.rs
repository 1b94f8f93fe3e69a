//! An assertion's way to the authorization server, and what comes back for it.
//!
//! An assertion is spent by its first delivery, not by its first answer: whoever tries again needs a
//! new one. Nothing of an answer is shown but its `error`, and the start of its description.

mod answer;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::assertion::ASSERTION_TYPE;
use super::environment::{Environment, TokenRequest};
use crate::counterparty::{self, BadCounterparty, Counterparty, NoReply};
#[doc(hidden)]
pub use answer::judge;

/// The token endpoint of one environment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    server: Counterparty,
    request: TokenRequest,
    audience: String,
}

/// A token, as the server gave it.
#[derive(Debug)]
pub struct Granted {
    /// The token.
    pub access_token: SecretString,
    /// How many seconds it lives from the answer on, where the server says so.
    pub expires_in: Option<u32>,
    /// Its scopes, where the server says so; it may have narrowed them.
    pub scope: Option<String>,
    /// The server's clock when it answered, in seconds since 1970.
    pub server_time: Option<i64>,
    /// What is left of the quota.
    pub quota: Quota,
}

/// How much more a server will take, as its headers say: the only early warning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// `x-ratelimit-remaining`.
    pub remaining: Option<u32>,
    /// `x-ratelimit-reset`, seconds since 1970.
    pub reset: Option<i64>,
    /// `Auth0-Client-Quota-Limit`, cut.
    pub client: Option<String>,
}

/// What a refusal says: the status, `error`, and the start of `error_description`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}{}", described(.description))]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error`.
    pub code: String,
    /// `error_description`, cut.
    pub description: String,
    /// The server's clock, in seconds since 1970.
    pub server_time: Option<i64>,
}

fn described(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// Why an exchange brought no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// No connection was made: the assertion was not delivered.
    #[error("the authorization server cannot be reached")]
    Unreachable,
    /// The assertion may have been delivered; the answer was lost or did not come in time.
    #[error("the authorization server did not answer in time")]
    NoAnswer,
    /// It answered with a redirect, which is not followed: an assertion would go with it.
    #[error("the authorization server answered {0}, a redirect, which is not followed")]
    Redirected(u16),
    /// Not the server but what stands in front of it.
    #[error(
        "a web firewall or proxy answered {0} with a page, not the authorization server itself"
    )]
    Edge(u16),
    /// A refusal that is neither a page nor an OAuth error: it says nothing of the key.
    #[error("the authorization server answered {status} and does not say why: {body}")]
    Wordless {
        /// The HTTP status.
        status: u16,
        /// What is wrong with the answer.
        body: &'static str,
    },
    /// Too many requests, or a quota used up.
    #[error("the authorization server asks for fewer requests")]
    Throttled {
        /// In how many seconds it may be asked again, if it says so.
        retry_after_s: Option<u32>,
        /// What is left of the quota.
        quota: Quota,
    },
    /// A fault of its own.
    #[error("the authorization server answered {0}")]
    Down(u16),
    /// `invalid_client` or `invalid_client_assertion`: the key or the claims. Servers use either word
    /// for either, so nothing depends on which.
    #[error("the authorization server does not take the assertion: {0}")]
    NotTaken(Refusal),
    /// The assertion is good; the audience or a scope is not granted.
    #[error("the authorization server does not grant this: {0}")]
    NotGranted(Refusal),
    /// The request is not what the server expects.
    #[error("the authorization server does not understand the request: {0}")]
    NotUnderstood(Refusal),
    /// A token for another API than the one that was asked for; it was dropped.
    #[error("the authorization server's token is for {audiences}, not for {asked}")]
    Elsewhere {
        /// Its `aud`, cut.
        audiences: String,
        /// The environment's `token_audience`.
        asked: String,
    },
    /// An answer that is no token, though it says so.
    #[error("the authorization server's answer is not a token: {0}")]
    Nonsense(&'static str),
}

impl ExchangeError {
    /// Whether the server said, of this key, that it does not take it: what proves that a key was
    /// removed, or not yet registered.
    pub fn denies_key(&self) -> bool {
        matches!(self, Self::NotTaken(_))
    }

    /// The server's own words, where it said no in its own form.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::NotTaken(refusal) | Self::NotGranted(refusal) | Self::NotUnderstood(refusal) => {
                Some(refusal)
            }
            _ => None,
        }
    }

    /// Whether trying again, with a new assertion, may help by itself.
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable
            | Self::NoAnswer
            | Self::Edge(_)
            | Self::Wordless { .. }
            | Self::Down(_)
            | Self::Nonsense(_) => true,
            Self::Redirected(_)
            | Self::Elsewhere { .. }
            | Self::Throttled { .. }
            | Self::NotTaken(_)
            | Self::NotGranted(_)
            | Self::NotUnderstood(_) => false,
        }
    }
}

impl TokenEndpoint {
    /// The token endpoint of an environment.
    pub fn open(environment: &Environment) -> Result<Self, BadCounterparty> {
        let timeout = Duration::from_millis(environment.timeout_ms);
        Ok(Self {
            server: Counterparty::open(&environment.token_endpoint, timeout)?,
            request: environment.token_request,
            audience: environment.token_audience.clone(),
        })
    }

    /// Exchanges an assertion for a token, once. Without scopes the server grants all that it has.
    pub async fn exchange(
        &self,
        client_id: &str,
        assertion: &SecretString,
        scopes: &[String],
    ) -> Result<Granted, ExchangeError> {
        let scope = scopes.join(" ");
        let mut members = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion.expose_secret()),
            ("audience", &self.audience),
        ];
        if !scopes.is_empty() {
            members.push(("scope", &scope));
        }
        let request = match self.request {
            TokenRequest::Form => self.server.post().form(&members),
            TokenRequest::Json => {
                let members: std::collections::BTreeMap<_, _> = members.into_iter().collect();
                self.server.post().json(&members)
            }
        };
        match counterparty::send(request).await {
            Ok(reply) => answer::judge(&reply),
            Err(NoReply::Unreachable) => Err(ExchangeError::Unreachable),
            Err(NoReply::Lost) => Err(ExchangeError::NoAnswer),
            Err(NoReply::TooLarge) => Err(ExchangeError::Nonsense("it is too large")),
        }
    }
}
