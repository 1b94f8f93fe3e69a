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
    };
    let (out, head, size, mut next) = open(file, head, size)?;
    let mut out = BufWriter::new(out);
    if next == 0 {
        write(&mut out, &head)?;
    }
    while next < size {
        let limit = PAGE.min(size - next);
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
            remark(&format!("{next} of {size} leaves"));
        }
    }
    out.into_inner()?.sync_all()?;
    remark(&format!("{size} leaves in {}", file.display()));
    Ok(())
}

fn write(out: &mut impl std::io::Write, line: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    Ok(out.write_all(b"\n")?)
}

/// A new file; or the one that an export of the same log left, from behind its last whole line on.
fn open(file: &Path, head: Head, size: u64) -> anyhow::Result<(File, Head, u64, u64)> {
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    match made {
        Ok(made) => return Ok((made, head, size, 0)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context(format!("cannot make {}", file.display())),
    }
    let mut found = OpenOptions::new().read(true).write(true).open(file)?;
    let mut lines = BufReader::new(&found);
    let (mut line, mut whole, mut count) = (Vec::new(), 0_u64, 0_u64);
    let mut begun: Option<Head> = None;
    while lines.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        if begun.is_none() {
            begun = serde_json::from_slice(&line).ok();
        }
        whole += u64::try_from(line.len())?;
        count += 1;
        line.clear();
    }
    let begun = begun.filter(|it| it.origin == head.origin);
    let begun = begun
        .ok_or_else(|| anyhow!("{} is there, and is no export of this log", file.display()))?;
    let note: crate::tlog::Note = begun.checkpoint.parse()?;
    let covered: crate::tlog::Checkpoint = note.text().parse()?;
    found.set_len(whole)?;
    found.seek(SeekFrom::End(0))?;
    remark(&format!("going on after {} leaves", count - 1));
    let next = if count == 0 { 0 } else { count - 1 };
    Ok((found, begun, covered.size, next))
}
