//! From bytes to domain types; what is malformed stops here.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::problem::{self, Problem};
use crate::idempotency::RequestDigest;
use crate::name::Name;

/// A JSON body as a `T`, and the digest of the request it came in.
pub(super) struct Body<T>(pub(super) T, pub(super) RequestDigest);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let method = request.method().as_str().to_owned();
        let path = request
            .extensions()
            .get::<OriginalUri>()
            .map_or_else(|| request.uri().path(), |uri| uri.path())
            .to_owned();
        let declared = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        let essence = declared
            .unwrap_or("")
            .split(';')
            .next()
            .unwrap_or("")
            .trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = format!("Content-Type is {:?}", declared.unwrap_or(""));
            return Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|rejection| match rejection.into_response().status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                        &problem::BODY_TOO_LARGE,
                        "the limit is [http] body_limit_bytes",
                    ),
                    _ => Problem::new(&problem::MALFORMED_BODY, "the body did not arrive whole"),
                })?;
        let refused = |error: serde_json::Error| {
            let kind = if error.is_data() {
                &problem::INVALID_FIELD
            } else {
                &problem::MALFORMED_BODY
            };
            match member_at(&bytes, &error) {
                Some(name) if !error.to_string().starts_with(&name) => {
                    Problem::new(kind, format!("{name}: {error}"))
                }
                _ => Problem::new(kind, error),
            }
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(refused)?;
        if !value.is_object() {
            // Serde would take a list for a struct.
            let detail = "the body is not a JSON object";
            return Err(Problem::new(&problem::MALFORMED_BODY, detail));
        }
        let typed = serde_json::from_slice(&bytes).map_err(refused)?;
        Ok(Self(typed, RequestDigest::of(&method, &path, &value)))
    }
}

/// The member of a JSON object in whose value its reader stopped. Serde says what is wrong with a
/// value, but not whose it is.
fn member_at(body: &[u8], error: &serde_json::Error) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let lines_before = error.line().checked_sub(1)?;
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    let stopped = lines.take(lines_before).map(<[u8]>::len).sum::<usize>() + error.column();
    members.into_iter().find_map(|(name, value)| {
        let value = value.get();
        let start = value.as_ptr().addr() - body.as_ptr().addr();
        (start..=start + value.len())
            .contains(&stopped)
            .then_some(name)
    })
}

/// The name in a path. What cannot be a name is not there.
pub(super) struct Named(pub(super) Name);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let kind = parts
            .uri
            .path()
            .split('/')
            .nth(2)
            .unwrap_or("")
            .trim_end_matches('s')
            .to_owned();
        let missing = || Problem::not_found(&kind);
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

/// A query as a `T`.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|rejection| Problem::new(&problem::MALFORMED_QUERY, rejection.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Asked {
        price: Name,
        count: u8,
        #[serde(default)]
        list: Vec<bool>,
    }

    #[test]
    fn a_refused_value_is_named() {
        for (body, member) in [
            (r#"{"price": 1, "count": 2}"#, Some("price")),
            (r#"{"price": "NO", "count": 2}"#, Some("price")),
            (r#"{"count":300,"price":"a"}"#, Some("count")),
            (
                "{\n  \"price\": \"a\",\n  \"count\": \"2\"\n}",
                Some("count"),
            ),
            (r#"{"price":"a","count":2,"list":[true,0]}"#, Some("list")),
            (r#"{"price":"a","count":{},"list":[]}"#, Some("count")),
            // These name the member themselves, or there is none.
            (r#"{"price":"a"}"#, None),
            (r#"{"price":"a","prize":"b"}"#, None),
            (r#"{"price":"a","price":"b"}"#, None),
            (r#"["price"]"#, None),
            (r#"{"price":"#, None),
        ] {
            let error = serde_json::from_slice::<Asked>(body.as_bytes()).unwrap_err();
            let found = member_at(body.as_bytes(), &error);
            assert_eq!(found.as_deref(), member, "{body}: {error}");
        }
    }
}
