//! `chancery audit export DIR --until`: an evidence pack, file by file, and its place in the log.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::export::{fetch, write};
use crate::cli::client::Client;
use crate::cli::remark;
use crate::verification::pack::{self, Index, Statement};
use crate::verification::{Before, Head, VERSION};

/// From when until when.
pub(super) struct Times<'a> {
    pub(super) from: Option<&'a str>,
    pub(super) until: &'a str,
}

/// What was on record then, as the service says.
#[derive(serde::Deserialize)]
struct Range {
    origin: String,
    from_size: u64,
    from_checkpoint: Option<String>,
    frontier: Vec<String>,
    to_size: u64,
    to_checkpoint: String,
    version: i64,
    link: String,
}

pub(super) async fn run(client: &Client, folder: &Path, times: &Times<'_>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let range = range(client, times).await?;
    let (from, to) = (range.from_size, range.to_size);
    put(folder, "to.checkpoint", &range.to_checkpoint)?;
    let consistency = match from {
        from if from == 0 || from == to => json!({ "from": from, "to": to, "hashes": [] }),
        _ => {
            let path = format!("/v1/log/consistency?from={from}&to={to}");
            let hashes = client.get(&path).await?["hashes"].clone();
            json!({ "from": from, "to": to, "hashes": hashes })
        }
    };
    put(folder, "consistency.json", &format!("{consistency}\n"))?;
    let after = range.from_checkpoint.clone().map(|checkpoint| Before {
        size: from,
        checkpoint,
        frontier: range.frontier.clone(),
    });
    let head = Head {
        chancery_export: VERSION,
        origin: range.origin.clone(),
        checkpoint: range.to_checkpoint.clone(),
        after,
    };
    fetch(client, &folder.join("leaves.jsonl"), head, (from, to)).await?;
    statements(client, folder, range.version).await?;
    remark("making the sheets");
    let told = |leaves: u64| remark(&format!("{leaves} of {} leaves", to - from));
    let files = pack::fill_in(folder, told)?;
    let index = Index {
        chancery_pack: pack::VERSION,
        origin: range.origin,
        from: times.from.map(str::to_owned),
        until: times.until.to_owned(),
        from_size: from,
        to_size: to,
        version: range.version,
        link: range.link,
        files,
        controls: pack::controls(),
    };
    let text = serde_json::to_string_pretty(&index)? + "\n";
    put(folder, "index.json", &text)?;
    let proof = on_record(client, &index, &text).await?;
    put(folder, "index.tlog-proof", &proof)?;
    let files = index.files.len() + 2;
    remark(&format!(
        "{} leaves, {} statements, {files} files in {}",
        to - from,
        index.version,
        folder.display()
    ));
    Ok(())
}

async fn range(client: &Client, times: &Times<'_>) -> anyhow::Result<Range> {
    let asked = [("from", times.from), ("until", Some(times.until))];
    let asked = asked.into_iter().filter_map(|(name, it)| Some((name, it?)));
    let query = reqwest::Url::parse_with_params("http://query/", asked)?;
    let path = format!("/v1/audit/range?{}", query.query().unwrap_or_default());
    Ok(serde_json::from_value(client.get(&path).await?)?)
}

/// All statements up to a version, one a line; what an interrupted export left of them is gone on with.
async fn statements(client: &Client, folder: &Path, until: i64) -> anyhow::Result<()> {
    let file = folder.join("statements.jsonl");
    let mut last = 0;
    let mut whole = String::new();
    if let Ok(found) = File::open(&file) {
        let mut lines = BufReader::new(found);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let it: Statement = serde_json::from_str(&line)
                .map_err(|_| anyhow!("{} is there, and is none of this log", file.display()))?;
            if it.version != last + 1 || it.version > until {
                break;
            }
            last = it.version;
            whole.push_str(&line);
            line.clear();
        }
    }
    let mut out = BufWriter::new(File::create(&file)?);
    out.write_all(whole.as_bytes())?;
    drop(whole);
    while last < until {
        let path = format!("/v1/audit/statements?after={last}");
        let page: Vec<Statement> = serde_json::from_value(client.get(&path).await?)?;
        if page.is_empty() {
            bail!("the service has no statement {}", last + 1);
        }
        for it in page.iter().take_while(|it| it.version <= until) {
            write(&mut out, it)?;
            last = it.version;
        }
        if page.last().is_some_and(|it| it.version >= until) {
            break;
        }
    }
    out.into_inner()?.sync_all()?;
    Ok(())
}

/// Puts the hash of the index on record, and waits for the checkpoint that covers it.
async fn on_record(client: &Client, index: &Index, text: &str) -> anyhow::Result<String> {
    let export = json!({
        "index": hex::encode(Sha256::digest(text)), "from_size": index.from_size, "to_size": index.to_size,
        "version": index.version,
    });
    let made: Value = client.post("/v1/audit/exports", &export).await?;
    let path = format!(
        "/v1/audit/exports/{}",
        made["id"].as_str().unwrap_or_default()
    );
    for _ in 0..120 {
        if let Some(proof) = client.get(&path).await?["proof"].as_str() {
            return Ok(proof.to_owned());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    bail!("no checkpoint covers the export yet: repeat the command, which goes on where it stopped")
}

fn put(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
