//! What needs no service: verification of proofs and exports.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::audit::leaf::{Leaf, leaf_hash};
use crate::cli::print_json;
use crate::tlog::{Note, NoteKey, Policy, Proof};
use crate::verification::{self, Answers};

/// Whom one trusts.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct Trust {
    /// The log's key, as `chancery audit log` shows it.
    #[arg(long)]
    key: Option<NoteKey>,
    /// A file with logs, witnesses and a quorum (C2SP tlog-policy).
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Trust {
    pub(super) fn policy(&self) -> anyhow::Result<Policy> {
        match (&self.key, &self.policy) {
            (Some(key), _) => Ok(Policy::of_log(key.clone())),
            (None, Some(file)) => Ok(read(file)?.parse()?),
            (None, None) => bail!("--key or --policy says whom to trust"),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The proof that was asked for, among those of a signature.
pub(super) fn choose(proofs: &Value, of_intent: bool) -> anyhow::Result<String> {
    let all = proofs.as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = all.iter().find(|it| (it["kind"] == "intent") == of_intent);
    let wanted =
        wanted.ok_or_else(|| anyhow!("it has not ended: --intent proves what was to be signed"))?;
    let proof = wanted["proof"].as_str();
    let proof =
        proof.ok_or_else(|| anyhow!("no checkpoint covers it yet: try again in some seconds"))?;
    Ok(proof.to_owned())
}

pub(super) fn verify_proof(file: &Path, trust: &Trust) -> anyhow::Result<()> {
    let policy = trust.policy()?;
    let proof: Proof = read(file)?.parse()?;
    let extra = proof.extra.as_deref();
    let leaf = extra.ok_or_else(|| anyhow!("the proof brings no leaf as its extra data"))?;
    let checkpoint = proof.verify(&leaf_hash(leaf), &policy)?;
    let leaf =
        Leaf::from_bytes(leaf).ok_or_else(|| anyhow!("what is proved is no leaf of this log"))?;
    print_json(&json!({
        "verified": true,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "index": proof.index,
        "leaf": leaf.for_people(),
    }))
}

/// Checkpoints that were kept elsewhere.
pub(super) fn kept(files: &[PathBuf]) -> anyhow::Result<Vec<Note>> {
    let note = |file: &PathBuf| {
        let note = read(file)?.parse();
        note.with_context(|| format!("{} is no checkpoint", file.display()))
    };
    files.iter().map(note).collect()
}

pub(super) fn verify(
    file: &Path,
    trust: &Trust,
    checkpoints: &[PathBuf],
    answers: Option<&Path>,
) -> anyhow::Result<()> {
    let policy = trust.policy()?;
    let kept = kept(checkpoints)?;
    if file.is_dir() {
        if answers.is_some() {
            bail!("--answers are held against an export, such as the pack's own leaves.jsonl");
        }
        let report = verification::pack::verify(file, &policy, &kept)?;
        print_json(&report)?;
        if report.verified {
            return Ok(());
        }
        let faults = report.faults.len();
        bail!(
            "the pack does not prove itself: {faults} faults, and {} in its leaves",
            report.log.fault_count
        );
    }
    let open = |file: &Path| {
        let open = File::open(file).with_context(|| format!("cannot read {}", file.display()));
        open.map(BufReader::new)
    };
    let answers = answers.map(|it| anyhow::Ok(Answers::read(open(it)?)?));
    let answers = answers.transpose()?.unwrap_or_default();
    let report = verification::verify_answers(open(file)?, &policy, &kept, answers)?;
    print_json(&report)?;
    if report.verified {
        return Ok(());
    }
    bail!(
        "the log does not prove itself: {} faults",
        report.fault_count
    )
}
