//! Threads that work at a token, and threads that are lost in a call that does not come back.
//!
//! A call cannot be cancelled. So its thread is given up and another takes its place, up to a number, for
//! each lost thread keeps a session and a stack. A thread that comes back after all finds its place taken,
//! and ends.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The threads of one backend.
pub(super) struct Crew {
    places: Mutex<Places>,
    /// Signalled when a thread has left.
    left: Condvar,
    /// How many threads may be lost at a time.
    most_lost: usize,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Place>,
    /// Of those who have a place, or had one and may not have ended yet.
    threads: BTreeMap<u64, JoinHandle<()>>,
}

#[derive(Default)]
struct Place {
    /// When the thread's call should be back. `None`: it is in no call.
    back_by: Option<Instant>,
    lost: bool,
}

impl Crew {
    pub(super) fn new(most_lost: usize) -> Self {
        Self {
            places: Mutex::default(),
            left: Condvar::new(),
            most_lost,
        }
    }

    /// Gives a place to one more thread, and says its number.
    pub(super) fn join(&self) -> u64 {
        let mut places = self.places();
        places.next += 1;
        let number = places.next;
        places.taken.insert(number, Place::default());
        number
    }

    /// Keeps the thread that has this place.
    pub(super) fn keep(&self, number: u64, thread: JoinHandle<()>) {
        let mut places = self.places();
        places.threads.retain(|_, thread| !thread.is_finished());
        places.threads.insert(number, thread);
    }

    /// Records that a thread goes into a call, or is back from it.
    pub(super) fn is_inside(&self, number: u64, back_by: Option<Instant>) {
        if let Some(place) = self.places().taken.get_mut(&number) {
            place.back_by = back_by;
        }
    }

    /// Gives up threads that should be back by now. Returns how many are to be replaced.
    pub(super) fn give_up(&self, now: Instant) -> usize {
        let mut places = self.places();
        let lost = places.taken.values().filter(|place| place.lost).count();
        let late = places
            .taken
            .values_mut()
            .filter(|place| !place.lost && place.back_by.is_some_and(|back_by| back_by <= now));
        let mut given_up = 0;
        for place in late.take(self.most_lost.saturating_sub(lost)) {
            place.lost = true;
            given_up += 1;
        }
        given_up
    }

    /// Records that a thread ends: it has no work any more.
    pub(super) fn leave(&self, number: u64) {
        self.places().taken.remove(&number);
        self.left.notify_all();
    }

    /// Waits until all threads have left but the lost ones, no longer than `patience`, and until those who left
    /// have ended: what a thread holds may call the module when it is dropped, and a library's own ends of a
    /// thread do not go with the end of the process.
    pub(super) fn see_off(&self, patience: Duration) {
        let is_here = |places: &mut Places| places.taken.values().any(|place| !place.lost);
        let waited = self
            .left
            .wait_timeout_while(self.places(), patience, is_here);
        let (mut places, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Places { taken, threads, .. } = &mut *places;
        let left = threads.extract_if(.., |number, thread| {
            !taken.contains_key(number) && thread.thread().id() != thread::current().id()
        });
        let left: Vec<_> = left.collect();
        drop(places);
        for (_, thread) in left {
            drop(thread.join());
        }
    }

    /// Whether another thread has this one's place. Then it ends.
    pub(super) fn is_replaced(&self, number: u64) -> bool {
        let places = self.places();
        places.taken.get(&number).is_none_or(|place| place.lost)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
