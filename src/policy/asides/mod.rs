//! What was asked and came to nothing, on record: denials and dry runs, a leaf each up to a bound for each
//! caller, and beyond it one leaf a minute that counts the rest. Leaves and counts together are all of them.
//!
//! # Why
//! Nothing is cheaper to cause. Without a bound it fills the log, and one bound for all lets one caller hide
//! what another tries. Nobody waits for these leaves: a caller learns nothing from their being durable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::TaskTracker;

use super::{Action, Resource, Settings};
use crate::audit::{Author, Event, Log, leaf};
use crate::id::CallerId;
use crate::ledger::{Gate, LedgerError};

/// How long nothing is tried after the log did not take it.
const AGAIN: Duration = Duration::from_secs(1);

/// Where they are left. Once it is dropped, the rest is written.
pub(super) struct Asides {
    shared: Arc<Shared>,
    each: u32,
}

struct Shared {
    callers: Mutex<HashMap<CallerId, Count>>,
    /// Nobody is left to leave anything.
    closed: AtomicBool,
    /// There is something to write, or it is closed.
    news: Notify,
}

/// Of one caller, since the last count.
#[derive(Default)]
struct Count {
    /// That are to be written one by one.
    waiting: Vec<Event>,
    /// That have been.
    written: u32,
    /// Denials that are only counted.
    denials: u64,
    /// Dry runs that are only counted.
    dry_runs: u64,
}

impl Asides {
    /// Writes to the log, as a task that a shutdown waits for.
    pub(super) fn start(settings: &Settings, log: Log, tasks: &TaskTracker) -> Self {
        let shared = Arc::new(Shared {
            callers: Mutex::default(),
            closed: AtomicBool::new(false),
            news: Notify::new(),
        });
        let every = Duration::from_secs(settings.denials_counted_every_s.get());
        tasks.spawn(write(Arc::clone(&shared), log, every));
        Self {
            shared,
            each: settings.denials_each.get(),
        }
    }

    /// A caller was refused.
    pub(super) fn denied(&self, caller: CallerId, action: Action, resource: &Resource) {
        let denial = leaf::Denial {
            caller: caller.uuid(),
            action: action.name().to_owned(),
            resource: resource.to_string(),
        };
        self.leave(caller, Event::Denied(denial), |count| &mut count.denials);
    }

    /// A caller was told what would be signed.
    pub(super) fn tried(
        &self,
        caller: CallerId,
        (action, resource): (Action, &Resource),
        digest: [u8; 32],
    ) {
        let run = leaf::DryRun {
            caller: caller.uuid(),
            action: action.name().to_owned(),
            resource: resource.to_string(),
            digest,
        };
        self.leave(caller, Event::DryRun(run), |count| &mut count.dry_runs);
    }

    fn leave(&self, caller: CallerId, event: Event, more: impl FnOnce(&mut Count) -> &mut u64) {
        let mut callers = self.shared.lock();
        let count = callers.entry(caller).or_default();
        let known = usize::try_from(count.written).unwrap_or(usize::MAX);
        let each = usize::try_from(self.each).unwrap_or(usize::MAX);
        if known.saturating_add(count.waiting.len()) >= each {
            *more(count) += 1;
            return;
        }
        count.waiting.push(event);
        drop(callers);
        self.shared.news.notify_one();
    }
}

impl Drop for Asides {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.news.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CallerId, Count>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written one by one.
    fn waiting(&self) -> Vec<Event> {
        let mut all = Vec::new();
        for count in self.lock().values_mut() {
            count.written += u32::try_from(count.waiting.len()).unwrap_or(u32::MAX);
            all.append(&mut count.waiting);
        }
        all
    }

    /// The counts, which begin anew.
    fn counts(&self) -> Vec<Event> {
        let mut counts = Vec::new();
        self.lock().retain(|caller, count| {
            let caller = caller.uuid();
            let (refusals, runs) = (count.denials, count.dry_runs);
            let denials = Event::Denials(leaf::Denials { caller, refusals });
            let dry_runs = Event::DryRuns(leaf::DryRuns { caller, runs });
            counts.extend((refusals > 0).then_some(denials));
            counts.extend((runs > 0).then_some(dry_runs));
            (count.written, count.denials, count.dry_runs) = (0, 0, 0);
            !count.waiting.is_empty()
        });
        counts
    }
}

/// Writes what was left, until nobody is there to leave anything.
async fn write(shared: Arc<Shared>, log: Log, every: Duration) {
    let mut next = Instant::now() + every;
    loop {
        let is_last = shared.closed.load(Ordering::Acquire);
        let mut events = shared.waiting();
        if is_last || Instant::now() >= next {
            events.extend(shared.counts());
            next = Instant::now() + every;
        }
        while !events.is_empty()
            && let Err(error) = put(&events, &log).await
        {
            let left = events.len();
            tracing::warn!(%error, left, "denials and dry runs are not on record");
            if shared.closed.load(Ordering::Acquire) {
                break; // the shutdown waits
            }
            // Where it is not known what became of them they may stand there twice, and never not.
            sleep(AGAIN).await;
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = shared.news.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

async fn put(events: &[Event], log: &Log) -> Result<(), LedgerError> {
    let mut change = log.begin(Gate::Shared, &Author::service()).await?;
    for event in events {
        change.add(event.clone());
    }
    change.commit().await.map(|_| ())
}

#[cfg(test)]
mod tests;
