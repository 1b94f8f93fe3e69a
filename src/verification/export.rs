//! Exports: a line of JSON that says what it is, and one for each leaf.

use std::io::{BufRead, Lines as StdLines};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Unreadable;
use crate::tlog::Frontier;

/// The version of the format.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of the format.
    pub chancery_export: u32,
    /// The log's name.
    pub origin: String,
    /// A signed checkpoint that covers the leaves.
    pub checkpoint: String,
    /// What is before them, where they do not begin with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Before>,
}

/// The log before the first leaf of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// How many leaves are before it.
    pub size: u64,
    /// A signed checkpoint of just these.
    pub checkpoint: String,
    /// The roots of perfect subtrees that they make, from left to right, in base64.
    pub frontier: Vec<String>,
}

impl Before {
    /// The tree of these leaves.
    pub(super) fn tree(&self) -> Option<Frontier> {
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        let hashes: Option<Vec<_>> = self.frontier.iter().map(hash).collect();
        Frontier::new(self.size, hashes?)
    }
}

/// A leaf in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its index in the tree.
    pub index: u64,
    /// Its bytes.
    #[serde(with = "bytes")]
    pub leaf: Vec<u8>,
}

/// The lines of an export.
pub(super) struct Lines<R> {
    lines: StdLines<R>,
    number: u64,
}

pub(super) fn lines<R: BufRead>(export: R) -> Lines<R> {
    Lines {
        lines: export.lines(),
        number: 0,
    }
}

impl<R: BufRead> Lines<R> {
    /// The first line.
    pub(super) fn head(&mut self) -> Result<Head, Unreadable> {
        let head: Option<Head> = self.read()?;
        let head = head.ok_or_else(|| Unreadable::Malformed(1, "there is none".into()))?;
        if head.chancery_export == VERSION {
            return Ok(head);
        }
        let other = format!("an export of version {}", head.chancery_export);
        Err(Unreadable::Malformed(1, other))
    }

    /// The next leaf.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Unreadable> {
        self.read()
    }

    fn read<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, Unreadable> {
        let Some(line) = self.lines.next().transpose()? else {
            return Ok(None);
        };
        self.number += 1;
        let read = serde_json::from_str(&line);
        let read = read.map_err(|error| Unreadable::Malformed(self.number, error.to_string()))?;
        Ok(Some(read))
    }
}

mod bytes {
    use base64::Engine as _;

    use super::STANDARD;

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(from)?;
        STANDARD
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)
    }
}
