//! An assertion's way to the authorization server, and what comes back for it.
//!
//! An assertion is spent by its first delivery, not by its first answer: whoever tries again needs a
//! new one. Nothing of an answer is shown but its `error`, and the start of its description.

use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};

use super::assertion::ASSERTION_TYPE;
use super::environment::{Environment, TokenRequest};
use crate::counterparty::{self, BadCounterparty, Counterparty, NoReply, Reply};

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
            | Self::Down(_)
            | Self::Nonsense(_) => true,
            Self::Redirected(_)
            | Self::Throttled { .. }
            | Self::NotTaken(_)
            | Self::NotGranted(_)
            | Self::NotUnderstood(_) => false,
        }
    }
}

/// The members of an answer that matter.
#[derive(serde::Deserialize)]
struct Answer {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    scope: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
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
            Ok(reply) => judge(&reply),
            Err(NoReply::Unreachable) => Err(ExchangeError::Unreachable),
            Err(NoReply::Lost) => Err(ExchangeError::NoAnswer),
            Err(NoReply::TooLarge) => Err(ExchangeError::Nonsense("it is too large")),
        }
    }
}

/// What an answer says.
fn judge(reply: &Reply) -> Result<Granted, ExchangeError> {
    let (status, quota) = (reply.status, quota(&reply.headers));
    match status {
        300..400 => return Err(ExchangeError::Redirected(status)),
        429 => {
            let retry_after_s = reply.retry_after_s();
            return Err(ExchangeError::Throttled {
                retry_after_s,
                quota,
            });
        }
        500.. => return Err(ExchangeError::Down(status)),
        _ => {}
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&reply.body) else {
        return Err(ExchangeError::Edge(status));
    };
    if status != 200 {
        let code = answer.error.ok_or(ExchangeError::Edge(status))?;
        let refusal = Refusal {
            status,
            code: counterparty::quoted(&code),
            description: counterparty::quoted(&answer.error_description.unwrap_or_default()),
            server_time: reply.date(),
        };
        return Err(match code.as_str() {
            "invalid_client" | "invalid_client_assertion" => ExchangeError::NotTaken(refusal),
            "access_denied" | "invalid_scope" | "invalid_target" | "unauthorized_client" => {
                ExchangeError::NotGranted(refusal)
            }
            "too_many_requests" => ExchangeError::Throttled {
                retry_after_s: reply.retry_after_s(),
                quota,
            },
            _ => ExchangeError::NotUnderstood(refusal),
        });
    }
    let token = answer
        .access_token
        .ok_or(ExchangeError::Nonsense("it has no access_token"))?;
    let plain = |c: u8| c.is_ascii_graphic();
    let text = token.expose_secret();
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(ExchangeError::Nonsense("its access_token is no token"));
    }
    if !answer
        .token_type
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
    {
        return Err(ExchangeError::Nonsense("its token_type is not Bearer"));
    }
    let expires_in = match answer.expires_in {
        None => None,
        Some(value) => {
            let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            let seconds = seconds.and_then(|it| u32::try_from(it).ok());
            Some(seconds.ok_or(ExchangeError::Nonsense(
                "its expires_in is no number of seconds",
            ))?)
        }
    };
    Ok(Granted {
        access_token: token,
        expires_in,
        scope: answer.scope,
        quota,
    })
}

fn quota(headers: &HeaderMap) -> Quota {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    Quota {
        remaining: text("x-ratelimit-remaining").and_then(|it| it.parse().ok()),
        reset: text("x-ratelimit-reset").and_then(|it| it.parse().ok()),
        client: text("auth0-client-quota-limit").map(counterparty::quoted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Granted, ExchangeError> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        headers.insert("x-ratelimit-remaining", "3".parse().unwrap());
        let date = "Tue, 15 Nov 1994 08:12:31 GMT";
        headers.insert("date", date.parse().unwrap());
        judge(&Reply {
            status,
            headers,
            body: body.into(),
        })
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let refused = |status, code: &str| {
            let body = format!(r#"{{"error":"{code}","error_description":"why"}}"#);
            judged(status, &body).unwrap_err()
        };
        for (status, code) in [
            (401, "invalid_client"),
            (400, "invalid_client"),
            (401, "invalid_client_assertion"),
        ] {
            assert!(refused(status, code).denies_key(), "{status} {code}");
        }
        for (status, code) in [
            (403, "access_denied"),
            (400, "invalid_scope"),
            (400, "invalid_target"),
        ] {
            let error = refused(status, code);
            assert!(matches!(error, ExchangeError::NotGranted(_)), "{error}");
        }
        let unknown = refused(401, "invalid_client");
        assert_eq!(unknown.refusal().unwrap().server_time, Some(784_887_151));
        let error = refused(400, "invalid_request");
        assert!(matches!(error, ExchangeError::NotUnderstood(_)), "{error}");
        let throttled = refused(429, "too_many_requests");
        let ExchangeError::Throttled {
            retry_after_s: Some(7),
            quota,
        } = throttled
        else {
            panic!("{throttled}")
        };
        assert_eq!(quota.remaining, Some(3));

        for (status, body, error) in [
            (302, "", ExchangeError::Redirected(302)),
            (200, "<html>", ExchangeError::Edge(200)),
            (403, "<html>blocked", ExchangeError::Edge(403)),
            (401, "{}", ExchangeError::Edge(401)),
            (503, "{}", ExchangeError::Down(503)),
        ] {
            assert_eq!(judged(status, body).unwrap_err(), error, "{status} {body}");
        }
    }

    #[test]
    fn a_token_without_substance_is_none() {
        for body in [
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":"a\r\nx: y"}"#,
            r#"{"access_token":"a","token_type":"mac"}"#,
            r#"{"access_token":"a","expires_in":-1}"#,
            r#"{"access_token":"a","expires_in":1e300}"#,
        ] {
            let error = judged(200, body).unwrap_err();
            assert!(matches!(error, ExchangeError::Nonsense(_)), "{body}");
        }
        let token = judged(
            200,
            r#"{"access_token":"a","token_type":"bearer","expires_in":"180","scope":"read:orders"}"#,
        )
        .unwrap();
        assert_eq!(token.expires_in, Some(180));
        assert!(!format!("{token:?}").contains("\"a\""), "{token:?}");
        assert_eq!(
            judged(200, r#"{"access_token":"a"}"#).unwrap().expires_in,
            None
        );
    }
}
