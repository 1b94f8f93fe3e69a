//! Documents that stay the same while the process runs: written once, and sent to each caller once.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A document as it is sent.
#[derive(Clone)]
pub(super) struct Written {
    body: Bytes,
    tag: HeaderValue,
}

impl Written {
    pub(super) fn json(document: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(document).expect("plain data serializes");
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
        Self {
            body: body.into(),
            tag: tag.try_into().expect("hexadecimal digits are plain text"),
        }
    }

    /// The document, or that it is still the one that the caller has.
    pub(super) fn to(&self, asked: &HeaderMap) -> Response {
        let tag = (header::ETAG, self.tag.clone());
        let known = asked.get_all(header::IF_NONE_MATCH).iter();
        let mut known = known.filter_map(|it| it.to_str().ok());
        if known.any(|it| self.is_among(it)) {
            return (StatusCode::NOT_MODIFIED, [tag]).into_response();
        }
        let kind = HeaderValue::from_static("application/json");
        let headers = [(header::CONTENT_TYPE, kind), tag];
        (headers, self.body.clone()).into_response()
    }

    /// Whether one of these tags is ours (RFC 9110, section 13.1.2).
    fn is_among(&self, tags: &str) -> bool {
        let mut tags = tags.split(',').map(str::trim);
        tags.any(|it| it == "*" || it.trim_start_matches("W/") == self.tag)
    }
}
