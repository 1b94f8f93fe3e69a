//! Proofs that something is in a log, as files that say all (C2SP `tlog-proof`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, hash, number};
use super::note::{BadNote, Note};
use super::policy::{Policy, Unsatisfied};
use super::{Hash, tree};

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// So much of a file is read.
const LARGEST: usize = 256 * 1024;

/// A leaf's way to the root of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What somebody put beside it. It is not covered by anything.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index.
    pub index: u64,
    /// The hashes, from its sibling to below the root.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub note: Note,
}

/// Why a proof proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// It is not written as a proof.
    #[error("not a proof of the form {HEAD}: {0}")]
    Malformed(&'static str),
    /// Its checkpoint is no note.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// Those who have to have signed the checkpoint have not.
    #[error(transparent)]
    Unsatisfied(#[from] Unsatisfied),
    /// The hashes do not lead from the leaf to the checkpoint's root.
    #[error("the hashes do not lead from this leaf at index {0} to the checkpoint's root")]
    OtherRoot(u64),
}

impl Proof {
    /// The checkpoint in which the leaf with this hash is, if whom the policy asks for has signed it.
    pub fn verify(&self, leaf: &Hash, policy: &Policy) -> Result<Checkpoint, NotProved> {
        let checkpoint = policy.checkpoint(&self.note)?;
        let root = tree::root_by_inclusion(leaf, self.index, checkpoint.size, &self.hashes);
        if root == Some(checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err(NotProved::OtherRoot(self.index))
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Proof {
    type Err = NotProved;

    fn from_str(text: &str) -> Result<Self, NotProved> {
        if text.len() > LARGEST {
            return Err(NotProved::Malformed("too large"));
        }
        let (head, note) = text
            .split_once("\n\n")
            .ok_or(NotProved::Malformed("no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEAD) {
            return Err(NotProved::Malformed("another first line"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.map(|line| STANDARD.decode(line.trim_start_matches("extra ")));
        let extra = extra
            .transpose()
            .map_err(|_| NotProved::Malformed("extra is not base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index
            .and_then(number)
            .ok_or(NotProved::Malformed("no index"))?;
        let hashes: Option<Vec<_>> = lines.map(hash).collect();
        let hashes = hashes.ok_or(NotProved::Malformed("a line that is no hash"))?;
        if hashes.len() > 64 {
            return Err(NotProved::Malformed("more hashes than a log can have"));
        }
        Ok(Self {
            extra,
            index,
            hashes,
            note: note.parse()?,
        })
    }
}

#[cfg(test)]
mod tests;
