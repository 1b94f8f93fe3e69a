//! What waits for a group: a line for each caller, and the lines take turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::id::CallerId;
use crate::turns::Turns;

/// Whose it is; nobody's is what the service does by itself.
pub(super) type Who = Option<CallerId>;

type Lines<T> = Arc<Mutex<Turns<Who, T>>>;

/// A queue with room for things that are so much together, and as much again for those who have less in
/// it than others.
pub(super) fn queue<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let lines: Lines<T> = Arc::new(Mutex::new(Turns::new(room.max(1))));
    // It rings once for each thing, and says when one end is gone.
    let (ring, bell) = mpsc::unbounded_channel();
    let sender = Sender {
        lines: lines.clone(),
        ring,
    };
    (sender, Receiver { lines, bell })
}

/// The way in. Cheap to clone.
pub(super) struct Sender<T> {
    lines: Lines<T>,
    ring: mpsc::UnboundedSender<()>,
}

/// A way in that does not keep the queue open.
pub(super) struct Reminder<T> {
    lines: Lines<T>,
    ring: mpsc::WeakUnboundedSender<()>,
}

/// The way out.
pub(super) struct Receiver<T> {
    lines: Lines<T>,
    bell: mpsc::UnboundedReceiver<()>,
}

/// Nothing was put in: this caller has no room, or nobody takes it out any more.
#[derive(Debug)]
pub(super) struct NoRoom;

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            lines: self.lines.clone(),
            ring: self.ring.clone(),
        }
    }
}

impl<T> Sender<T> {
    /// Puts something new in, which counts as so much, where there is room for one more of this caller's.
    pub(super) fn try_send(&self, who: Who, thing: T, weight: u64) -> Result<(), NoRoom> {
        let mut lines = lock(&self.lines);
        if !lines.has_room(who) {
            return Err(NoRoom);
        }
        self.ring.send(()).map_err(|_| NoRoom)?;
        lines.push(who, thing, weight);
        Ok(())
    }

    /// Puts in what ends something that got in before: there is room for that.
    pub(super) fn send(&self, who: Who, thing: T) -> Result<(), NoRoom> {
        let mut lines = lock(&self.lines);
        self.ring.send(()).map_err(|_| NoRoom)?;
        lines.push(who, thing, 1);
        Ok(())
    }

    /// Whether somebody takes things out.
    pub(super) fn is_open(&self) -> bool {
        !self.ring.is_closed()
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> u64 {
        lock(&self.lines).waiting()
    }

    pub(super) fn downgrade(&self) -> Reminder<T> {
        Reminder {
            lines: self.lines.clone(),
            ring: self.ring.downgrade(),
        }
    }
}

impl<T> Reminder<T> {
    /// The way in, while others have it too.
    pub(super) fn upgrade(&self) -> Option<Sender<T>> {
        Some(Sender {
            lines: self.lines.clone(),
            ring: self.ring.upgrade()?,
        })
    }
}

impl<T> Receiver<T> {
    /// The thing whose turn it is. `None`: there is none, and nobody can send another.
    pub(super) async fn recv(&mut self) -> Option<T> {
        self.bell.recv().await?;
        self.take()
    }

    /// The same, if there is one now.
    pub(super) fn try_recv(&mut self) -> Option<T> {
        self.bell.try_recv().ok()?;
        self.take()
    }

    fn take(&self) -> Option<T> {
        lock(&self.lines).pop().map(|(_, thing)| thing)
    }
}

fn lock<T>(lines: &Lines<T>) -> MutexGuard<'_, Turns<Who, T>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
