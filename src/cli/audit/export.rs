//! `chancery audit export`: all leaves that a checkpoint covers, page by page, to a file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::cli::client::Client;
use crate::cli::remark;
use crate::verification::{Head, Line, VERSION};

/// So many leaves are asked for at a time.
const PAGE: u64 = 1_000;

pub(super) async fn run(client: &Client, file: &Path) -> anyhow::Result<()> {
    let log = client.get("/v1/log").await?;
    let text = |name: &str| log[name].as_str().map(str::to_owned);
    let published = text("checkpoint").zip(log["size"].as_u64());
    let (checkpoint, size) =
        published.ok_or_else(|| anyhow!("nothing is published yet: try again in some seconds"))?;
    let head = Head {
        chancery_export: VERSION,
        origin: text("origin").unwrap_or_default(),
        checkpoint,
        after: None,
    };
    // What an earlier export began is brought to its own end.
    let begun = begun(file)?.filter(|it| it.origin == head.origin && it.after.is_none());
    let (head, size) = match begun {
        Some(begun) => {
            let note: crate::tlog::Note = begun.checkpoint.parse()?;
            let covered: crate::tlog::Checkpoint = note.text().parse()?;
            (begun, covered.size)
        }
        None => (head, size),
    };
    fetch(client, file, head, (0, size)).await?;
    remark(&format!("{size} leaves in {}", file.display()));
    Ok(())
}

/// Writes leaves from one up to before another behind a head; goes on where the same was interrupted.
pub(super) async fn fetch(
    client: &Client,
    file: &Path,
    head: Head,
    (from, to): (u64, u64),
) -> anyhow::Result<()> {
    let (out, whole) = open(file, &head)?;
    let mut out = BufWriter::new(out);
    if whole == 0 {
        write(&mut out, &head)?;
    } else {
        remark(&format!("going on after {} leaves", whole - 1));
    }
    let mut next = from + whole.saturating_sub(1);
    while next < to {
        let limit = PAGE.min(to - next);
        let page = client
            .get(&format!("/v1/log/leaves?from={next}&limit={limit}"))
            .await?;
        let page: Vec<Line> = serde_json::from_value(page)?;
        if page.is_empty() {
            bail!("the service has no leaf {next}, which its checkpoint covers");
        }
        for line in page {
            write(&mut out, &line)?;
            next += 1;
        }
        out.flush()?;
        if next % 100_000 < PAGE {
            remark(&format!("{} of {} leaves", next - from, to - from));
        }
    }
    out.into_inner()?.sync_all()?;
    Ok(())
}

pub(super) fn write(
    out: &mut impl std::io::Write,
    line: &impl serde::Serialize,
) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    Ok(out.write_all(b"\n")?)
}

/// The head of an export that was begun in this file.
fn begun(file: &Path) -> anyhow::Result<Option<Head>> {
    let mut line = Vec::new();
    match File::open(file) {
        Ok(found) => BufReader::new(found).read_until(b'\n', &mut line)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("cannot read {}", file.display())),
    };
    Ok(serde_json::from_slice(&line).ok())
}

/// A new file; or the one that an export with the same head left, behind its last whole line, and how many
/// lines that has.
fn open(file: &Path, head: &Head) -> anyhow::Result<(File, u64)> {
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    match made {
        Ok(made) => return Ok((made, 0)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context(format!("cannot make {}", file.display())),
    }
    if begun(file)?.as_ref() != Some(head) {
        bail!(
            "{} is there, and is no such export of this log",
            file.display()
        );
    }
    let mut found = OpenOptions::new().read(true).write(true).open(file)?;
    let mut lines = BufReader::new(&found);
    let (mut line, mut bytes, mut whole) = (Vec::new(), 0_u64, 0_u64);
    while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        bytes += u64::try_from(line.len())?;
        whole += 1;
        line.clear();
    }
    found.set_len(bytes)?;
    found.seek(SeekFrom::End(0))?;
    Ok((found, whole))
}
