//! What queries say: times and hashes, and what is wrong with them.

use std::collections::HashSet;

use axum::extract::MatchedPath;
use axum::http::{Method, request};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::problem::{self, Problem};

/// The operations that take a query, by path and method.
pub(super) struct Taking(HashSet<(String, Method)>);

impl Taking {
    /// Those that a document tells of.
    pub(super) fn of(document: &OpenApi) -> Self {
        let mut taking = HashSet::new();
        for (path, item) in &document.paths.paths {
            let takes = |operation: &Option<Operation>| {
                let mut parameters = operation.iter().flat_map(|it| &it.parameters).flatten();
                parameters.any(|it| match it {
                    RefOr::T(it) => it.parameter_in == ParameterIn::Query,
                    RefOr::Ref(_) => false,
                })
            };
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
            ] {
                if takes(operation) {
                    taking.insert((path.clone(), method));
                }
            }
        }
        Self(taking)
    }

    /// Refuses a query where none is taken: whoever wrote it meant something by it. What those that take one do
    /// not know they refuse themselves.
    pub(super) fn check(&self, parts: &request::Parts) -> Result<(), Problem> {
        let asks = parts.uri.query().is_some_and(|query| !query.is_empty());
        let Some(path) = parts.extensions.get::<MatchedPath>().filter(|_| asks) else {
            return Ok(());
        };
        let method = match parts.method {
            Method::HEAD => Method::GET,
            ref other => other.clone(),
        };
        if self.0.contains(&(path.as_str().to_owned(), method)) {
            return Ok(());
        }
        let detail = "this operation takes no query; leave out what follows the question mark";
        Err(Problem::new(&problem::MALFORMED_QUERY, detail))
    }
}

/// What a hash looks like.
pub(super) const A_HASH: &str = "a hash is 0x and 64 hexadecimal digits";

/// A field says what nothing can be looked up by.
pub(super) fn wrong(field: &str, why: &str) -> Problem {
    Problem::new(&problem::MALFORMED_QUERY, format!("{field}: {why}"))
}

/// A time (RFC 3339).
pub(super) fn moment(field: &str, text: &str) -> Result<OffsetDateTime, Problem> {
    let at = OffsetDateTime::parse(text, &Rfc3339);
    at.map_err(|_| wrong(field, "a time such as 2026-11-30T12:00:00Z is wanted"))
}

/// A hash of 32 bytes; its `0x` may be left out.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// The path of what comes after something: the same question once more.
pub(super) fn next(path: &str, asked: &impl Serialize, after: impl Into<Value>) -> String {
    let mut asked = serde_json::to_value(asked).unwrap_or_default();
    asked["after"] = after.into();
    let said = asked.as_object().into_iter().flatten();
    let said = said
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value.as_str().map(str::to_owned);
            (name, text.unwrap_or_else(|| value.to_string()))
        });
    let query = reqwest::Url::parse_with_params("http://query/", said).ok();
    let query = query.as_ref().and_then(reqwest::Url::query);
    format!("{path}?{}", query.unwrap_or_default())
}
