//! What the token endpoint answered.

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{ExchangeError, Granted, Quota, Refusal};
use crate::counterparty::{self, Reply};

/// The members of an answer that matter.
#[derive(serde::Deserialize)]
struct Answer {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    scope: Option<Value>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What an answer says.
pub fn judge(reply: &Reply) -> Result<Granted, ExchangeError> {
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
    if reply.is_page() {
        return Err(ExchangeError::Edge(status));
    }
    let took_it = (200..300).contains(&status);
    let wordless = |body| {
        if took_it {
            ExchangeError::Nonsense(body)
        } else {
            ExchangeError::Wordless { status, body }
        }
    };
    if reply.text().is_empty() {
        return Err(wordless("it is empty"));
    }
    let answer: Answer = serde_json::from_slice(reply.text())
        .map_err(|_| wordless("it is not the JSON of OAuth"))?;
    if !took_it {
        let code = answer.error.ok_or(wordless("it has no error"))?;
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
    let expires_in = match &answer.expires_in {
        None => None,
        Some(value) => Some(seconds(value).ok_or(ExchangeError::Nonsense(
            "its expires_in is no number of seconds",
        ))?),
    };
    let scope = match &answer.scope {
        None => None,
        Some(Value::String(words)) => Some(words.clone()),
        Some(value) => {
            let words: Option<Vec<_>> = value
                .as_array()
                .and_then(|list| list.iter().map(Value::as_str).collect());
            let words = words.ok_or(ExchangeError::Nonsense("its scope is no list of words"))?;
            Some(words.join(" "))
        }
    };
    Ok(Granted {
        access_token: token,
        expires_in,
        scope,
        server_time: reply.date(),
        quota,
    })
}

/// A number of seconds, as a number or as text; `180.0` is 180.
fn seconds(value: &Value) -> Option<u32> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| whole.parse().ok())?
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
mod tests;
