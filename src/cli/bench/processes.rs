//! What processes use, as `/proc` tells it (`proc(5)`). Elsewhere nothing is known.

use std::time::Duration;

/// Processor time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) service: Duration,
    pub(super) postgres: Duration,
    /// Of this process, which asks.
    pub(super) load: Duration,
}

impl Used {
    /// Up to now, by the service and by the postmaster with all its children.
    pub(super) fn up_to_now(service: u32, postmaster: u32) -> Option<Self> {
        let mut postgres = Duration::ZERO;
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let pid = entry.file_name().to_string_lossy().parse().ok();
            let Some(process) = pid.and_then(Process::read) else {
                continue;
            };
            if process.pid == postmaster {
                postgres += process.own + process.of_children;
            } else if process.parent == postmaster {
                postgres += process.own;
            }
        }
        Some(Self {
            service: Process::read(service)?.own,
            postgres,
            load: own(),
        })
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            service: self.service.saturating_sub(before.service),
            postgres: self.postgres.saturating_sub(before.postgres),
            load: self.load.saturating_sub(before.load),
        }
    }

    pub(super) fn all(&self) -> Duration {
        self.service + self.postgres + self.load
    }
}

/// Of this process up to now.
pub(super) fn own() -> Duration {
    Process::read(std::process::id()).map_or(Duration::ZERO, |it| it.own)
}

/// Resident memory in bytes.
pub(super) fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// A line of `/proc/PID/stat`.
struct Process {
    pid: u32,
    parent: u32,
    own: Duration,
    of_children: Duration,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything; state is the first field after it, number 3.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        // USER_HZ is 100 on every Linux there is.
        let time = |ticks: u64| Duration::from_millis(ticks * 10);
        Some(Self {
            pid,
            parent: fields.get(4 - 3)?.parse().ok()?,
            own: time(ticks(14)? + ticks(15)?),
            of_children: time(ticks(16)? + ticks(17)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_what_it_uses() {
        if !std::path::Path::new("/proc/self/stat").exists() {
            println!("skipped: there is no /proc");
            return;
        }
        let me = std::process::id();
        assert_eq!(Process::read(me).unwrap().pid, me);
        assert!(memory(me).unwrap() > 100_000);
        let used = Used::up_to_now(me, me).unwrap();
        assert!(used.all() >= used.service);
    }
}
