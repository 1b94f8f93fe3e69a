//! What queries say: times and hashes, and what is wrong with them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::problem::{self, Problem};

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
