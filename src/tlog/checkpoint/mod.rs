//! Checkpoints (C2SP `tlog-checkpoint`): how large a log is, and its root.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Hash;
use super::note::{BadNote, Note, NoteKey};

/// What a log says of itself at a size: the text of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Of a note that the log's key has signed; its name is the log's origin.
    pub fn signed(note: &Note, key: &NoteKey) -> Result<Self, BadNote> {
        let checkpoint: Self = note.verified(key)?.parse()?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(BadNote::Malformed("a checkpoint of another log"))
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root } = self;
        writeln!(f, "{origin}\n{size}\n{}", STANDARD.encode(root))
    }
}

impl FromStr for Checkpoint {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let short = BadNote::Malformed("a checkpoint has an origin, a size and a root");
        let text = text.strip_suffix('\n').ok_or(short.clone())?;
        let mut lines = text.split('\n');
        let origin = lines
            .next()
            .filter(|it| !it.is_empty())
            .ok_or(short.clone())?;
        let size = lines.next().and_then(number).ok_or(short.clone())?;
        let root = lines.next().and_then(hash).ok_or(short)?;
        // What stands below is nobody's statement about the tree: ours have none.
        if lines.any(str::is_empty) {
            return Err(BadNote::Malformed("an empty line"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// A number as these texts have it: decimal, without zeros before it.
pub(super) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(super) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
