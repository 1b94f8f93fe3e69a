//! A module in a process of its own, where a call that hangs can be ended.
//!
//! p11-kit's client stands in for the module. It starts `p11-kit remote`, which loads the module, and
//! speaks with that process over a pipe. When the service ends, however it ends, the pipe closes, and the
//! process ends unless a call hangs in it. `C_Finalize` ends the process too, and killing it ends every
//! call inside.
//!
//! # Why
//! The client reads what to start from its environment when it is loaded, and a process loads it once: so
//! one module of a process can be isolated, and the command line starts the service anew with the variable
//! set ([`address`]). p11-kit does one call at a time, and so do we, since its client cannot be trusted with
//! more when the process dies. It knows few mechanisms: before 0.25 no AES-GCM, so that nothing is sealed
//! in such a device.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::Settings;
use crate::custody::CustodyError;

/// The variable that p11-kit's client reads.
pub const VARIABLE: &str = "P11_KIT_SERVER_ADDRESS";

/// Where distributions put p11-kit's client.
const CLIENTS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
    "/usr/lib/pkcs11/p11-kit-client.so",
    "/usr/local/lib/pkcs11/p11-kit-client.so",
    "/opt/homebrew/lib/pkcs11/p11-kit-client.so",
];

/// The [variable](VARIABLE)'s value for these tokens. `None`: no token is isolated.
pub fn address<'a>(
    tokens: impl Iterator<Item = &'a Settings>,
) -> Result<Option<String>, CustodyError> {
    let refused = |why: String| Err(CustodyError::Refused(why));
    let isolated = tokens.filter(|token| token.isolated);
    let modules: BTreeSet<&Path> = isolated.map(|token| token.module.as_path()).collect();
    let mut modules = modules.into_iter();
    let (Some(module), another) = (modules.next(), modules.next()) else {
        return Ok(None);
    };
    if another.is_some() {
        return refused("one module of a process can be isolated, and several are".into());
    }
    // p11-kit splits the command at blanks, and gives quotes a meaning.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    match module.to_str() {
        Some(path) if path.chars().all(plain) => Ok(Some(format!("|p11-kit remote {path}"))),
        _ => refused(format!(
            "{}: no path for an isolated module",
            module.display()
        )),
    }
}

/// p11-kit's client.
pub(super) fn client() -> Result<PathBuf, CustodyError> {
    let found = CLIENTS.iter().map(Path::new).find(|path| path.exists());
    found.map(PathBuf::from).ok_or_else(|| {
        let why = "isolated = true needs p11-kit-client.so (Debian: p11-kit, p11-kit-modules)";
        CustodyError::Unavailable(why.into())
    })
}

/// Kills the processes that run a module, and returns how many. For the end of the service: a process in
/// which a call hangs does not notice that the pipe has closed.
pub fn kill() -> usize {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return 0;
    };
    let ours = rustix::process::getpid().as_raw_pid();
    let pids = entries.filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        child_that_runs_a_module(&stat, ours)
    });
    // A child process keeps its number until somebody waits for it, and only the client does.
    pids.filter(|pid| kill_process(*pid, Signal::KILL).is_ok())
        .count()
}

/// The process of this line of `/proc/PID/stat`, if it is a child of ours that runs a module.
fn child_that_runs_a_module(stat: &str, ours: i32) -> Option<Pid> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut rest = rest.split(' ');
    let (state, parent) = (rest.next()?, rest.next()?);
    let runs = name == "p11-kit-remote" && state != "Z" && parent.parse() == Ok(ours);
    runs.then_some(())?;
    Pid::from_raw(pid.parse().ok()?)
}

#[cfg(test)]
mod tests;
