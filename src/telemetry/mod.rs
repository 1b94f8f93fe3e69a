//! Where events go: standard error, as text or JSON. [Alarms](crate::alarms) go to people, too, and spans
//! become [traces](crate::traces).
//!
//! It promises that an event neither waits nor fails, whoever reads standard error or does not: events
//! go into a buffer of bounded size, and one thread takes them from there. What does not fit, or cannot
//! be written, is lost and counted, and the count is written as soon as anything can be.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::alarms::Listener;
use crate::metrics::EVENTS_LOST;
use crate::traces::Recorder;

/// How to write events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// So many bytes of events wait at most: some thousands of them.
const CAPACITY: usize = 1024 * 1024;

/// How long events gather before they are written: whoever leaves one wakes nobody, and a sink is called some
/// hundred times a second at most, however many there are.
const GATHER: Duration = Duration::from_millis(5);

/// How long the end of the process waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long after a pipe was full it is tried again, where it does not wait by itself.
const AGAIN: Duration = Duration::from_millis(10);

/// Events are written while this is held; dropping it waits a moment for the last of them.
#[must_use]
pub struct Telemetry(Arc<Outbox>);

/// Starts writing events. `filter` is `tracing`'s: `info`, `chancery=debug,info`, ….
pub fn start(format: LogFormat, filter: &str) -> io::Result<Telemetry> {
    let outbox = Outbox::open(CAPACITY, io::stderr(), |_, lost| {
        EVENTS_LOST.add(u64::try_from(lost).unwrap_or(u64::MAX));
        tracing::error!(
            lost,
            "events were lost: standard error was away, full or slow"
        );
    })?;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let inbox = Arc::clone(&outbox);
    let events = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would complain on standard error, and wait there.
        .log_internal_errors(false)
        .with_writer(move || Line(Arc::clone(&inbox)));
    match format {
        LogFormat::Text => {
            let events = events.with_ansi(false).finish();
            events.with(Listener).with(Recorder).init();
        }
        LogFormat::Json => {
            let events = events.json().flatten_event(true).finish();
            events.with(Listener).with(Recorder).init();
        }
    }
    // A panic's own message would wait there, too.
    std::panic::set_hook(Box::new(|panic| {
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            tracing::error!(%panic, %trace, "a panic");
        } else {
            tracing::error!(%panic, "a panic");
        }
    }));
    Ok(Telemetry(outbox))
}

impl Telemetry {
    /// A line for people, after the events before it.
    pub fn say(&self, line: &str) {
        self.0.put(format!("{line}\n").as_bytes());
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.0.flush(PATIENCE);
    }
}

/// The way of one event into the outbox: it comes in one piece.
struct Line(Arc<Outbox>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    /// Whether this is the thread that empties an outbox.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Events on their way to a sink.
struct Outbox {
    capacity: usize,
    waiting: Mutex<Waiting>,
    /// Notified when there is something to write, and when all is written.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Lines,
    /// The writer is at the sink.
    writing: bool,
    /// The writer has nothing to do, and wants to be woken.
    asleep: bool,
    /// Events that nobody will read, since their number was last told.
    lost: usize,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Outbox {
    /// An outbox, and the thread that empties it into this sink. It `tells` into the outbox how many
    /// events were lost.
    fn open(
        capacity: usize,
        mut sink: impl Write + Send + 'static,
        tell: impl Fn(&Self, usize) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let outbox = Arc::new(Self {
            capacity,
            waiting: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = Arc::clone(&outbox);
        let thread = thread::Builder::new().name("telemetry".into());
        thread.spawn(move || {
            WRITES.set(true);
            writer.empty_into(&mut sink, tell);
        })?;
        Ok(outbox)
    }

    /// Takes an event, or counts it as lost where there is no room.
    fn put(&self, line: &[u8]) {
        // The writer's own line says how many are lost, and is not lost itself.
        let room = if WRITES.get() {
            usize::MAX
        } else {
            self.capacity
        };
        let mut waiting = self.lock();
        let end = waiting.lines.bytes.len() + line.len();
        if end > room {
            waiting.lost += 1;
            return;
        }
        waiting.lines.bytes.extend_from_slice(line);
        waiting.lines.ends.push(end);
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.changed.notify_all();
        }
    }

    /// Writes what comes, for ever. Nobody's way into the outbox leads past the sink: the lock is not
    /// held there.
    fn empty_into(&self, sink: &mut impl Write, tell: impl Fn(&Self, usize)) {
        let mut lines = Lines::default();
        let mut torn = false;
        loop {
            let mut waiting = self.lock();
            waiting.writing = false;
            if waiting.lines.ends.is_empty() {
                self.changed.notify_all();
            }
            while waiting.lines.ends.is_empty() {
                waiting.asleep = true;
                waiting = self.wait(waiting);
            }
            drop(waiting);
            thread::sleep(GATHER);
            let mut waiting = self.lock();
            waiting.writing = true;
            std::mem::swap(&mut lines, &mut waiting.lines);
            drop(waiting);

            let written = write_some(sink, &lines.bytes, &mut torn);
            // A line that came out in part is lost with the rest.
            let lost = lines.ends.iter().filter(|end| **end > written).count();
            torn |= written > 0 && lines.ends.binary_search(&written).is_err();
            lines.bytes.clear();
            lines.ends.clear();

            let mut waiting = self.lock();
            waiting.lost += lost;
            if lost == 0 && waiting.lost > 0 {
                let lost = std::mem::take(&mut waiting.lost);
                drop(waiting);
                tell(self, lost);
            }
        }
    }

    /// Waits until everything is written, at most for so long.
    fn flush(&self, patience: Duration) {
        let is_busy = |it: &mut Waiting| it.writing || !it.lines.ends.is_empty();
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, is_busy);
        drop(waited);
    }

    fn wait<'a>(&self, waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        let waited = self.changed.wait(waiting);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until the sink refuses; how much it took. A line that was `torn` earlier ends first.
fn write_some(sink: &mut impl Write, bytes: &[u8], torn: &mut bool) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        let rest = if *torn { b"\n" } else { &bytes[written..] };
        match sink.write(rest) {
            Ok(0) => break,
            Ok(_) if *torn => *torn = false,
            Ok(some) => written += some,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A full pipe that somebody else set to say so instead of waiting.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests;
