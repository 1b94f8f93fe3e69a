//! The jobs that wait for a worker: a line for each caller, and the lines take turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use crate::custody::CustodyError;
use crate::id::CallerId;
use crate::turns::Turns;

/// Whose it is; nobody's is what the service does by itself.
pub(super) type Who = Option<CallerId>;

type Lines<T> = Arc<Mutex<Turns<Who, T>>>;

/// A queue with room for so many jobs, and as many again of those who have less in it than others.
pub(super) fn queue<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let lines: Lines<T> = Arc::new(Mutex::new(Turns::new(room)));
    // It rings once for each job, and says when nobody can send another.
    let (ring, bell) = crossbeam_channel::unbounded();
    let sender = Sender {
        lines: lines.clone(),
        ring,
    };
    (sender, Receiver { lines, bell })
}

/// The way in.
pub(super) struct Sender<T> {
    lines: Lines<T>,
    ring: crossbeam_channel::Sender<()>,
}

/// The way out, which the workers share.
pub(super) struct Receiver<T> {
    lines: Lines<T>,
    bell: crossbeam_channel::Receiver<()>,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self {
            lines: self.lines.clone(),
            bell: self.bell.clone(),
        }
    }
}

impl<T> Sender<T> {
    /// Puts a job in, where there is room for one more of this caller's.
    pub(super) fn try_send(&self, who: Who, job: T) -> Result<(), CustodyError> {
        let mut lines = lock(&self.lines);
        if !lines.has_room(who) {
            return Err(CustodyError::Busy);
        }
        let gone = |_| CustodyError::Unavailable("no worker is left".into());
        self.ring.send(()).map_err(gone)?;
        lines.push(who, job, 1);
        Ok(())
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> u64 {
        lock(&self.lines).waiting()
    }

    /// Whether this caller is to come with more. The last quarter is for those who were told so before.
    pub(super) fn is_ready_for(&self, who: Who) -> bool {
        let lines = lock(&self.lines);
        lines.has_room_within(who, lines.capacity() - lines.capacity() / 4)
    }
}

impl<T> Receiver<T> {
    /// The job whose turn it is, waiting for one until then.
    pub(super) fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.bell.recv_deadline(deadline)?;
        let (_, job) = lock(&self.lines).pop().expect("it rang once for each job");
        Ok(job)
    }
}

fn lock<T>(lines: &Lines<T>) -> MutexGuard<'_, Turns<Who, T>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
