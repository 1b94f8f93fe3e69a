//! How far a copy is behind, in leaves and in time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sizes are remembered so far apart. It bounds how many there are while a copy is away.
const APART: Duration = Duration::from_secs(1);

/// So many at most: of more, every other one is forgotten.
const MOST: usize = 512;

/// What this replica knows of a copy.
pub(super) struct Progress {
    /// All that had its place before this is in the copy.
    covered: Instant,
    /// How large the log was when, beyond that.
    sizes: VecDeque<(Instant, u64)>,
    size: u64,
    next: u64,
    /// What is wrong, if something is.
    pub(super) trouble: Option<String>,
    /// Whether somebody was told that it is late.
    pub(super) was_late: bool,
}

impl Progress {
    /// From now on.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            covered: now,
            sizes: VecDeque::new(),
            size: 0,
            next: 0,
            trouble: None,
            was_late: false,
        }
    }

    /// The log has so many leaves.
    pub(super) fn grown(&mut self, size: u64, now: Instant) {
        self.size = size;
        let is_new = self.sizes.back().is_none_or(|it| now - it.0 >= APART);
        if is_new {
            self.sizes.push_back((now, size));
        }
        if self.sizes.len() > MOST {
            let mut is_kept = false;
            self.sizes.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
    }

    /// The copy has all before this one.
    pub(super) fn copied(&mut self, next: u64) {
        self.next = next;
        while let Some((at, _)) = self.sizes.pop_front_if(|it| it.1 <= next) {
            self.covered = at;
        }
    }

    /// How old it is what the copy has.
    pub(super) fn covered(&self) -> Instant {
        self.covered
    }

    /// How many leaves it does not have.
    pub(super) fn behind(&self) -> u64 {
        self.size.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests;
