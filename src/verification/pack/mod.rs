//! Evidence packs: what was on record between two moments, with what proves it and what people read of it.
//!
//! A pack is a folder. `leaves.jsonl` are the leaves between two checkpoints, `statements.jsonl` all that was stated by the
//! second; the sheets beside them follow from these two, so that a verifier makes them anew. `index.json` names each file
//! with its hash, its rows and of what it is made, and which control it answers; `index.tlog-proof` shows that the
//! hash of the index is in the log.
//!
//! It **trusts**, beyond the checkpoint's key, whoever stated: statements are chained to one another, and what they
//! lead to is what the service said of itself when the pack was made.

mod controls;
mod derive;
mod sheets;
mod verifying;

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Fault, Report, Unreadable};
use controls::CONTROLS;
pub use derive::Statement;
pub use verifying::verify;

/// The version of the format.
pub const VERSION: u32 = 1;

/// What proves the rest, and of what each is made.
pub const PROVING: [(&str, &str); 4] = [
    ("leaves.jsonl", "GET /v1/log/leaves"),
    ("statements.jsonl", "GET /v1/audit/statements"),
    ("to.checkpoint", "GET /v1/audit/range"),
    ("consistency.json", "GET /v1/log/consistency"),
];

/// `index.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The version of the format.
    pub chancery_pack: u32,
    /// The log's name.
    pub origin: String,
    /// The first moment.
    pub from: Option<String>,
    /// The last.
    pub until: String,
    /// The first leaf.
    pub from_size: u64,
    /// The first leaf that is not in it.
    pub to_size: u64,
    /// The last statement.
    pub version: i64,
    /// What that is chained with.
    pub link: String,
    /// All files but this.
    pub files: Vec<Listed>,
    /// Which files answer which control.
    pub controls: Vec<Answered>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Of what it is made.
    pub query: String,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// Of which standard.
    pub standard: String,
    /// Which.
    pub id: String,
    /// What it is about, as far as this service has evidence of it.
    pub about: String,
    /// The files.
    pub files: Vec<String>,
}

/// What was found in a pack.
#[derive(Debug, Serialize)]
pub struct PackReport {
    /// Whether it proves itself.
    pub verified: bool,
    /// How many files were compared.
    pub files: usize,
    /// How many statements follow from one another.
    pub statements: i64,
    /// What is wrong with the pack.
    pub faults: Vec<Fault>,
    /// What was found in its leaves.
    pub log: Report,
}

impl PackReport {
    fn fault(&mut self, kind: &'static str, detail: String) {
        self.faults.push(Fault {
            index: None,
            kind,
            detail,
        });
    }
}

/// The control index.
pub fn controls() -> Vec<Answered> {
    let all = CONTROLS.iter().map(|it| Answered {
        standard: it.standard.to_owned(),
        id: it.id.to_owned(),
        about: it.about.to_owned(),
        files: it.files.iter().map(|it| (*it).to_owned()).collect(),
    });
    all.collect()
}

/// Fills in the sheets of a pack whose leaves and statements are there; lists all files.
pub fn fill_in(folder: &Path, told: impl FnMut(u64)) -> Result<Vec<Listed>, Unreadable> {
    let mut files = proving(folder)?;
    files.extend(sheets(folder, Some(folder), told)?);
    Ok(files)
}

/// The files that the sheets follow from.
fn proving(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for (name, query) in PROVING {
        let (sha256, lines) = hash(&folder.join(name))?;
        // The first line of an export says what it is.
        let rows = if name == "leaves.jsonl" {
            lines.saturating_sub(1)
        } else {
            lines
        };
        files.push(Listed {
            name: name.to_owned(),
            query: query.to_owned(),
            rows,
            sha256,
        });
    }
    Ok(files)
}

fn sheets(
    folder: &Path,
    into: Option<&Path>,
    told: impl FnMut(u64),
) -> Result<Vec<Listed>, Unreadable> {
    let open = |name: &str| File::open(folder.join(name)).map(BufReader::new);
    let filled = derive::derive(open("leaves.jsonl")?, open("statements.jsonl")?, into, told)?;
    let listed = filled.into_iter().map(|it| Listed {
        name: it.name,
        query: it.made_of.to_owned(),
        rows: it.rows,
        sha256: it.sha256,
    });
    Ok(listed.collect())
}

/// SHA-256 of a file, and how many lines it has.
fn hash(file: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(file)?;
    let (mut hash, mut lines) = (Sha256::new(), 0_u64);
    let mut part = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut part)?;
        let Some(bytes) = part.get(..read).filter(|it| !it.is_empty()) else {
            return Ok((hex::encode(hash.finalize()), lines));
        };
        lines += bytes.iter().map(|it| u64::from(*it == b'\n')).sum::<u64>();
        hash.update(bytes);
    }
}
