//! How much one caller may have under way, and whose turn it is.
//!
//! A caller is known before anything of their body is read, and has a share: of requests, of bytes that
//! wait in memory, and of the work itself. Work is begun in turns (P11): a caller who is alone may have
//! as much of it as the service does at a time; where there are others it is little at a time, so that
//! nobody stands behind what one of them sent. Who has little under way never waits for those who have much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::problem::Problem;
use crate::id::CallerId;
use crate::signing::Held;
use crate::turns::Turns;

/// So many calls are worked on at a time for a caller who is alone.
const ALONE: u64 = 256;

/// So long after a call its caller still counts as there. Who calls from time to time is spared the wait
/// for all that somebody else began alone.
const THERE: Duration = Duration::from_secs(10);

/// So long a call waits for its turn. It has to be worked on after that, in the time that a request has.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many requests every caller may have under way, however busy the service is.
const ALWAYS: usize = 4;

/// Nobody in particular has a share, too.
type Who = Option<CallerId>;

/// The shares of all callers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Admission(Arc<Inner>);

struct Inner {
    requests: usize,
    requests_of_one: usize,
    bytes_of_one: usize,
    /// How many calls are worked on at a time where there is more than one caller, and how many of each
    /// however many there are of others.
    together: u64,
    of_each: u64,
    there: Duration,
    shares: Mutex<Shares>,
}

struct Shares {
    of: HashMap<Who, Share>,
    requests: usize,
    /// Calls that are worked on.
    working: u64,
    turns: Turns<Who, Waiting>,
    /// The two who came last, and when.
    last: [(Who, Option<Instant>); 2],
}

/// What one caller has under way.
#[derive(Default)]
struct Share {
    requests: usize,
    bytes: usize,
    working: u64,
}

struct Waiting {
    calls: u64,
    tell: oneshot::Sender<Work>,
}

/// A request that has its place; the clones of one share it.
#[derive(Clone)]
pub(super) struct Admitted(Arc<Place>);

struct Place {
    admission: Admission,
    who: Who,
    bytes: Mutex<usize>,
    work: Mutex<Option<Work>>,
}

/// Calls that are worked on, until this is dropped.
pub(super) struct Work {
    admission: Admission,
    who: Who,
    calls: u64,
}

impl Admission {
    pub(super) fn new(settings: &super::Settings) -> Self {
        Self::lasting(settings, THERE)
    }

    fn lasting(settings: &super::Settings, there: Duration) -> Self {
        let cores = available_parallelism().map_or(1, |it| it.get() as u64);
        let together = u64::from(settings.calls_per_core) * cores;
        Self(Arc::new(Inner {
            together,
            of_each: (together / 3).max(1),
            there,
            requests: settings.concurrent_requests,
            requests_of_one: settings.requests_per_caller,
            bytes_of_one: settings.body_bytes_per_caller,
            shares: Mutex::new(Shares {
                of: HashMap::new(),
                requests: 0,
                working: 0,
                turns: Turns::new(usize::MAX),
                last: [(None, None); 2],
            }),
        }))
    }

    /// A place for a request, or whose limit there is none for.
    pub(super) fn enter(&self, who: Who) -> Result<Admitted, Problem> {
        let mut shares = self.lock();
        let total = shares.requests;
        let share = shares.of.entry(who).or_default();
        let refused = if share.requests >= self.0.requests_of_one {
            let most = self.0.requests_of_one;
            Some(Problem::too_much(format!(
                "you have {most} requests under way, the limit of one caller ([http] requests_per_caller)"
            )))
        } else if total >= self.0.requests && share.requests >= ALWAYS {
            Some(Problem::busy())
        } else {
            None
        };
        if let Some(refused) = refused {
            return Err(refused);
        }
        share.requests += 1;
        shares.requests += 1;
        drop(shares);
        Ok(Admitted(Arc::new(Place {
            admission: self.clone(),
            who,
            bytes: Mutex::default(),
            work: Mutex::default(),
        })))
    }

    /// Waits until it is this caller's turn to have so many calls worked on, but not too long.
    async fn turn(&self, who: Who, calls: u64) -> Result<Work, Problem> {
        let told = {
            let mut shares = self.lock();
            let now = Instant::now();
            shares.is_there(who, now);
            if shares.begins_at_once(who, &self.0, now) {
                return Ok(self.working(&mut shares, who, calls));
            }
            let (tell, told) = oneshot::channel();
            shares.turns.push(who, Waiting { calls, tell }, calls);
            told
        };
        self.pass_on(who);
        match timeout(PATIENCE, told).await {
            Ok(told) => Ok(told.expect("whoever waits is told, since this holds the line")),
            Err(_) => Err(Problem::too_much(
                "so much of yours is under way that it was not this one's turn in time".into(),
            )),
        }
    }

    /// Lets those begin whose turn it is; `who` came or went.
    fn pass_on(&self, who: Who) {
        loop {
            let (waiting, work) = {
                let mut shares = self.lock();
                let Some((next, waiting)) = shares.next(who, &self.0, Instant::now()) else {
                    return;
                };
                let work = self.working(&mut shares, next, waiting.calls);
                (waiting, work)
            };
            // Who does not wait any more gives it back at once.
            drop(waiting.tell.send(work));
        }
    }

    fn working(&self, shares: &mut Shares, who: Who, calls: u64) -> Work {
        shares.working += calls;
        shares.of.entry(who).or_default().working += calls;
        Work {
            admission: self.clone(),
            who,
            calls,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.0.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    /// Whether nobody is in line, and a call of `who`'s would be the next to leave it.
    fn begins_at_once(&self, who: Who, limits: &Inner, now: Instant) -> bool {
        self.turns.waiting() == 0
            && (self.has_little(who, limits) || self.has_room(who, limits, now))
    }

    fn has_little(&self, who: Who, limits: &Inner) -> bool {
        let own = self.of.get(&who);
        own.is_none_or(|it| it.working < limits.of_each)
    }

    fn has_room(&self, who: Who, limits: &Inner, now: Instant) -> bool {
        let most = if self.is_alone(who, now, limits.there) {
            ALONE
        } else {
            limits.together
        };
        self.working < most
    }

    /// Takes the next out of the line, if it may begin: one of `who`'s that waits though they have little
    /// under way, or whose turn it is.
    fn next(&mut self, who: Who, limits: &Inner, now: Instant) -> Option<(Who, Waiting)> {
        if self.has_little(who, limits)
            && let Some(waiting) = self.turns.pop_of(who)
        {
            return Some((who, waiting));
        }
        let (next, _) = self.turns.peek()?;
        if self.has_room(next, limits, now) {
            self.turns.pop()
        } else {
            None
        }
    }

    fn is_there(&mut self, who: Who, now: Instant) {
        if self.last[0].0 != who {
            self.last.swap(0, 1);
        }
        self.last[0] = (who, Some(now));
    }

    /// Whether nobody else has called for a while.
    fn is_alone(&self, who: Who, now: Instant, there: Duration) -> bool {
        let others = self.last.iter().filter(|(other, _)| *other != who);
        let mut others = others.filter_map(|(_, at)| *at);
        others.all(|at| now.saturating_duration_since(at) > there)
    }

    /// Forgets a caller who has nothing under way.
    fn forget(&mut self, who: Who) {
        if self
            .of
            .get(&who)
            .is_some_and(|it| it.requests == 0 && it.working == 0)
        {
            self.of.remove(&who);
        }
    }
}

impl Admitted {
    /// Counts bytes that wait in memory until the request ends.
    pub(super) fn keep(&self, bytes: usize) -> Result<(), Problem> {
        let most = self.0.admission.0.bytes_of_one;
        let mut shares = self.0.admission.lock();
        let share = shares.of.entry(self.0.who).or_default();
        if share.bytes + bytes > most {
            return Err(Problem::too_much(format!(
                "the bodies of your requests under way have more than {most} bytes, the limit of one caller ([http] body_bytes_per_caller)"
            )));
        }
        share.bytes += bytes;
        drop(shares);
        *self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
        Ok(())
    }

    /// Waits until it is the request's turn to be worked on. It counts as so many calls.
    pub(super) async fn begin(&self, calls: usize) -> Result<(), Problem> {
        drop(self.work().take());
        let calls = u64::try_from(calls).unwrap_or(ALONE);
        let work = self.0.admission.turn(self.0.who, calls).await?;
        *self.work() = Some(work);
        Ok(())
    }

    /// Waits until it is the turn of one of its calls, which ends by itself. The first has the request's
    /// own.
    pub(super) async fn one_more(&self) -> Result<Work, Problem> {
        let own = self.work().take();
        match own {
            Some(work) => Ok(work),
            None => self.0.admission.turn(self.0.who, 1).await,
        }
    }

    /// The place, for work that outlives the request: it is given back when both are over.
    pub(super) fn held(&self) -> Held {
        Held::new(self.0.clone())
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut shares = self.admission.lock();
        shares.requests -= 1;
        if let Some(share) = shares.of.get_mut(&self.who) {
            share.requests -= 1;
            share.bytes -= bytes;
        }
        shares.forget(self.who);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut shares = self.admission.lock();
        shares.working -= self.calls;
        if let Some(share) = shares.of.get_mut(&self.who) {
            share.working -= self.calls;
        }
        shares.forget(self.who);
        let somebody_waits = shares.turns.waiting() > 0;
        drop(shares);
        if somebody_waits {
            self.admission.pass_on(self.who);
        }
    }
}

#[cfg(test)]
mod tests;
