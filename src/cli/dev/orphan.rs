//! A postmaster that a killed run left behind.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::server::{Server, run};

/// Time for its last checkpoint, in seconds.
const STOP_S: u64 = 60;

/// A postmaster that a killed run left behind. We hold the lock, so that it is nobody else's.
pub(super) fn stop_orphan(server: &Server, pg: &Path) -> Result<()> {
    if !has_orphan(pg) {
        return Ok(());
    }
    let mut stop = server.program("pg_ctl");
    stop.arg("-D")
        .arg(pg)
        .args(["stop", "-m", "fast", "-w", "-t"]);
    stop.arg(STOP_S.to_string());
    match run(&mut stop, "") {
        // It was about to end, and did before `pg_ctl` looked.
        Err(error) if has_orphan(pg) => Err(error),
        _ => Ok(()),
    }
}

/// Whether the process in `postmaster.pid` is Postgres on this very directory. The number alone says
/// little: after a restart of the machine it may be anybody's. In doubt Postgres itself refuses.
fn has_orphan(pg: &Path) -> bool {
    let text = std::fs::read_to_string(pg.join("postmaster.pid")).unwrap_or_default();
    let pid = text.lines().next().and_then(|line| line.parse().ok());
    pid.is_some_and(|pid| is_postmaster(pid, pg))
}

/// Told by its arguments, which everybody may read; a zombie has none.
pub(super) fn is_postmaster(pid: u32, pg: &Path) -> bool {
    let command = if Path::new("/proc/self/cmdline").exists() {
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let mut ps = Command::new("ps");
        let output = ps.args(["-o", "command=", "-p", &pid.to_string()]).output();
        output.map(|output| output.stdout).unwrap_or_default()
    };
    contains(&command, b"postgres") && contains(&command, pg.as_os_str().as_bytes())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
