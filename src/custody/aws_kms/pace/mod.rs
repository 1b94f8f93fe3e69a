//! So many signatures a second, and no caller's flood before another's single one.
//!
//! KMS counts an account's requests, ours and everybody else's, and refuses what is too much. Below
//! that quota we wait for our turn: each caller has a line of their own, and the lines take turns. Who
//! would not come to their turn in time is told at once, with the time that it takes: before their
//! intent, for that is when they take their place. Nobody is sent away who has one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::custody::CustodyError;
use crate::custody::turn::Told;
use crate::id::CallerId;
use crate::metrics::Counter;
use crate::turns::Turns;

/// The longest pause after KMS said that it was too much.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Tell = oneshot::Sender<Result<(), CustodyError>>;
/// So often in a row KMS said that it was too much, and newcomers are told so.
const TOO_MUCH: u32 = 4;

/// The pace of one kind of key.
pub(super) struct Pace {
    interval: Duration,
    /// How far ahead of its time a turn may come: a burst after a quiet while.
    allowance: Duration,
    lines: Mutex<Lines>,
    /// How often KMS said that it was too much.
    throttled: Counter,
    /// Held by the one among those who wait that watches the clock for all.
    watch: tokio::sync::Mutex<()>,
}

struct Lines {
    /// When the next turn is due.
    next: Instant,
    /// How often in a row KMS said that it was too much.
    slowed: u32,
    /// Who waits.
    turns: Turns<CallerId, Tell>,
}

impl Pace {
    pub(super) fn new(per_second: u32, queue: usize) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            allowance: interval * (per_second / 10),
            throttled: Counter::new(),
            lines: Mutex::new(Lines {
                next: Instant::now(),
                slowed: 0,
                turns: Turns::new(queue),
            }),
            watch: tokio::sync::Mutex::new(()),
        }
    }

    /// Takes a place in this caller's line, or says at once that none comes to its turn before
    /// `deadline`. It is given back by dropping it.
    pub(super) fn reserve(
        &self,
        caller: CallerId,
        deadline: Instant,
    ) -> Result<Told, CustodyError> {
        let place = self.join(caller, deadline, Instant::now())?;
        Ok(place.unwrap_or_else(|| {
            let (tell, told) = oneshot::channel();
            drop(tell.send(Ok(())));
            told
        }))
    }

    /// Waits for a turn of this caller's, or says at once that there is none before `deadline`.
    pub(super) async fn turn(
        &self,
        caller: CallerId,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let told = self.reserve(caller, deadline)?;
        self.redeem(told, deadline).await
    }

    /// Waits for another turn, in front of this caller's line: for one that has an intent and whom KMS
    /// turned away.
    pub(super) async fn turn_again(
        &self,
        caller: CallerId,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let (tell, told) = oneshot::channel();
        self.lock().turns.push_front(caller, tell, 1);
        self.redeem(told, deadline).await
    }

    /// Waits for the turn of a place.
    pub(super) async fn redeem(
        &self,
        mut told: Told,
        deadline: Instant,
    ) -> Result<(), CustodyError> {
        let throttled = || CustodyError::Throttled {
            retry_after: LONGEST_PAUSE,
        };
        let wait = async {
            let watching = tokio::select! {
                biased;
                turn = &mut told => return turn.unwrap_or_else(|_| Err(throttled())),
                watching = self.watch.lock() => watching,
            };
            loop {
                let next = self.advance(Instant::now());
                if let Ok(turn) = told.try_recv() {
                    drop(watching);
                    return turn;
                }
                sleep_until(next).await;
            }
        };
        timeout_at(deadline, wait).await.unwrap_or(Err(throttled()))
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.lock().turns.waiting()
    }

    /// How often KMS said that it was too much.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.value()
    }

    /// KMS says that it is too much: everybody waits a while.
    pub(super) fn slow_down(&self) {
        self.throttled.count();
        let mut lines = self.lock();
        let pause = Duration::from_millis(50) * 2_u32.saturating_pow(lines.slowed.min(5));
        lines.slowed += 1;
        // Many are turned away at once, and they do not each add a pause.
        lines.next = lines.next.max(Instant::now() + pause.min(LONGEST_PAUSE));
    }

    /// KMS takes what it is given.
    pub(super) fn go_on(&self) {
        self.lock().slowed = 0;
    }

    /// Joins the line, unless there is none. `None`: it is this one's turn already.
    fn join(
        &self,
        caller: CallerId,
        deadline: Instant,
        now: Instant,
    ) -> Result<Option<Told>, CustodyError> {
        let mut lines = self.lock();
        if lines.turns.is_empty() && self.take(&mut lines, now) {
            return Ok(None);
        }
        if !lines.turns.has_room(caller) {
            lines.turns.retain(|tell| !tell.is_closed()); // who hung up takes nobody's place
        }
        let ahead = lines.turns.ahead_of(caller);
        let wait = lines.next.saturating_duration_since(now)
            + self.interval * u32::try_from(ahead).unwrap_or(u32::MAX);
        let throttled = CustodyError::Throttled { retry_after: wait };
        let is_full = !lines.turns.has_room(caller);
        let is_too_much = lines.slowed >= TOO_MUCH && lines.next > now;
        if now + wait > deadline || is_full || is_too_much {
            return Err(throttled);
        }
        let (tell, told) = oneshot::channel();
        lines.turns.push(caller, tell, 1);
        Ok(Some(told))
    }

    /// Gives out the turns that are due; says when the next one is.
    fn advance(&self, now: Instant) -> Instant {
        let mut lines = self.lock();
        while lines.next <= now
            && let Some((_, tell)) = lines.turns.pop()
        {
            // Who is gone leaves their turn to another.
            if tell.send(Ok(())).is_ok() {
                self.take(&mut lines, now);
            }
        }
        lines.next
    }

    /// Takes a turn, if one is due.
    fn take(&self, lines: &mut Lines, now: Instant) -> bool {
        if lines.next > now {
            return false;
        }
        let earliest = now.checked_sub(self.allowance).unwrap_or(now);
        lines.next = lines.next.max(earliest) + self.interval;
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
