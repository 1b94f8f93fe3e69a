//! Answers that callers have kept, held against the log: each is one that was released, byte for byte, or it is named.

use std::collections::HashMap;
use std::io::{self, BufRead};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Report;
use crate::audit::leaf::{Event, Leaf};

/// Answers, by their hashes. The log's own hashes are not kept.
#[derive(Debug, Default)]
pub struct Answers {
    by_hash: HashMap<[u8; 32], Kept>,
    /// Which line says that it is the answer of an intent.
    by_intent: HashMap<Uuid, [u8; 32]>,
    changed: Vec<(u64, String)>,
}

#[derive(Debug)]
struct Kept {
    line: u64,
    /// Whether a leaf was found for it, be it with another hash.
    is_known: bool,
}

#[derive(Deserialize)]
struct Answer {
    id: Uuid,
}

impl Answers {
    /// Reads lines, each the body of an answer as it came.
    pub fn read(file: impl BufRead) -> io::Result<Self> {
        let mut answers = Self::default();
        for (line, body) in (1..).zip(file.lines()) {
            let body = body?;
            if body.is_empty() {
                continue;
            }
            let hash = Sha256::digest(&body).into();
            let kept = Kept {
                line,
                is_known: false,
            };
            answers.by_hash.entry(hash).or_insert(kept);
            if let Ok(answer) = serde_json::from_str::<Answer>(&body) {
                answers.by_intent.insert(answer.id, hash);
            }
        }
        Ok(answers)
    }

    pub(super) fn hear(&mut self, index: u64, leaf: &Leaf) {
        let Event::Released(release) = &leaf.event else {
            return;
        };
        if let Some(kept) = self.by_hash.get_mut(&release.answer_hash) {
            kept.is_known = true;
            return;
        }
        let other = self.by_intent.get(&release.intent);
        if let Some(kept) = other.and_then(|hash| self.by_hash.get_mut(hash)) {
            kept.is_known = true;
            let detail = format!("line {} is not the answer that was released", kept.line);
            self.changed.push((index, detail));
        }
    }

    pub(super) fn end(self, report: &mut Report) {
        let changed = u64::try_from(self.changed.len()).unwrap_or(u64::MAX);
        for (index, detail) in self.changed {
            report.fault(Some(index), "answer-changed", detail);
        }
        let mut unknown: Vec<u64> = Vec::new();
        for kept in self.by_hash.into_values() {
            if kept.is_known {
                report.answers += 1;
            } else {
                unknown.push(kept.line);
            }
        }
        report.answers = report.answers.saturating_sub(changed);
        unknown.sort_unstable();
        for line in unknown {
            let detail = format!("line {line} is the answer of no release among these leaves");
            report.fault(None, "answer-unknown", detail);
        }
    }
}
