//! Alarms, on their way from wherever they are raised to whoever tells people of them.
//!
//! An alarm is an event of level `error` with a field `alarm`: the word for it. It is heard here beside being
//! written to the log, and waits in memory until somebody [takes](take) it. Nobody waits for that: what does
//! not fit is counted, and the count comes as an alarm of its own.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;

use crate::metrics;

/// So many wait at most.
const CAPACITY: usize = 100;

/// Fields that are told on: names and ids. What an error says is for the log alone.
const ABOUT: [&str; 7] = [
    "custody.backend",
    "halt.id",
    "intent.id",
    "key.id",
    "key.name",
    "probe.id",
    "rotation.id",
];

/// Something that somebody has to act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// The word for it.
    pub what: String,
    /// What happened, in the words of the log.
    pub said: String,
    /// What it is about: names and ids.
    pub about: BTreeMap<&'static str, String>,
}

#[derive(Default)]
struct Waiting {
    alarms: VecDeque<Alarm>,
    lost: usize,
}

static WAITING: Mutex<Option<Waiting>> = Mutex::new(None);

/// Hears alarms.
#[derive(Debug)]
pub struct Listener;

impl<S: Subscriber> tracing_subscriber::Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() == Level::ERROR && about.fields().field("alarm").is_some() {
            let mut alarm = Alarm::default();
            event.record(&mut alarm);
            metrics::alarm(&alarm.what);
            put(alarm);
        }
    }
}

impl Visit for Alarm {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "alarm" => value.clone_into(&mut self.what),
            "message" => value.clone_into(&mut self.said),
            name => {
                if let Some(name) = ABOUT.iter().find(|known| **known == name) {
                    self.about.insert(name, value.to_owned());
                }
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The alarms that nobody has taken yet.
pub fn take() -> Vec<Alarm> {
    let mut waiting = lock();
    let Some(Waiting { alarms, lost }) = waiting.take() else {
        return Vec::new();
    };
    let more = (lost > 0).then(|| Alarm {
        what: "alarms-lost".into(),
        said: format!("{lost} alarms more were raised than could wait: they are in the log"),
        about: BTreeMap::new(),
    });
    alarms.into_iter().chain(more).collect()
}

fn put(alarm: Alarm) {
    let mut waiting = lock();
    let waiting = waiting.get_or_insert_default();
    if waiting.alarms.contains(&alarm) {
        return; // it waits already
    }
    if waiting.alarms.len() < CAPACITY {
        waiting.alarms.push_back(alarm);
    } else {
        waiting.lost += 1;
    }
}

fn lock() -> MutexGuard<'static, Option<Waiting>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
