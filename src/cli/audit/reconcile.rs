//! `chancery audit reconcile`

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::offline::{self, Trust};
use crate::cli::print_json;
use crate::verification::reconciliation::{self, Devices, Trail};

#[derive(Debug, Args)]
pub(in crate::cli) struct Reconcile {
    /// The export's file, or the pack's folder.
    file: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// A checkpoint that was kept elsewhere.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Events of CloudTrail, unpacked: a trail's files, or what lookup-events answers; - is standard input. May be
    /// given often.
    #[arg(long, value_name = "FILE", required_unless_present = "counts")]
    cloudtrail: Vec<PathBuf>,
    /// What other devices count: lines of JSON with key, from, until and signatures.
    #[arg(long, value_name = "FILE")]
    counts: Option<PathBuf>,
    /// From when on the events are whole; their first unless it is given.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when events and export are whole: best the moment of the export. The last event or the newest leaf
    /// unless it is given.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

pub(super) fn run(asked: &Reconcile) -> anyhow::Result<()> {
    let at = |text: &Option<String>| {
        let at = text
            .as_deref()
            .map(|it| OffsetDateTime::parse(it, &Rfc3339));
        at.transpose()
            .map_err(|_| anyhow!("a time is written like 2026-11-30T12:00:00Z"))
    };
    let mut devices = Devices {
        from: at(&asked.from)?,
        until: at(&asked.until)?,
        ..Devices::default()
    };
    for file in &asked.cloudtrail {
        let events: Box<dyn Read> = match file.to_str() {
            Some("-") => Box::new(io::stdin().lock()),
            _ => Box::new(BufReader::new(open(file)?)),
        };
        let trail = devices.trail.get_or_insert_with(Trail::default);
        trail
            .add(events)
            .with_context(|| format!("{} is no export of CloudTrail", file.display()))?;
    }
    if let Some(file) = &asked.counts {
        let counts = reconciliation::read_counts(BufReader::new(open(file)?));
        devices.counts = counts.map_err(|why| anyhow!("{}: {why}", file.display()))?;
    }
    let export = if asked.file.is_dir() {
        asked.file.join("leaves.jsonl")
    } else {
        asked.file.clone()
    };
    let kept = offline::kept(&asked.checkpoint)?;
    let export = BufReader::new(open(&export)?);
    let found = reconciliation::reconcile(export, &asked.trust.policy()?, &kept, &devices)?;
    print_json(&found)?;
    if found.reconciled {
        return Ok(());
    }
    bail!(
        "log and devices do not agree: {} faults, and {} in the log itself",
        found.faults.len(),
        found.log.fault_count
    )
}

fn open(file: &Path) -> anyhow::Result<File> {
    File::open(file).with_context(|| format!("cannot read {}", file.display()))
}
