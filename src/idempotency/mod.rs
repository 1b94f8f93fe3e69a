//! One key, one request, one answer (P3).
//!
//! A key belongs to its caller. It stands for the signature that was released under it, or for the
//! answer of one administrative write. While nothing was released it stands for nothing: an intent
//! that was refused or abandoned frees it for another try of the same request. A batch has one key
//! too: it stands for the whole, and each request in it has a key below it that nobody can send.

pub(crate) mod records;

use std::fmt;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::within::Within;

/// `[idempotency]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a key is remembered at least, in hours; a week unless said otherwise.
    pub keep_hours: Within<24, 8_784>,
    /// How long the key of an order without an end is remembered, in days. Such an order may rest at the
    /// venue for as long as anybody lets it, and a repeat after this time makes a second one.
    pub keep_open_orders_days: Within<30, 3_660>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_hours: Within::of(7 * 24),
            keep_open_orders_days: Within::of(90),
        }
    }
}

/// How long what a key stands for can be used. The key lives at least as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Useful {
    /// For less time than any key is remembered.
    Briefly,
    /// Until then.
    Until(OffsetDateTime),
    /// Until somebody ends it.
    WithoutEnd,
}

impl Useful {
    /// When that is over, where it has an end of its own.
    pub(crate) fn until(self) -> Option<OffsetDateTime> {
        match self {
            Self::Until(end) => Some(end),
            Self::Briefly | Self::WithoutEnd => None,
        }
    }
}

impl Settings {
    /// How many hours a key is remembered at least whose answer is useful for so long.
    pub(crate) fn hours(&self, useful: Useful) -> i32 {
        let hours = match useful {
            Useful::Briefly | Useful::Until(_) => self.keep_hours.get(),
            Useful::WithoutEnd => self
                .keep_hours
                .get()
                .max(24 * self.keep_open_orders_days.get()),
        };
        i32::try_from(hours).unwrap_or(i32::MAX)
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

    /// The key of one request of a batch: this one, a space and a number. With the space no caller can
    /// send it.
    pub fn of_item(&self, number: usize) -> Result<Self, NotAKey> {
        let key = format!("{self} {number}");
        if key.len() > 255 {
            return Err(NotAKey);
        }
        Ok(Self(key))
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
        let canonical = canonical(body);
        for part in [method.as_bytes(), path.as_bytes(), &canonical] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Of one request of a batch: the digest of the whole, and the number as 8 bytes, big endian.
    #[must_use]
    pub fn of_item(self, number: usize) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update((number as u64).to_be_bytes());
        Self(hash.finalize().into())
    }
}

/// JSON with sorted members and no white space.
pub(crate) fn canonical(value: &serde_json::Value) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(512);
    write_canonical(value, &mut canonical);
    canonical
}

/// Writes JSON with sorted members and no white space.
fn write_canonical(value: &serde_json::Value, to: &mut Vec<u8>) {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            to.push(b'{');
            for (number, (name, value)) in members.into_iter().enumerate() {
                if number > 0 {
                    to.push(b',');
                }
                write_plain(name, to);
                to.push(b':');
                write_canonical(value, to);
            }
            to.push(b'}');
        }
        Value::Array(items) => {
            to.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    to.push(b',');
                }
                write_canonical(item, to);
            }
            to.push(b']');
        }
        plain => write_plain(plain, to),
    }
}

fn write_plain(value: &impl serde::Serialize, to: &mut Vec<u8>) {
    serde_json::to_writer(to, value).expect("plain data serializes, and memory takes it");
}

#[cfg(test)]
mod tests;
