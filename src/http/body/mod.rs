//! From bytes to domain types; what is malformed stops here.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::admission::Admitted;
use super::again::Kept;
use super::problem::{self, Problem};
use crate::idempotency::RequestDigest;
use crate::name::Name;
use crate::text;

/// A body in which there is nothing to say.
#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoDetails {}

/// A JSON body as a `T`, and the digest of the request it came in.
pub(super) struct Body<T>(pub(super) T, pub(super) RequestDigest);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let method = request.method().as_str().to_owned();
        let path = request
            .extensions()
            .get::<OriginalUri>()
            .map_or_else(|| request.uri().path(), |uri| uri.path())
            .to_owned();
        declared_as_json(&request)?;
        let limit = request.extensions().get::<BodyLimit>().copied();
        let kept = request.extensions().get::<Kept>().cloned();
        let times = request.extensions().get::<BodyTimes>().copied();
        let bytes = read(
            request,
            limit.unwrap_or_default().0,
            times.map_or(1, |it| it.0),
        )
        .await?;
        let bytes = Bytes::from(bytes);
        if let Some(kept) = kept {
            kept.keep(bytes.clone());
        }
        let value = object(&bytes)?;
        let typed = typed(&bytes)?;
        Ok(Self(typed, RequestDigest::of(&method, &path, &value)))
    }
}

/// JSON that is an object. Serde would take a list for a struct.
pub(super) fn object(bytes: &[u8]) -> Result<serde_json::Value, Problem> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| refused(bytes, &error))?;
    if !value.is_object() {
        let detail = "the body is not a JSON object";
        return Err(Problem::new(&problem::MALFORMED_BODY, detail));
    }
    if std::str::from_utf8(bytes).is_ok_and(text::has_nul) {
        let mut members = value.as_object().into_iter().flatten();
        let member = members.find(|(_, value)| text::has_nul(&value.to_string()));
        let name = member.map_or("a name", |(name, _)| name);
        let detail = format!("{name}: {}", text::NUL);
        return Err(Problem::new(&problem::INVALID_FIELD, detail));
    }
    Ok(value)
}

/// JSON as a `T`.
pub(super) fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| refused(bytes, &error))
}

fn refused(bytes: &[u8], error: &serde_json::Error) -> Problem {
    let kind = if error.is_data() {
        &problem::INVALID_FIELD
    } else {
        &problem::MALFORMED_BODY
    };
    match member_at(bytes, error) {
        Some(name) => Problem::new(kind, format!("{name}: {error}")),
        None => Problem::new(kind, error),
    }
}

/// Refuses what is not declared as JSON.
pub(super) fn declared_as_json(request: &Request) -> Result<(), Problem> {
    let declared = request.headers().get(header::CONTENT_TYPE);
    let declared = declared.and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = declared.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("Content-Type is {declared:?}");
    Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// How much of a body is read for an operation, in bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct BodyLimit(pub(super) usize);

/// How many times that an operation takes, which takes many things at once.
#[derive(Clone, Copy)]
pub(super) struct BodyTimes(pub(super) usize);

impl BodyTimes {
    /// For what takes batches.
    pub(super) const BATCH: Self = Self(8);
}

/// What is read of a body that is too large. A client that is still sending does not hear an answer.
const READ_AT_MOST: usize = 16 * 1024 * 1024;

/// So much memory is taken on a client's word for what it will send.
const EXPECTED: usize = 4 * 1024;

/// The whole body, unless it is larger than that many times the limit. Then it is the caller's turn.
pub(super) async fn read(request: Request, limit: usize, times: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let factor = if times == 1 {
            String::new()
        } else {
            format!("{times} times ")
        };
        let detail = format!("the limit is {factor}[http] body_limit_bytes = {limit}");
        Problem::new(&problem::BODY_TOO_LARGE, detail)
    };
    let limit = limit.saturating_mul(times).min(READ_AT_MOST);
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|v| v.to_str().ok()?.parse().ok());
    let waits = request.headers().contains_key(header::EXPECT);
    if declared.is_some_and(|length: usize| length > READ_AT_MOST || (waits && length > limit)) {
        return Err(too_large());
    }
    let admitted = request.extensions().get::<Admitted>().cloned();
    let mut body = pin!(request.into_body());
    let expected = declared.unwrap_or_default().min(limit).min(EXPECTED);
    let (mut bytes, mut seen) = (Vec::with_capacity(expected), 0_usize);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let broken = |_| Problem::new(&problem::MALFORMED_BODY, "the body did not arrive whole");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue; // trailers
        };
        seen = seen.saturating_add(data.len());
        if seen > READ_AT_MOST {
            break;
        } else if seen > limit {
            bytes = Vec::new();
        } else {
            if let Some(admitted) = &admitted {
                admitted.keep(data.len())?;
            }
            bytes.extend_from_slice(&data);
        }
    }
    if seen > limit {
        return Err(too_large());
    }
    if let Some(admitted) = &admitted {
        admitted.begin(1).await?;
    }
    Ok(bytes)
}

/// The member of a JSON object in whose value its reader stopped. Serde says what is wrong with a
/// value, but not whose it is; where it does, there is nothing to add.
fn member_at(body: &[u8], error: &serde_json::Error) -> Option<String> {
    let said = error.to_string();
    let of_fields = ["missing field", "unknown field", "duplicate field"];
    if of_fields.iter().any(|start| said.starts_with(start)) {
        return None;
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let lines_before = error.line().checked_sub(1)?;
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    let stopped = lines.take(lines_before).map(<[u8]>::len).sum::<usize>() + error.column();
    let found = members.into_iter().find(|(_, value)| {
        let start = value.get().as_ptr().addr() - body.as_ptr().addr();
        let end = start + value.get().len();
        // After the last value the reader has gone on to the end of the object.
        let last = body
            .get(end..stopped)
            .is_some_and(|it| it.trim_ascii() == b"}");
        (start..=end).contains(&stopped) || last
    });
    found
        .map(|(name, _)| name)
        .filter(|name| !said.starts_with(name))
}

/// What is wrong with a path or a query that nothing can be looked up by.
pub(super) fn unreadable(request: &Request) -> Option<Problem> {
    const NUL: &str = "%00";
    let path = request.uri().path();
    if path.contains('%') {
        let path = String::from_utf8(unescaped(path));
        if !path.is_ok_and(|path| !path.contains('\0')) {
            return Some(Problem::not_found("resource"));
        }
    }
    let query = request.uri().query()?;
    let wrong = query.split('&').find(|it| it.contains(NUL))?;
    let name = wrong.split('=').next().unwrap_or_default();
    let detail = format!("{name}: {}", text::NUL);
    Some(Problem::new(&problem::MALFORMED_QUERY, detail))
}

/// A path without its escapes, as far as they are any.
fn unescaped(path: &str) -> Vec<u8> {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let escape = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escape {
            Some(byte) => {
                text.push(byte);
                text.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => text.extend(["%", part].concat().into_bytes()),
        }
    }
    text
}

/// The name in a path. What cannot be a name is not there.
pub(super) struct Named(pub(super) Name);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let name = text.ok().and_then(|Path(text)| Name::try_from(text).ok());
        name.map(Self).ok_or_else(|| {
            let kind = parts.uri.path().split('/').nth(2).unwrap_or("");
            Problem::not_found(kind.trim_end_matches('s'))
        })
    }
}

/// A query as a `T`.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|rejection| Problem::new(&problem::MALFORMED_QUERY, rejection.body_text()))
    }
}

#[cfg(test)]
mod tests;
