//! A copy in a file: an export that grows, which `chancery audit verify` takes as it is.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{Of, Placed, line};

/// The version of an export's format.
const VERSION: u32 = 1;

/// More than a line has.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// The file, and this replica's hold on it, once it has one.
pub(super) struct File {
    path: PathBuf,
    held: Option<Held>,
}

struct Held {
    file: fs::File,
    next: u64,
    _lock: fs::File,
}

#[derive(Deserialize)]
struct Head {
    origin: String,
}

#[derive(Deserialize)]
struct Line {
    index: Option<u64>,
}

impl File {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, held: None }
    }

    /// Which leaf is next, and whether this replica writes it.
    pub(super) async fn turn(&mut self, of: &Of<'_>) -> Result<(u64, bool), String> {
        if let Some(held) = &self.held {
            // Somebody may have put the file away: the next line begins another.
            if self.path.exists() {
                return Ok((held.next, true));
            }
            self.held = None;
        }
        let Some(checkpoint) = of.checkpoint.clone() else {
            return Ok((0, false)); // the first line needs one
        };
        let (path, origin) = (self.path.clone(), of.origin.clone());
        match blocking(move || hold(&path, &origin, &checkpoint)).await? {
            Some(held) => {
                let next = held.next;
                self.held = Some(held);
                Ok((next, true))
            }
            None => Ok((self.end().await?, false)),
        }
    }

    /// How many leaves it has.
    pub(super) async fn end(&self) -> Result<u64, String> {
        let path = self.path.clone();
        let end = move || match fs::File::open(&path) {
            Ok(mut file) => Ok(ends(&mut file)?.1),
            // It is made when there is a checkpoint; its folder is not.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
                fs::metadata(folder.unwrap_or(Path::new("."))).map(|_| 0)
            }
            Err(error) => Err(error),
        };
        blocking(end).await
    }

    /// Writes leaves at its end, and has them on the disk.
    pub(super) async fn write(&mut self, leaves: Vec<Placed>) -> Result<(), String> {
        // Where it fails, it is read anew how far it is.
        let mut held = self.held.take().ok_or("another replica writes it")?;
        let written = move || {
            let lines: Vec<_> = leaves.iter().map(|it| format!("{}\n", line(it))).collect();
            held.file.write_all(lines.concat().as_bytes())?;
            held.file.sync_data()?;
            held.next = leaves.last().map_or(held.next, |it| it.0 + 1);
            Ok(held)
        };
        self.held = Some(blocking(written).await?);
        Ok(())
    }
}

/// Takes the file, unless another replica has it, and mends its end.
fn hold(path: &Path, origin: &str, checkpoint: &str) -> io::Result<Option<Held>> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o640);
    let lock = options.open(path.with_file_name(name))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut file = options.read(true).open(path)?;
    let (whole, next) = ends(&mut file)?;
    file.set_len(whole)?; // whoever wrote the rest died over it
    file.seek(SeekFrom::Start(0))?;
    let mut first = String::new();
    BufReader::new((&file).take(LONGEST_LINE)).read_line(&mut first)?;
    if first.is_empty() {
        let head =
            json!({ "chancery_export": VERSION, "origin": origin, "checkpoint": checkpoint });
        file.write_all(format!("{head}\n").as_bytes())?;
        file.sync_all()?;
    } else if serde_json::from_str(&first)
        .map(|it: Head| it.origin)
        .ok()
        .as_deref()
        != Some(origin)
    {
        return Err(io::Error::other("the file is no copy of this log"));
    }
    file.seek(SeekFrom::End(0))?;
    Ok(Some(Held {
        file,
        next,
        _lock: lock,
    }))
}

/// Where the last whole line ends, and which leaf comes after it.
fn ends(file: &mut fs::File) -> io::Result<(u64, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(2 * LONGEST_LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(length - from).read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        // Its first line was torn, or it is something else.
        let no_lines = || io::Error::other("the file has no lines");
        return (from == 0).then_some((0, 0)).ok_or_else(no_lines);
    };
    let start = tail[..end].iter().rposition(|byte| *byte == b'\n');
    let last = &tail[start.map_or(0, |it| it + 1)..end];
    let line: Line = serde_json::from_slice(last)
        .map_err(|_| io::Error::other("its last line is none of an export"))?;
    let whole = from + u64::try_from(end + 1).unwrap_or(u64::MAX);
    Ok((whole, line.index.map_or(0, |index| index + 1)))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(io::Error::other).flatten();
    done.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
