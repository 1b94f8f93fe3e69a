//! Spans that have ended, until somebody takes them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Ended;
use crate::metrics::SPANS_LOST;

/// So many wait at most: some megabytes.
pub(super) const CAPACITY: usize = 8192;

static WAITING: Mutex<VecDeque<Ended>> = Mutex::new(VecDeque::new());

/// Those that have waited for longest, at most so many.
pub fn take(at_most: usize) -> Vec<Ended> {
    let mut waiting = lock();
    let taken = waiting.len().min(at_most);
    waiting.drain(..taken).collect()
}

/// Takes a span, or counts it as lost where there is no room.
pub(super) fn put(ended: Ended) {
    let mut waiting = lock();
    if waiting.len() < CAPACITY {
        waiting.push_back(ended);
    } else {
        drop(waiting);
        SPANS_LOST.count();
    }
}

fn lock() -> MutexGuard<'static, VecDeque<Ended>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}
