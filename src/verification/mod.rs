//! Offline verification of what the log exported: needs a public key, and neither network nor database.
//!
//! It promises to find each leaf that was changed, moved, added or removed below the checkpoint that it is
//! given, and what in the log contradicts itself. It **trusts** that checkpoint: an export alone cannot
//! show that its tail was cut, so a checkpoint from the second place goes beside it.

mod answers;
mod export;
mod legality;
mod limits;
pub mod pack;
pub mod reconciliation;
mod story;

use std::io::BufRead;

use serde::Serialize;

use crate::audit::leaf::{Leaf, leaf_hash};
use crate::tlog::{Checkpoint, Frontier, Note, Policy};
pub use answers::Answers;
pub use export::{Before, Head, Line, VERSION};
use legality::Legality;
use limits::Kept;
use story::Story;

/// So many faults are told one by one.
const TOLD: usize = 1_000;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether the log proves itself, as far as the checkpoints go.
    pub verified: bool,
    /// The log's name.
    pub origin: String,
    /// How many leaves are before the first that was read.
    pub after: u64,
    /// How many leaves were read.
    pub leaves: u64,
    /// How many of the log the newest checkpoint covers that was verified.
    pub covered: u64,
    /// Signatures that were released.
    pub released: u64,
    /// Intents that ended without a signature.
    pub ended: u64,
    /// Intents without an end, which a log has only near its end.
    pub open: u64,
    /// Answers that callers have kept, and that were released so.
    pub answers: u64,
    /// Ends of what began before the first leaf that was read.
    pub begun_before: u64,
    /// What is wrong; of very much only the first.
    pub faults: Vec<Fault>,
    /// How much is wrong.
    pub fault_count: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The leaf, where it is about one.
    pub index: Option<u64>,
    /// A stable word for its kind.
    pub kind: &'static str,
    /// What.
    pub detail: String,
}

/// Why an export is not even read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no export.
    #[error("line {0} is not one of an export: {1}")]
    Malformed(u64, String),
}

impl Report {
    fn fault(&mut self, index: Option<u64>, kind: &'static str, detail: impl Into<String>) {
        self.fault_count += 1;
        if self.faults.len() < TOLD {
            let detail = detail.into();
            self.faults.push(Fault {
                index,
                kind,
                detail,
            });
        }
    }
}

/// Whether leaves that are heard one after the other tell one story, and one that was allowed.
#[derive(Default)]
pub(crate) struct Heard {
    story: Story,
    legality: Legality,
    limits: Kept,
    report: Report,
}

impl Heard {
    /// Hears a leaf. Each has a number of its own.
    pub(crate) fn hear(&mut self, number: u64, leaf: &Leaf) {
        self.story.hear(number, leaf, &mut self.report);
        self.legality.hear(number, leaf, &mut self.report);
        self.limits.hear(number, leaf);
    }

    /// What is wrong with all of them; of very much only the first.
    pub(crate) fn end(mut self) -> Vec<Fault> {
        self.story.end(&mut self.report);
        self.legality.end(&mut self.report);
        self.limits.end(&mut self.report);
        self.report.faults
    }
}

/// Verifies an export against whom one trusts, and against checkpoints that were kept elsewhere.
pub fn verify(export: impl BufRead, policy: &Policy, kept: &[Note]) -> Result<Report, Unreadable> {
    read(export, policy, kept, |_, _| {})
}

/// The same, and holds answers that callers have kept against it.
pub fn verify_answers(
    export: impl BufRead,
    policy: &Policy,
    kept: &[Note],
    mut answers: Answers,
) -> Result<Report, Unreadable> {
    let mut report = read(export, policy, kept, |index, leaf| {
        answers.hear(index, leaf);
    })?;
    answers.end(&mut report);
    report.verified &= report.fault_count == 0;
    Ok(report)
}

/// The same, and somebody hears of each leaf.
fn read(
    export: impl BufRead,
    policy: &Policy,
    kept: &[Note],
    mut listener: impl FnMut(u64, &Leaf),
) -> Result<Report, Unreadable> {
    let mut lines = export::lines(export);
    let head = lines.head()?;
    let mut report = Report {
        origin: head.origin.clone(),
        ..Report::default()
    };
    let mut checkpoints = trusted(&head, policy, kept, &mut report);
    let (mut tree, mut story) = (Frontier::default(), Story::default());
    if let Some(before) = &head.after {
        tree = begin(before, &head, policy, &mut report);
        story = Story::going_on();
        checkpoints.retain(|it| it.size >= tree.size());
    }
    report.after = tree.size();
    let (mut legality, mut limits) = (Legality::new(head.after.is_some()), Kept::default());
    compare(&mut checkpoints, &tree, &mut report);
    while let Some(line) = lines.next()? {
        let index = tree.size();
        if line.index != index {
            let detail = format!("index {} stands where {index} has to be", line.index);
            report.fault(Some(index), "out-of-order", detail);
        }
        tree.append(leaf_hash(&line.leaf), |_, _| {});
        report.leaves = tree.size() - report.after;
        match Leaf::from_bytes(&line.leaf) {
            Some(leaf) => {
                story.hear(index, &leaf, &mut report);
                legality.hear(index, &leaf, &mut report);
                limits.hear(index, &leaf);
                listener(index, &leaf);
            }
            None => report.fault(Some(index), "no-leaf", "its bytes are not those of a leaf"),
        }
        compare(&mut checkpoints, &tree, &mut report);
    }
    for checkpoint in checkpoints {
        let size = checkpoint.size;
        let detail = format!(
            "a checkpoint covers {size} leaves, and the export has {}",
            tree.size()
        );
        report.fault(None, "cut", detail);
    }
    story.end(&mut report);
    legality.end(&mut report);
    limits.end(&mut report);
    report.verified = report.fault_count == 0 && report.covered > 0;
    Ok(report)
}

/// The tree before the first leaf, which a checkpoint of its own covers.
fn begin(before: &Before, head: &Head, policy: &Policy, report: &mut Report) -> Frontier {
    let note: Option<Note> = before.checkpoint.parse().ok();
    let signed = note.and_then(|it| policy.checkpoint(&it).ok());
    let signed = signed.filter(|it| it.origin == head.origin);
    let tree = before.tree();
    let is_right = match (&signed, &tree) {
        (Some(signed), Some(tree)) => signed.size == tree.size() && signed.root == tree.root(),
        _ => false,
    };
    if !is_right {
        let detail = "what is before the first leaf is not what a checkpoint covers";
        report.fault(None, "before", detail);
    }
    tree.unwrap_or_default()
}

/// The checkpoints that are signed by whom one trusts, the largest first.
fn trusted(head: &Head, policy: &Policy, kept: &[Note], report: &mut Report) -> Vec<Checkpoint> {
    let own: Option<Note> = head.checkpoint.parse().ok();
    if own.is_none() {
        report.fault(
            None,
            "checkpoint",
            "the export's checkpoint is no signed note",
        );
    }
    let mut checkpoints = Vec::new();
    for note in own.iter().chain(kept) {
        match policy.checkpoint(note) {
            Ok(it) if it.origin == head.origin => checkpoints.push(it),
            Ok(it) => {
                let detail = format!("a checkpoint is of the log {}", it.origin);
                report.fault(None, "checkpoint", detail);
            }
            Err(error) => report.fault(None, "checkpoint", error.to_string()),
        }
    }
    checkpoints.sort_by_key(|it| std::cmp::Reverse(it.size));
    checkpoints
}

/// Compares the tree with the checkpoints of its size.
fn compare(checkpoints: &mut Vec<Checkpoint>, tree: &Frontier, report: &mut Report) {
    while let Some(next) = checkpoints.pop_if(|it| it.size == tree.size()) {
        if next.root == tree.root() {
            report.covered = tree.size();
        } else {
            let detail = format!(
                "the first {} leaves are not those that the checkpoint covers",
                next.size
            );
            report.fault(None, "root", detail);
        }
    }
}
