//! The sheets of a pack: what is in it for people, each as JSON Lines and as CSV.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// What a sheet is: its name, of what it is made, its columns.
pub(super) struct Sheet {
    pub(super) name: &'static str,
    pub(super) made_of: &'static str,
    pub(super) columns: &'static [&'static str],
}

const fn sheet(
    name: &'static str,
    made_of: &'static str,
    columns: &'static [&'static str],
) -> Sheet {
    Sheet {
        name,
        made_of,
        columns,
    }
}

const CHANGE: &[&str] = &[
    "index",
    "at",
    "actor",
    "actor_name",
    "action",
    "subject",
    "subject_name",
    "approval",
    "details",
];

/// All sheets, in their order.
pub(super) const SHEETS: [Sheet; 20] = [
    sheet(
        "signatures",
        "leaves of kind intent",
        &[
            "index",
            "at",
            "signature",
            "operation",
            "caller",
            "caller_name",
            "credential",
            "subject",
            "subject_name",
            "key",
            "key_name",
            "key_epoch",
            "policy",
            "digest",
            "market",
            "idempotency_key",
        ],
    ),
    sheet(
        "releases",
        "leaves of kind released",
        &[
            "index",
            "at",
            "signature",
            "attempt",
            "tries",
            "device_request",
            "signature_hash",
            "answer_hash",
        ],
    ),
    sheet(
        "refusals",
        "leaves of kind refused, abandoned, denied and denials",
        &[
            "index",
            "at",
            "kind",
            "signature",
            "caller",
            "caller_name",
            "action",
            "resource",
            "reason",
            "count",
        ],
    ),
    sheet(
        "tokens",
        "leaves of kind token",
        &[
            "index",
            "at",
            "fetch",
            "client",
            "client_name",
            "key",
            "caller",
            "caller_name",
            "credential",
            "scopes",
            "expires_at_ms",
        ],
    ),
    sheet(
        "dry-runs",
        "leaves of kind dry-run and dry-runs",
        &[
            "index",
            "at",
            "caller",
            "caller_name",
            "action",
            "resource",
            "digest",
            "count",
        ],
    ),
    sheet("changes", "leaves of kind admin", CHANGE),
    sheet("approvals", "leaves of kind admin about proposals", CHANGE),
    sheet("rotations", "leaves of kind admin about rotations", CHANGE),
    sheet(
        "nonces-and-credentials",
        "leaves of kind admin about API keys and nonces",
        CHANGE,
    ),
    sheet("look-ups", "leaves of kind admin about look-ups", CHANGE),
    sheet(
        "keys",
        "the last statement of each key",
        &[
            "id",
            "version",
            "stated_at",
            "stated_by",
            "name",
            "purpose",
            "algorithm",
            "backend",
            "device_ref",
            "origin",
            "environment",
            "owner",
            "state",
            "epoch",
            "public_key",
            "attributes",
            "created_at",
            "ends_at",
        ],
    ),
    sheet(
        "key-states",
        "statements of keys whose state differs from the one before",
        &[
            "version", "at", "by", "by_name", "key", "key_name", "from", "to", "epoch",
        ],
    ),
    sheet(
        "wallets",
        "the last statement of each wallet",
        &[
            "id",
            "version",
            "stated_at",
            "stated_by",
            "name",
            "owner",
            "key",
            "chain",
            "signature_type",
            "funder",
            "session_key",
            "funder_unverified",
            "allow_replace",
            "successor",
            "closed",
        ],
    ),
    sheet(
        "clients",
        "the last statement of each client",
        &[
            "id",
            "version",
            "stated_at",
            "stated_by",
            "name",
            "owner",
            "environment",
            "client_id",
            "key",
        ],
    ),
    sheet(
        "callers",
        "the last statement of each caller that is not revoked",
        &[
            "id",
            "version",
            "stated_at",
            "stated_by",
            "name",
            "owner",
            "roles",
            "person",
        ],
    ),
    sheet(
        "credentials",
        "the last statement of each credential that is not revoked; never what is presented",
        &[
            "id",
            "version",
            "stated_at",
            "stated_by",
            "caller",
            "kind",
            "identity",
            "expires_at",
        ],
    ),
    sheet(
        "people",
        "the last statement of each person, and of each key that one approves with",
        &[
            "id",
            "version",
            "stated_at",
            "stated_by",
            "of",
            "name",
            "roles",
            "person",
            "kind",
            "public_key",
        ],
    ),
    sheet(
        "rules",
        "the last statement of each limit, halt, quorum, recipient, and of whatever else decides",
        &["id", "version", "stated_at", "stated_by", "of", "body"],
    ),
    sheet(
        "grants",
        "statements of callers and credentials: made, changed and revoked",
        &[
            "version", "at", "by", "by_name", "of", "id", "name", "holds", "tightens",
        ],
    ),
    sheet(
        "policies",
        "statements of the policy",
        &["version", "at", "by", "by_name", "sha256", "reason", "text"],
    ),
];

/// A file that is written, or only hashed.
struct Out {
    file: Option<BufWriter<File>>,
    hash: Sha256,
}

impl Out {
    fn make(folder: Option<&Path>, name: &str) -> io::Result<Self> {
        let file = folder.map(|it| File::create(it.join(name))).transpose()?;
        Ok(Self {
            file: file.map(BufWriter::new),
            hash: Sha256::new(),
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.hash.update(text);
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }

    fn end(self) -> io::Result<String> {
        if let Some(file) = self.file {
            file.into_inner()?.sync_all()?;
        }
        Ok(hex::encode(self.hash.finalize()))
    }
}

/// The sheets while they are filled in.
pub(super) struct Sheets(Vec<(Out, Out, u64)>);

/// A sheet that is whole.
pub(super) struct Filled {
    pub(super) name: String,
    pub(super) made_of: &'static str,
    pub(super) rows: u64,
    pub(super) sha256: String,
}

impl Sheets {
    /// In a folder; without one they are only hashed.
    pub(super) fn make(folder: Option<&Path>) -> io::Result<Self> {
        let all = SHEETS.iter().map(|sheet| {
            let lines = Out::make(folder, &format!("{}.jsonl", sheet.name))?;
            let mut csv = Out::make(folder, &format!("{}.csv", sheet.name))?;
            csv.write(&format!("{}\r\n", sheet.columns.join(",")))?;
            Ok((lines, csv, 0))
        });
        all.collect::<io::Result<_>>().map(Self)
    }

    /// Adds a row; members that the sheet has no column for are left out.
    pub(super) fn add(&mut self, name: &str, row: &Value) -> io::Result<()> {
        let at = SHEETS.iter().position(|it| it.name == name);
        let Some((sheet, (lines, csv, rows))) =
            at.and_then(|at| Some((&SHEETS[at], self.0.get_mut(at)?)))
        else {
            return Err(io::Error::other(format!("there is no sheet {name}")));
        };
        let cells = sheet.columns.iter().map(|column| {
            let cell = row.get(column).cloned().unwrap_or(Value::Null);
            ((*column).to_owned(), cell)
        });
        let cells: Map<String, Value> = cells.collect();
        let texts: Vec<String> = sheet.columns.iter().map(|it| cell(&cells[*it])).collect();
        lines.write(&format!("{}\n", Value::Object(cells)))?;
        csv.write(&format!("{}\r\n", texts.join(",")))?;
        *rows += 1;
        Ok(())
    }

    /// What was written.
    pub(super) fn end(self) -> io::Result<Vec<Filled>> {
        let mut filled = Vec::new();
        for (sheet, (lines, csv, rows)) in SHEETS.iter().zip(self.0) {
            for (ending, out) in [("jsonl", lines), ("csv", csv)] {
                filled.push(Filled {
                    name: format!("{}.{ending}", sheet.name),
                    made_of: sheet.made_of,
                    rows,
                    sha256: out.end()?,
                });
            }
        }
        Ok(filled)
    }
}

/// A cell of CSV (RFC 4180). What a spreadsheet would compute is text: an apostrophe before it says so.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = if value.is_string() && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
