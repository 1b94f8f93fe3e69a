//! The load: connections that ask in a closed or in an open loop, from a thread of their own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::histogram::Histogram;
use super::plan::Plan;
use super::wire::{Ending, Wire};

/// So long is one part of a [`Tally::course`].
pub(super) const PART: Duration = Duration::from_millis(100);

/// Which service, and as whom: connections take the tokens in turn.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: String,
    pub(super) tokens: Vec<String>,
}

/// When a request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// When the one before it on the same connection was answered.
    Closed,
    /// So many a second, whatever was answered. While all connections are busy it waits, and the wait
    /// counts: its time runs from the moment when it was due (no coordinated omission).
    Open(f64),
    /// So many a second; while all connections are busy it is left out and counted.
    Flood(f64),
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Answers of 200: from when a request was due, in a closed loop from when it was sent.
    pub(super) answered: Histogram,
    /// The same from when a request was sent.
    pub(super) since_sent: Histogram,
    /// Answers of 429 and 503.
    pub(super) refused: Histogram,
    /// Connections that were closed before an answer came.
    pub(super) lost: u64,
    /// Due, and not sent for want of a connection.
    pub(super) unsent: u64,
    /// Answers of 200 in each [`PART`].
    pub(super) course: Vec<u64>,
    /// How long it took.
    pub(super) time: Duration,
}

impl Tally {
    pub(super) fn a_second(&self) -> f64 {
        self.answered.count() as f64 / self.time.as_secs_f64()
    }

    pub(super) fn refused_a_second(&self) -> f64 {
        self.refused.count() as f64 / self.time.as_secs_f64()
    }
}

/// Asks on so many connections for so long.
pub(super) async fn run(
    target: &Target,
    plan: &Plan,
    connections: usize,
    pace: Pace,
    time: Duration,
) -> anyhow::Result<Tally> {
    let (target, plan) = (target.clone(), plan.clone());
    let (tell, told) = oneshot::channel();
    let thread = move || {
        let done = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let work = generate(&target, &plan, connections, pace, time);
            LocalSet::new().block_on(&runtime, work)
        };
        let _ = tell.send(done());
    };
    std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(thread)?;
    told.await.context("the load has panicked")?
}

async fn generate(
    target: &Target,
    plan: &Plan,
    connections: usize,
    pace: Pace,
    time: Duration,
) -> anyhow::Result<Tally> {
    let run = plan.run();
    let mut wires = Vec::new();
    for number in 0..connections {
        let token = &target.tokens[number % target.tokens.len()];
        let run = format!("{run}{number:08}");
        wires.push(Wire::connect(&target.address, &plan.request(token), run).await?);
    }
    let tally = Rc::new(RefCell::new(Tally::default()));
    let start = Instant::now();
    let rhythm = match pace {
        Pace::Closed => None,
        Pace::Open(rate) => Some((rate, usize::MAX)),
        Pace::Flood(rate) => Some((rate, connections)),
    };
    let due = Due::new(rhythm.map_or(0, |(_, room)| room));
    if let Some((rate, _)) = rhythm {
        due.beat(rate, start, time)?;
    }
    let mut asking: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for wire in wires {
        let one = One {
            wire,
            tally: tally.clone(),
            start,
            is_batch: plan.batch.is_some(),
        };
        if rhythm.is_some() {
            asking.spawn_local(one.when_due(due.clone()));
        } else {
            asking.spawn_local(one.again(start + time));
        }
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    let mut tally = tally.take();
    tally.time = start.elapsed().max(time);
    tally.unsent = due.unsent();
    ensure!(
        tally.answered.count() + tally.refused.count() > 0,
        "nothing was answered; {} connections were lost",
        tally.lost
    );
    Ok(tally)
}

/// One connection.
struct One {
    wire: Wire,
    tally: Rc<RefCell<Tally>>,
    start: Instant,
    is_batch: bool,
}

impl One {
    async fn again(mut self, until: Instant) -> anyhow::Result<()> {
        loop {
            self.ask(Instant::now()).await?;
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    async fn when_due(mut self, due: Arc<Due>) -> anyhow::Result<()> {
        while let Some(moment) = due.next().await {
            self.ask(moment).await?;
            due.finished();
        }
        Ok(())
    }

    async fn ask(&mut self, due: Instant) -> anyhow::Result<()> {
        let sent = Instant::now();
        let ending = self.wire.ask().await?;
        let now = Instant::now();
        let mut tally = self.tally.borrow_mut();
        match ending {
            Ending::Answered(200) => {
                tally.answered.record(now - due);
                tally.since_sent.record(now - sent);
                let part = (now - self.start).as_millis() / PART.as_millis();
                let part = usize::try_from(part).unwrap_or_default();
                if tally.course.len() <= part {
                    tally.course.resize(part + 1, 0);
                }
                tally.course[part] += 1;
                let mut parts = self.wire.answer().windows(10);
                let failed = self.is_batch && parts.any(|ten| ten == b"\"problem\":");
                ensure!(!failed, "an order of a batch was not signed");
            }
            Ending::Answered(429 | 503) => tally.refused.record(now - sent),
            Ending::Lost => tally.lost += 1,
            Ending::Answered(_) => {
                let said = String::from_utf8_lossy(self.wire.answer());
                bail!("the service says: {said}");
            }
        }
        Ok(())
    }
}

/// Requests that are due and not yet sent.
struct Due {
    moments: Mutex<VecDeque<Instant>>,
    /// As many as there are moments; closed in the end.
    ready: Semaphore,
    /// How many more may be due.
    room: AtomicUsize,
    left_out: AtomicUsize,
}

impl Due {
    fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            moments: Mutex::default(),
            ready: Semaphore::new(0),
            room: AtomicUsize::new(room),
            left_out: AtomicUsize::new(0),
        })
    }

    /// Has requests become due, so many a second. A timer of the runtime counts whole milliseconds, so
    /// this is a thread that sleeps from one to the next.
    fn beat(self: &Arc<Self>, rate: f64, start: Instant, time: Duration) -> anyhow::Result<()> {
        let all = (rate * time.as_secs_f64()).ceil().max(1.0);
        let due = self.clone();
        let work = move || {
            let mut number = 0.0;
            while number < all {
                let next = start + Duration::from_secs_f64(number / rate);
                let now = Instant::now();
                if next > now {
                    std::thread::sleep(next - now);
                    continue;
                }
                due.becomes(next);
                number += 1.0;
            }
            let end = start + time;
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
            due.ready.close();
        };
        std::thread::Builder::new()
            .name("beat".to_owned())
            .spawn(work)?;
        Ok(())
    }

    fn becomes(&self, moment: Instant) {
        let taken = |room: usize| room.checked_sub(1);
        let room = &self.room;
        if room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_err()
        {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.moments().push_back(moment);
        self.ready.add_permits(1);
    }

    async fn next(&self) -> Option<Instant> {
        self.ready.acquire().await.ok()?.forget();
        self.moments().pop_front()
    }

    fn finished(&self) {
        self.room.fetch_add(1, Ordering::Relaxed);
    }

    fn unsent(&self) -> u64 {
        (self.moments().len() + self.left_out.load(Ordering::Relaxed)) as u64
    }

    fn moments(&self) -> std::sync::MutexGuard<'_, VecDeque<Instant>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
