//! What the venue says when it refuses, and what that means. A text is known by its fixed parts; what
//! stands in its holes is said again in the advice, so that the two cannot differ.

use std::collections::BTreeMap;

use super::catalogue::Code;
use super::venue_texts::{DOCUMENTED, SEEN, VenueText};

/// No number, address or id that the venue puts into a text is longer.
const HOLE_LIMIT: usize = 120;

/// How the venue refused, as far as it is told.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    /// What it said: the text, or the whole body.
    pub text: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Headers by their names. Those of its rate limits are looked at.
    pub headers: BTreeMap<String, String>,
}

/// A refusal of the venue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct KnownError {
    /// Its text, with holes for what differs.
    pub text: &'static str,
    /// What stands in the holes, by their names.
    pub values: BTreeMap<&'static str, String>,
    /// What it means.
    pub cause: String,
    /// What to do.
    pub action: String,
    /// What can be wrong with the order, if it is the order.
    pub codes: &'static [Code],
}

impl Refusal {
    /// The refusal that this is: by its text, else by its status.
    pub(super) fn known(&self) -> Option<KnownError> {
        let mut known = self.text.as_deref().and_then(known).or_else(|| {
            let with_status = all().find(|it| self.status.is_some() && it.status == self.status)?;
            Some(with_status.filled(with_status.patterns[0], BTreeMap::new()))
        })?;
        if self.status == Some(429) {
            known.cause.extend(self.bucket().map(|it| format!(" {it}")));
        }
        Some(known)
    }

    /// How many decimals the venue's text allows to the maker and the taker amount.
    pub(super) fn decimals(&self) -> Option<(u32, u32)> {
        let known = known(self.text.as_deref()?)?;
        let number = |hole: &str| known.values.get(hole)?.parse().ok();
        Some((number("maker")?, number("taker")?))
    }

    /// What the headers say of the signer's bucket.
    fn bucket(&self) -> Option<String> {
        let header = |name: &str| {
            let mut headers = self.headers.iter();
            let found = headers.find(|(given, _)| given.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim())
        };
        let said = [
            ("tier", header("poly-ratelimit-tier")),
            ("remaining", header("poly-ratelimit-remaining")),
            ("reset at", header("poly-ratelimit-reset")),
            ("retry after (s)", header("retry-after")),
        ];
        let said: Vec<_> = said
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
            .collect();
        (!said.is_empty()).then(|| format!("Its headers say: {}.", said.join(", ")))
    }
}

impl VenueText {
    fn filled(&self, pattern: &'static str, values: BTreeMap<&'static str, String>) -> KnownError {
        let fill = |text: &str| {
            let mut text = text.to_owned();
            for (hole, value) in &values {
                text = text.replace(&format!("{{{hole}}}"), value);
            }
            text
        };
        KnownError {
            text: pattern,
            cause: fill(self.cause),
            action: fill(self.action),
            codes: self.codes,
            values,
        }
    }
}

fn all() -> impl Iterator<Item = &'static VenueText> {
    DOCUMENTED.iter().chain(SEEN)
}

/// The refusal that a text is: the longest match wins, so that a special text comes before a general
/// one.
fn known(text: &str) -> Option<KnownError> {
    let patterns = all().flat_map(|entry| entry.patterns.iter().map(move |it| (entry, *it)));
    let matching = patterns.filter_map(|(entry, pattern)| {
        let values = values(pattern, text)?;
        Some((fixed(pattern), entry, pattern, values))
    });
    let (_, entry, pattern, values) = matching.max_by_key(|(length, ..)| *length)?;
    Some(entry.filled(pattern, values))
}

/// How many bytes of a pattern are fixed.
fn fixed(pattern: &'static str) -> usize {
    parts(pattern).map(|(literal, _)| literal.len()).sum()
}

/// A pattern's fixed parts, each with the hole that follows it.
fn parts(pattern: &'static str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    pattern
        .split('}')
        .filter(|it| !it.is_empty())
        .map(|part| match part.split_once('{') {
            Some((literal, hole)) => (literal, Some(hole)),
            None => (part, None),
        })
}

/// What stands in a pattern's holes, if the text has the pattern in it.
fn values(pattern: &'static str, text: &str) -> Option<BTreeMap<&'static str, String>> {
    // ASCII letters keep their places, so that values are cut out of the text as it was.
    let lower = text.to_ascii_lowercase();
    let parts: Vec<_> = parts(pattern).collect();
    let mut ends = Vec::with_capacity(parts.len());
    let mut from = 0;
    for (literal, _) in &parts {
        let at = lower[from..].find(&literal.to_ascii_lowercase())? + from;
        from = at + literal.len();
        ends.push((at, from));
    }
    // A hole is as short as it can be.
    for at in (1..parts.len()).rev() {
        let literal = parts[at - 1].0.to_ascii_lowercase();
        let start = lower[..ends[at].0].rfind(&literal)?;
        ends[at - 1] = (start, start + literal.len());
    }
    let mut values = BTreeMap::new();
    for (at, (_, hole)) in parts.iter().enumerate() {
        let Some(hole) = hole else { continue };
        let rest = &text[ends[at].1..];
        let value = if let Some((next, _)) = ends.get(at + 1) {
            &text[ends[at].1..*next]
        } else {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('.')
        };
        if value.is_empty() || value.len() > HOLE_LIMIT {
            return None;
        }
        values.insert(*hole, value.to_owned());
    }
    Some(values)
}

#[cfg(test)]
mod tests;
