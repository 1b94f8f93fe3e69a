//! Memory holds PINs, tokens and opened secrets: it is kept off the disk where the host lets us (P1).

use std::path::Path;

/// What becomes of memory that is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// It is locked.
    Locked,
    /// There is nowhere to swap to.
    NoSwap,
    /// Nothing keeps it off the disk.
    MaySwap,
}

impl Memory {
    /// Locks all that there is and comes to be, where that has no limit. Where it has one, memory beyond it would be
    /// refused, and the process end there.
    pub(super) fn lock() -> Self {
        #[cfg(target_os = "linux")]
        if is_unlimited() {
            use rustix::mm::MlockAllFlags;
            // Pages as they come into use: what is only reserved takes no room.
            let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
            if rustix::mm::mlockall(all).is_ok() {
                return Self::Locked;
            }
        }
        if is_without_swap() {
            Self::NoSwap
        } else {
            Self::MaySwap
        }
    }

    /// In a line.
    pub(super) fn said(self) -> &'static str {
        match self {
            Self::Locked => "it is locked",
            Self::NoSwap => "it cannot be locked here, and there is no swap",
            Self::MaySwap => {
                "it cannot be locked here, and may be swapped to disk, with secrets in it"
            }
        }
    }
}

/// Whether as much may be locked as anybody wants.
#[cfg(target_os = "linux")]
fn is_unlimited() -> bool {
    use rustix::process::{Resource, getrlimit};
    use rustix::thread::{CapabilitySet, capabilities};
    let may = capabilities(None).is_ok_and(|it| it.effective.contains(CapabilitySet::IPC_LOCK));
    may || getrlimit(Resource::Memlock).current.is_none()
}

/// Whether the host has no swap, or this process none of it (`MemorySwapMax=0`).
fn is_without_swap() -> bool {
    #[cfg(target_os = "linux")]
    if rustix::system::sysinfo().totalswap == 0 {
        return true;
    }
    let read = |file: &Path| std::fs::read_to_string(file).unwrap_or_default();
    let groups = read(Path::new("/proc/self/cgroup"));
    let Some(own) = groups.lines().find_map(|it| it.strip_prefix("0::/")) else {
        return false;
    };
    let most = Path::new("/sys/fs/cgroup")
        .join(own)
        .join("memory.swap.max");
    read(&most).trim() == "0"
}
