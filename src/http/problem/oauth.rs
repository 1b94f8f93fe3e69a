//! Why there is no token, or no such client.

use super::{Problem, catalogue};
use crate::oauth::broker::{FetchError, TokenError};
use crate::oauth::clients::ClientError;
use crate::oauth::exchange::ExchangeError;
use crate::oauth::scopes::UnknownEndpoint;

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NameTaken | ClientError::ClientIdTaken => {
                Self::new(&catalogue::NAME_TAKEN, error)
            }
            ClientError::NotFound => Self::not_found("client"),
            ClientError::WrongKey | ClientError::OthersKey => {
                Self::new(&catalogue::INVALID_FIELD, format!("key: {error}"))
            }
            ClientError::ClientIdMalformed | ClientError::UnknownEnvironment(_) => {
                Self::new(&catalogue::INVALID_FIELD, error)
            }
            ClientError::Key(error) => error.into(),
            ClientError::Ledger(error) => error.into(),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Client(error) => error.into(),
            TokenError::Scopes(error) => Self::new(&catalogue::INVALID_SCOPE, error),
            TokenError::Denied(denied) => denied.into(),
            TokenError::ScopeDenied { .. } => Self::new(&catalogue::SCOPE_DENIED, error),
            TokenError::NothingGranted { .. } => Self::new(&catalogue::SCOPE_NOT_GRANTED, error),
            TokenError::Fetch { error, retry_after } => {
                let problem = Self::from(error);
                match retry_after {
                    // A rest of a second is over in a second, not at once.
                    Some(rest) => {
                        problem.retry_after(u32::try_from(rest.as_secs() + 1).unwrap_or(u32::MAX))
                    }
                    None => problem,
                }
            }
            TokenError::Signing(error) => error.into(),
            TokenError::UnknownToken => Self::not_found("token"),
            TokenError::TooSoon { retry_after_s } => {
                Self::new(&catalogue::TOKEN_REFRESHED, error).retry_after(retry_after_s)
            }
            TokenError::Ledger(error) => error.into(),
        }
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Signing(error) => error.into(),
            FetchError::Exchange(rejected) => {
                let kind = match &rejected.error {
                    ExchangeError::NotTaken(refusal)
                        if refusal.code == "invalid_client_assertion" =>
                    {
                        &catalogue::ASSERTION_REJECTED
                    }
                    ExchangeError::NotTaken(_) => &catalogue::CLIENT_REJECTED,
                    ExchangeError::NotGranted(_) => &catalogue::SCOPE_NOT_GRANTED,
                    ExchangeError::NotUnderstood(_) => &catalogue::TOKEN_REQUEST_REFUSED,
                    ExchangeError::Edge(_)
                    | ExchangeError::Wordless { .. }
                    | ExchangeError::Elsewhere { .. }
                    | ExchangeError::Nonsense(_) => &catalogue::TOKEN_ENDPOINT_ANSWER,
                    ExchangeError::Redirected(_) => &catalogue::TOKEN_ENDPOINT_REDIRECT,
                    ExchangeError::Throttled { .. } => &catalogue::TOKEN_ENDPOINT_THROTTLED,
                    ExchangeError::Unreachable
                    | ExchangeError::NoAnswer
                    | ExchangeError::Down(_) => &catalogue::TOKEN_ENDPOINT_UNAVAILABLE,
                };
                Self {
                    exchange: Some(rejected.clone()),
                    ..Self::new(kind, &rejected.error)
                }
            }
            FetchError::Excess(_) => Self::new(&catalogue::TOKEN_ENDPOINT_ANSWER, error),
            FetchError::Elsewhere => {
                Self::new(&catalogue::TOKEN_ENDPOINT_UNAVAILABLE, error).retry_after(1)
            }
            FetchError::Ledger(error) => error.into(),
        }
    }
}

impl From<UnknownEndpoint> for Problem {
    fn from(unknown: UnknownEndpoint) -> Self {
        Self::new(&catalogue::UNKNOWN_ENDPOINT, unknown)
    }
}
