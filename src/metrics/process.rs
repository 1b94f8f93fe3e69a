//! What the system says of this process, under the names that all programs use.

use rustix::process::{Resource, getrlimit};

use super::Family;

/// A number of bytes or descriptors, as a level.
fn level(number: u64) -> f64 {
    std::time::Duration::from_secs(number).as_secs_f64()
}

/// Memory and descriptors, where the system says so.
pub(super) fn families() -> Vec<Family> {
    let mut families = Vec::new();
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        families.push(Family::level(
            "process_open_fds",
            "File descriptors that are open",
            [],
            u32::try_from(open.count()).unwrap_or(u32::MAX),
        ));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        families.push(Family::level(
            "process_max_fds",
            "File descriptors that may be open",
            [],
            level(most),
        ));
    }
    if let Some(kilobytes) = resident() {
        families.push(Family::level(
            "process_resident_memory_bytes",
            "Memory that is in use",
            [],
            level(kilobytes.saturating_mul(1_024)),
        ));
    }
    families
}

/// In kilobytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
