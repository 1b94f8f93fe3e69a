//! A pack is verified: its leaves, its statements, that its sheets follow from these, and that its index is in the log.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::super::Unreadable;
use super::{Index, PackReport, Statement, controls, hash, proving, sheets};
use crate::audit::leaf::{Event, Leaf, leaf_hash};
use crate::authority;
use crate::tlog::{Note, Policy, Proof};

/// Verifies a pack: its leaves, its statements, that its sheets follow from these, and that its index is in the log.
pub fn verify(folder: &Path, policy: &Policy, kept: &[Note]) -> Result<PackReport, Unreadable> {
    let text = std::fs::read(folder.join("index.json"))?;
    let index: Index = serde_json::from_slice(&text)
        .map_err(|error| Unreadable::Malformed(1, format!("index.json: {error}")))?;
    let leaves = BufReader::new(File::open(folder.join("leaves.jsonl"))?);
    let mut report = PackReport {
        verified: false,
        files: 0,
        statements: 0,
        faults: Vec::new(),
        log: super::super::verify(leaves, policy, kept)?,
    };
    let log = (report.log.after, report.log.after + report.log.leaves);
    if log != (index.from_size, index.to_size) || report.log.origin != index.origin {
        let detail = format!(
            "the leaves are {} up to {}, and not those of the index",
            log.0, log.1
        );
        report.fault("index", detail);
    }
    compare(folder, &index, &mut report)?;
    chain(folder, &index, &mut report)?;
    on_record(folder, &text, policy, &mut report)?;
    report.verified = report.faults.is_empty() && report.log.verified;
    Ok(report)
}

/// That each file is what the index says, and each sheet what follows from leaves and statements.
fn compare(folder: &Path, index: &Index, report: &mut PackReport) -> Result<(), Unreadable> {
    let mut expected = proving(folder)?;
    expected.extend(sheets(folder, None, |_| {})?);
    if index.files.len() != expected.len() {
        report.fault("index", "it lists other files than a pack has".to_owned());
    }
    for (listed, is) in index.files.iter().zip(&expected) {
        if listed != is {
            let detail = format!(
                "{} is listed otherwise than it follows from the leaves and statements",
                is.name
            );
            report.fault("sheet", detail);
            continue;
        }
        let (there, _) = hash(&folder.join(&is.name))?;
        if there == is.sha256 {
            report.files += 1;
        } else {
            report.fault("file", format!("{} was changed", is.name));
        }
    }
    if index.controls != controls() {
        report.fault(
            "index",
            "its controls are not those of this version".to_owned(),
        );
    }
    Ok(())
}

/// That each statement follows from the one before, up to what the index names.
fn chain(folder: &Path, index: &Index, report: &mut PackReport) -> Result<(), Unreadable> {
    let file = BufReader::new(File::open(folder.join("statements.jsonl"))?);
    let (mut link, mut version) = ([0; 32], 0);
    for (number, line) in (1..).zip(file.lines()) {
        let it: Statement = serde_json::from_str(&line?)
            .map_err(|error| Unreadable::Malformed(number, error.to_string()))?;
        let stated = link_of(&link, &it);
        if it.version != version + 1 || it.link.as_deref() != Some(hex::encode(stated).as_str()) {
            report.fault(
                "statement",
                format!("version {} does not follow", it.version),
            );
            return Ok(());
        }
        (link, version) = (stated, it.version);
    }
    report.statements = version;
    if (version, hex::encode(link)) != (index.version, index.link.clone()) {
        report.fault(
            "statement",
            "the last one is not that of the index".to_owned(),
        );
    }
    Ok(())
}

fn link_of(before: &[u8; 32], it: &Statement) -> [u8; 32] {
    authority::chained(
        before,
        &authority::Written {
            version: authority::Version::asked(it.version),
            at: it.at,
            by: it.by.into(),
            kind: it.kind.clone(),
            id: it.id,
            tightens: it.tightens,
            body: it.body.as_ref().map(|it| it.as_bytes().to_vec()),
            link: None,
        },
    )
}

/// That the hash of the index is in the log.
fn on_record(
    folder: &Path,
    index: &[u8],
    policy: &Policy,
    report: &mut PackReport,
) -> Result<(), Unreadable> {
    let text = std::fs::read_to_string(folder.join("index.tlog-proof"))?;
    let proof: Option<Proof> = text.parse().ok();
    let leaf = proof.as_ref().and_then(|it| it.extra.clone());
    let proved = proof
        .zip(leaf)
        .filter(|(proof, leaf)| proof.verify(&leaf_hash(leaf), policy).is_ok());
    let leaf = proved.and_then(|(_, leaf)| Leaf::from_bytes(&leaf));
    let named = match leaf.map(|it| it.event) {
        Some(Event::Admin(it)) if it.action == "export-log" => {
            let details: serde_json::Value = serde_json::from_str(&it.details).unwrap_or_default();
            details["index"].as_str().map(str::to_owned)
        }
        _ => None,
    };
    if named != Some(hex::encode(Sha256::digest(index))) {
        let detail = "index.tlog-proof does not show that this index is in the log";
        report.fault("index", detail.to_owned());
    }
    Ok(())
}
