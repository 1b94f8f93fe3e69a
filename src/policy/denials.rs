//! Denials, on record: a leaf each up to a bound for each caller, and beyond it one leaf a minute
//! that counts the rest. Leaves and counts together are the refusals.
//!
//! # Why
//! A denial is the cheapest thing to cause. Without a bound it fills the log, and one bound for all
//! lets one caller hide what another tries. Nobody waits for these leaves: a caller who is refused
//! learns nothing from their being durable.

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

/// Where denials are left. Once it is dropped, the rest is written.
pub(super) struct Denials {
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
    waiting: Vec<leaf::Denial>,
    /// That have been.
    written: u32,
    /// That are only counted.
    more: u64,
}

impl Denials {
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
    pub(super) fn note(&self, caller: CallerId, action: Action, resource: &Resource) {
        let mut callers = self.shared.lock();
        let count = callers.entry(caller).or_default();
        let known = usize::try_from(count.written).unwrap_or(usize::MAX);
        let each = usize::try_from(self.each).unwrap_or(usize::MAX);
        if known.saturating_add(count.waiting.len()) >= each {
            count.more += 1;
            return;
        }
        count.waiting.push(leaf::Denial {
            caller: caller.uuid(),
            action: action.name().to_owned(),
            resource: resource.to_string(),
        });
        drop(callers);
        self.shared.news.notify_one();
    }
}

impl Drop for Denials {
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
    fn waiting(&self) -> Vec<leaf::Denial> {
        let mut all = Vec::new();
        for count in self.lock().values_mut() {
            count.written += u32::try_from(count.waiting.len()).unwrap_or(u32::MAX);
            all.append(&mut count.waiting);
        }
        all
    }

    /// The counts, which begin anew.
    fn counts(&self) -> Vec<leaf::Denials> {
        let mut counts = Vec::new();
        self.lock().retain(|caller, count| {
            if count.more > 0 {
                let (caller, refusals) = (caller.uuid(), count.more);
                counts.push(leaf::Denials { caller, refusals });
            }
            (count.written, count.more) = (0, 0);
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
        let mut events: Vec<_> = shared.waiting().into_iter().map(Event::Denied).collect();
        if is_last || Instant::now() >= next {
            events.extend(shared.counts().into_iter().map(Event::Denials));
            next = Instant::now() + every;
        }
        while !events.is_empty()
            && let Err(error) = put(&events, &log).await
        {
            let left = events.len();
            tracing::warn!(%error, left, "denials are not on record");
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
mod tests {
    use super::*;

    #[test]
    fn leaves_and_counts_together_are_the_refusals_of_each_caller() {
        let shared = Arc::new(Shared {
            callers: Mutex::default(),
            closed: AtomicBool::new(false),
            news: Notify::new(),
        });
        let denials = Denials {
            shared: Arc::clone(&shared),
            each: 3,
        };
        let (loud, quiet) = (CallerId::new(), CallerId::new());
        let refuse = |who| denials.note(who, Action::CreateKey, &Resource::service());
        (0..120).for_each(|_| refuse(loud));
        refuse(quiet);
        let of = |who: CallerId, all: &[leaf::Denial]| {
            all.iter().filter(|it| it.caller == who.uuid()).count()
        };
        let leaves = shared.waiting();
        assert_eq!((of(loud, &leaves), of(quiet, &leaves)), (3, 1));
        (0..5).for_each(|_| refuse(loud)); // in the same minute
        assert!(shared.waiting().is_empty());
        let counts = shared.counts();
        let rest = leaf::Denials {
            caller: loud.uuid(),
            refusals: 122,
        };
        assert_eq!(counts, [rest]);
        refuse(loud);
        assert_eq!(of(loud, &shared.waiting()), 1, "a new minute");
        assert!(shared.counts().is_empty());
    }
}
