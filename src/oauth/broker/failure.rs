//! Why there is no token, and how long it makes no sense to try again.

use std::sync::Arc;
use std::time::Duration;

use super::scope_set::{NotScopes, ScopeSet};
use crate::ledger::LedgerError;
use crate::oauth::clients::ClientError;
use crate::oauth::exchange::ExchangeError;
use crate::policy::Denied;
use crate::signing::SigningError;

/// Why a fetch brought no token. All who waited for it share it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No assertion.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// No token for it.
    #[error("{}", .0.error)]
    Exchange(Arc<Rejected>),
    /// A token that may do more than it was asked for; it was dropped.
    #[error("the authorization server's token has scopes that were not asked for: {0}")]
    Excess(ScopeSet),
    /// Another replica was at it all the time.
    #[error("another replica is fetching this token")]
    Elsewhere,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// An exchange that brought no token, and what helps to find out why.
#[derive(Debug)]
pub struct Rejected {
    /// What came back.
    pub error: ExchangeError,
    /// What was sent.
    pub diagnosis: Diagnosis,
}

/// What was sent to the authorization server, without what could be spent there.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Diagnosis {
    /// The `[oauth.environments.NAME]` section.
    pub environment: String,
    /// Where the last assertion went.
    pub token_endpoint: String,
    /// How `aud` is configured: `token-endpoint`, `issuer` or `literal`.
    pub assertion_aud: &'static str,
    /// The last assertion's signature here, which `GET /v1/signatures/{id}` shows.
    pub signature: String,
    /// Its claims.
    #[schema(value_type = Object)]
    pub claims: serde_json::Value,
    /// The fingerprint of the key that signed it: SHA-256 over its public half, in hexadecimal digits.
    pub key_fingerprint: Option<String>,
    /// How far our clock is ahead of the server's, in seconds, if its answer had a date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_ahead_s: Option<i64>,
    /// How many assertions were tried.
    pub attempts: u32,
    /// The server's `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_error: Option<String>,
    /// The server's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_status: Option<u16>,
}

/// Why a caller gets no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was asked for are no scopes.
    #[error(transparent)]
    Scopes(#[from] NotScopes),
    /// The policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The policy permits the caller tokens of the client, but not with all of these scopes.
    #[error("{}", refused(.scopes, *.together, .denied))]
    ScopeDenied {
        /// Those that are in the way.
        scopes: ScopeSet,
        /// Whether it is only that they are not permitted together.
        together: bool,
        /// What the policy said.
        denied: Denied,
    },
    /// The application has none of the scopes that the caller may have.
    #[error("the application is granted {granted}, and you may have none of these")]
    NothingGranted {
        /// What it has.
        granted: ScopeSet,
    },
    /// No token was fetched.
    #[error("{error}")]
    Fetch {
        /// Why.
        error: FetchError,
        /// When it may be tried again.
        retry_after: Option<Duration>,
    },
    /// It may not be handed out.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// No such token was fetched for this client.
    #[error("no such token")]
    UnknownToken,
    /// The place of the cache was emptied moments ago.
    #[error(
        "this token was replaced moments ago; if the new one is refused too, it is not the token"
    )]
    TooSoon {
        /// In so many seconds it may be again.
        retry_after_s: u32,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn refused(scopes: &ScopeSet, together: bool, denied: &Denied) -> String {
    let together = if together { " together" } else { "" };
    format!("{denied}: scope {scopes}{together}")
}

impl FetchError {
    /// Whether only the caller for whom it was fetched is concerned; others try for themselves.
    pub(super) fn is_the_leaders_own(&self) -> bool {
        matches!(
            self,
            Self::Signing(SigningError::Denied(_) | SigningError::CallerRevoked)
        )
    }

    /// Whether the server, in its own words, does not take the client.
    pub(super) fn denies_client(&self) -> bool {
        matches!(self, Self::Exchange(rejected) if rejected.error.denies_key())
    }

    /// Whether it is worth another look as soon as somebody asks for a fresh token.
    pub(super) fn ends_with_generation(&self) -> bool {
        match self {
            Self::Exchange(rejected) => matches!(rejected.error, ExchangeError::NotGranted(_)),
            Self::Excess(_) => true,
            Self::Signing(_) | Self::Elsewhere | Self::Ledger(_) => false,
        }
    }

    /// Whether an operator should look now. `left` is whether there is still a token to go on with.
    pub(super) fn needs_somebody(&self, left: bool) -> bool {
        match self {
            Self::Exchange(rejected) => match rejected.error {
                ExchangeError::Redirected(_)
                | ExchangeError::NotUnderstood(_)
                | ExchangeError::Elsewhere { .. } => true,
                // The desk's concern; said once by the breaker.
                ExchangeError::NotGranted(_) | ExchangeError::NotTaken(_) => false,
                _ => !left,
            },
            Self::Excess(_) => true,
            Self::Signing(_) | Self::Elsewhere | Self::Ledger(_) => false,
        }
    }

    /// How long it is answered again after this many failures in a row. `dice` is 0 to 255: it takes
    /// away up to a half, so that replicas do not come back all at once.
    pub(super) fn pause(&self, failures: u32, dice: u8) -> Duration {
        let doubled = |first: u64, most: u64| {
            let factor = 1_u64
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u64::MAX);
            Duration::from_millis(first.saturating_mul(factor).min(most))
        };
        let longest = match self {
            Self::Exchange(rejected) => match &rejected.error {
                // What they say is not cut short.
                ExchangeError::Throttled {
                    retry_after_s: Some(seconds),
                    ..
                } => {
                    let own = Duration::from_secs(u64::from(*seconds).clamp(1, 3_600));
                    return own + own.min(Duration::from_secs(4)) * u32::from(dice) / 1020;
                }
                ExchangeError::Throttled { .. } => doubled(4_000, 120_000),
                ExchangeError::NotGranted(_)
                | ExchangeError::NotUnderstood(_)
                | ExchangeError::Elsewhere { .. }
                | ExchangeError::Redirected(_) => Duration::from_mins(1),
                ExchangeError::Unreachable
                | ExchangeError::NoAnswer
                | ExchangeError::Edge(_)
                | ExchangeError::Wordless { .. }
                | ExchangeError::Down(_)
                | ExchangeError::Nonsense(_) => doubled(1_000, 30_000),
                ExchangeError::NotTaken(_) => Duration::ZERO, // the breaker's concern
            },
            Self::Excess(_) => Duration::from_mins(1),
            Self::Signing(
                SigningError::Custody(_) | SigningError::BadSignature(_) | SigningError::Late,
            ) => doubled(500, 8_000),
            Self::Signing(_) | Self::Elsewhere | Self::Ledger(_) => Duration::ZERO,
        };
        longest.saturating_sub(longest / 2 * u32::from(dice) / 255)
    }
}
