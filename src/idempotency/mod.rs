//! One key, one request, one answer (P3).
//!
//! A key belongs to its caller. It stands for the signature that was released under it, or for the
//! answer of one administrative write. While nothing was released it stands for nothing: an intent
//! that was refused or abandoned frees it for another try of the same request.

pub(crate) mod records;

use std::fmt;

use sha2::{Digest, Sha256};

/// `[idempotency]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a key is remembered, in hours; a week unless said otherwise.
    pub keep_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep_hours: 7 * 24 }
    }
}

/// An `Idempotency-Key`: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// The header's value cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to 255 visible ASCII characters")]
pub struct NotAKey;

impl Key {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Key {
    type Error = NotAKey;

    fn try_from(text: &str) -> Result<Self, NotAKey> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if visible && (1..=255).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAKey)
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over method, path and the canonical body: equal for requests that mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestDigest(pub [u8; 32]);

impl RequestDigest {
    /// Of a request whose body is JSON. The order of members and white space do not count.
    pub fn of(method: &str, path: &str, body: &serde_json::Value) -> Self {
        let mut hash = Sha256::new();
        for part in [method, path, &canonical(body)] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// JSON with sorted members and no white space.
fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let text: Vec<_> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", text.join(","))
        }
        Value::Array(items) => {
            let text: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", text.join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_that_mean_the_same_have_one_digest() {
        let one = RequestDigest::of(
            "POST",
            "/v1/x",
            &json!({"b": [1, {"d": 1, "c": "é"}], "a": null}),
        );
        let same: serde_json::Value =
            serde_json::from_str(r#" {"a":null, "b":[1,{"c":"\u00e9","d":1}]} "#).unwrap();
        assert_eq!(one, RequestDigest::of("POST", "/v1/x", &same));
        for (method, path, body) in [
            ("PUT", "/v1/x", same.clone()),
            ("POST", "/v1/y", same.clone()),
            (
                "POST",
                "/v1/x",
                json!({"b": [{"d": 1, "c": "é"}, 1], "a": null}),
            ),
            (
                "POST",
                "/v1/x",
                json!({"b": ["1", {"d": 1, "c": "é"}], "a": null}),
            ),
        ] {
            assert_ne!(
                one,
                RequestDigest::of(method, path, &body),
                "{method} {path} {body}"
            );
        }
    }

    #[test]
    fn a_key_is_visible_and_short() {
        for good in ["a", "6f1d-…".trim_end_matches('…'), &"k".repeat(255)] {
            assert!(Key::try_from(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\n", "ä", &"k".repeat(256)] {
            assert_eq!(Key::try_from(bad), Err(NotAKey), "{bad}");
        }
    }
}
