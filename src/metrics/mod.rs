//! Numbers for whoever watches the service: how often, how long, how many.
//!
//! What is counted has its place before the first request comes: counting is an atomic addition, which waits
//! for nobody and allocates nothing, so that it may stand on the way of a signature. What can be looked up
//! instead is not counted but looked up when somebody asks. A label says a word of a closed list or a name that
//! an operator gave, never what a caller has chosen.
//!
//! # Why
//! Prometheus' own library keeps its histograms and its families behind locks. It writes down what is here
//! (`page.rs`); the numbers are ours.

mod histogram;
mod page;
mod process;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use histogram::{Histogram, Spread};
pub use page::{CONTENT_TYPE, Family, Labels, text};

/// How often something happened.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One that has counted nothing.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// It happened.
    pub fn count(&self) {
        self.add(1);
    }

    /// It happened so often.
    pub fn add(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    /// How often it has happened.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are of something that comes and goes.
#[derive(Debug, Default)]
pub struct Present {
    came: Counter,
    went: Counter,
}

impl Present {
    /// One came.
    pub fn comes(&self) {
        self.came.count();
    }

    /// One went.
    pub fn goes(&self) {
        self.went.count();
    }

    /// How many there are.
    pub fn value(&self) -> u64 {
        let went = self.went.value(); // first, or there would be fewer than none
        self.came.value().saturating_sub(went)
    }
}

/// How often what was asked was known already.
#[derive(Debug, Default)]
pub struct Cache {
    hits: Counter,
    misses: Counter,
}

impl Cache {
    const fn new() -> Self {
        Self {
            hits: Counter::new(),
            misses: Counter::new(),
        }
    }

    /// Whether it was.
    pub fn asked(&self, is_known: bool) {
        let counter = if is_known { &self.hits } else { &self.misses };
        counter.count();
    }
}

/// The groups that were written.
pub struct Groups {
    rows: Histogram,
    time: Histogram,
    failed: Counter,
}

impl Groups {
    /// One was, or was not.
    pub fn wrote(&self, rows: usize, took: Duration, is_durable: bool) {
        if is_durable {
            self.rows.observe(u64::try_from(rows).unwrap_or(u64::MAX));
            self.time.took(took);
        } else {
            self.failed.count();
        }
    }
}

/// The groups of this process.
pub static GROUPS: Groups = Groups {
    rows: Histogram::of_rows(),
    time: Histogram::of_time(),
    failed: Counter::new(),
};

/// Secrets that are open.
pub static OPENED: Cache = Cache::new();
/// Decisions of the policy.
pub static DECISIONS: Cache = Cache::new();
/// Access tokens.
pub static TOKENS: Cache = Cache::new();

/// Connections that are open.
pub static CONNECTIONS: Present = Present {
    came: Counter::new(),
    went: Counter::new(),
};

/// Events that nobody will read.
pub static EVENTS_LOST: Counter = Counter::new();

/// Spans that nobody will see.
pub static SPANS_LOST: Counter = Counter::new();
/// Spans that the collector has taken.
pub static SPANS_SENT: Counter = Counter::new();

/// Words for alarms stand in the source, so that there are few.
const MOST_ALARMS: usize = 100;

/// How often each alarm was raised. Alarms are rare, and may wait for each other.
static ALARMS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// An alarm was raised.
pub fn alarm(what: &str) {
    let mut alarms = ALARMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(times) = alarms.get_mut(what) {
        *times += 1;
    } else if alarms.len() < MOST_ALARMS {
        alarms.insert(what.to_owned(), 1);
    }
}

/// What this process has counted by itself.
pub fn counted() -> Vec<Family> {
    let mut caches = Family::counts(
        "chancery_cache_lookups",
        "Whether what was asked was known already",
    );
    for (name, cache) in [
        ("opened-secrets", &OPENED),
        ("decisions", &DECISIONS),
        ("access-tokens", &TOKENS),
    ] {
        for (outcome, counter) in [("hit", &cache.hits), ("miss", &cache.misses)] {
            caches.count([("cache", name), ("outcome", outcome)], counter.value());
        }
    }
    let mut alarms = Family::counts("chancery_alarms", "Alarms that were raised, by their words");
    let raised = ALARMS.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, times) in raised.iter() {
        alarms.count([("alarm", what.as_str())], *times);
    }
    let mut families = process::families();
    families.extend([
        Family::level(
            "chancery_build_info",
            "1, and which version this is",
            [("version", env!("CARGO_PKG_VERSION"))],
            1_u32,
        ),
        Family::counted(
            "chancery_group_failures",
            "Groups that were not committed",
            GROUPS.failed.value(),
        ),
        Family::spread(
            "chancery_group_rows",
            "Rows of the groups that were committed",
            GROUPS.rows.spread(),
        ),
        Family::spread(
            "chancery_group_duration_seconds",
            "How long it took to commit a group",
            GROUPS.time.spread(),
        ),
        Family::level(
            "chancery_connections",
            "Connections of callers that are open",
            [],
            u32::try_from(CONNECTIONS.value()).unwrap_or(u32::MAX),
        ),
        Family::counted(
            "chancery_log_events_lost",
            "Events that were not logged: standard error was away, full or slow",
            EVENTS_LOST.value(),
        ),
        Family::counted(
            "chancery_spans_sent",
            "Spans that the collector has taken",
            SPANS_SENT.value(),
        ),
        Family::counted(
            "chancery_spans_lost",
            "Spans that did not fit, or that the collector did not take",
            SPANS_LOST.value(),
        ),
        caches,
        alarms,
    ]);
    families
}

#[cfg(test)]
mod tests;
