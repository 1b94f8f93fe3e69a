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

        let wordless = |status, body| ExchangeError::Wordless { status, body };
        for (status, body, error) in [
            (302, "", ExchangeError::Redirected(302)),
            (200, "<html>", ExchangeError::Edge(200)),
            (403, "<html>blocked", ExchangeError::Edge(403)),
            (401, " <!DOCTYPE html>", ExchangeError::Edge(401)),
            (401, "{}", wordless(401, "it has no error")),
            (401, "", wordless(401, "it is empty")),
            (
                403,
                "forbidden",
                wordless(403, "it is not the JSON of OAuth"),
            ),
            (200, "", ExchangeError::Nonsense("it is empty")),
            (
                200,
                "ok",
                ExchangeError::Nonsense("it is not the JSON of OAuth"),
            ),
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
            r#"{"access_token":"a","expires_in":"soon"}"#,
            r#"{"access_token":"a","expires_in":180,"scope":7}"#,
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

    #[test]
    fn a_token_is_read_however_its_server_writes() {
        for (status, body) in [
            (
                201,
                r#"{"access_token":"a","expires_in":180,"scope":"x y"}"#,
            ),
            (
                200,
                "\u{feff}{\"access_token\":\"a\",\"expires_in\":180,\"scope\":\"x y\"}",
            ),
            (
                200,
                r#"{"access_token":"a","expires_in":180.0,"scope":["x","y"]}"#,
            ),
            (
                200,
                r#"{"access_token":"a","expires_in":1.805e2,"scope":["x","y"]}"#,
            ),
            (
                200,
                r#"{"access_token":"a","expires_in":"180.0","scope":"x y"}"#,
            ),
        ] {
            let token = judged(status, body).unwrap();
            assert_eq!(token.expires_in, Some(180), "{body}");
            assert_eq!(token.scope.as_deref(), Some("x y"), "{body}");
        }
    }
}
