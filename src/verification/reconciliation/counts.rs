//! What devices count: for those that give no request a name, and say only how often a key has signed.

use std::io::BufRead;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock;

/// A line of what devices count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The key's name or id.
    key: String,
    /// Counted from this moment on.
    from: String,
    /// Up to this one.
    until: String,
    /// How often it has signed.
    signatures: u64,
}

/// How often a device says that a key has signed between two moments.
#[derive(Clone, Debug)]
pub struct Count {
    pub(super) key: String,
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
    pub(super) signatures: u64,
}

/// Reads lines of JSON, each with `key`, `from`, `until` and `signatures`. An error names the line.
pub fn read(file: impl BufRead) -> Result<Vec<Count>, String> {
    let mut counts = Vec::new();
    for (number, line) in (1..).zip(file.lines()) {
        let wrong = |why: String| format!("line {number}: {why}");
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let at = |text: &str| {
            let at = OffsetDateTime::parse(text, &Rfc3339);
            at.map(clock::unix_ms)
                .map_err(|_| wrong(format!("{text} is no time")))
        };
        counts.push(Count {
            from_ms: at(&line.from)?,
            until_ms: at(&line.until)?,
            key: line.key,
            signatures: line.signatures,
        });
    }
    Ok(counts)
}
