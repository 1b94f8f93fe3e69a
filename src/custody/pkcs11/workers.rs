//! The threads of one backend, and the bounded queue in front of them. Whoever puts work into it waits
//! for the answer, no longer than its deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::crew::Crew;
use super::desk::Desk;
use super::fault::Fault;
use super::module::Module;
use super::queue::{Receiver, Sender, Who, queue};
use super::settings::Settings;
use super::shared::Shared;
use super::token::Token;
use super::worker::{Job, Next, Worker, hire, suspect_a_hang};
use crate::custody::CustodyError;

/// What became of work that was put in the queue.
enum Outcome<T, W> {
    Done(Result<T, CustodyError>),
    /// It was not begun. Whoever took it found no session.
    HandedBack(W),
}

/// After a call was due, before it counts as hanging: it is entered a little after it is begun.
const SLACK: Duration = Duration::from_millis(20);

/// The threads of one backend. They end when this is dropped, which waits for them.
pub(super) struct Workers {
    queue: Sender<Job>,
    jobs: Receiver<Job>,
    shared: Arc<Shared>,
}

impl Workers {
    pub(super) fn start(
        backend: &str,
        module: Arc<Module>,
        token: Token,
        settings: &Settings,
    ) -> Result<Self, CustodyError> {
        let (queue, jobs) = queue(settings.queue);
        let shared = Arc::new(Shared {
            backend: backend.to_owned(),
            module,
            token,
            breaker: Mutex::default(),
            crew: Crew::new(settings.replacements),
            timeout: Duration::from_millis(settings.timeout_ms),
            working: AtomicUsize::new(settings.sessions),
            call_timeout: Duration::from_millis(settings.call_timeout_ms),
        });
        for _ in 0..settings.sessions {
            hire(&shared, &jobs)?;
        }
        Ok(Self {
            queue,
            jobs,
            shared,
        })
    }

    /// Does `work` at some desk, within the usual time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.run_for(None, work).await
    }

    /// Does `work` for this caller, within the usual time.
    pub(super) async fn run_for<T: Send + 'static>(
        &self,
        who: Who,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        let within = (self.shared.timeout, self.shared.call_timeout);
        self.done(who, within, work).await
    }

    /// Does `work` at some desk, where one call may take all of this time.
    pub(super) async fn run_within<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.done(None, (within, within), work).await
    }

    /// Says at once that nothing would be done now, as far as that is known.
    pub(super) fn ready(&self, who: Who) -> Result<(), CustodyError> {
        // Down with nobody to look after it: it went down for another backend, or just when it answered.
        if self.shared.module.is_down() && !self.shared.token.pin_refused() {
            self.shared.look("the PKCS#11 module is down");
            self.nudge();
        }
        self.shared.admit()?;
        if self.queue.is_ready_for(who) {
            Ok(())
        } else {
            Err(CustodyError::Busy)
        }
    }

    /// Recovery may do the work again, so it must be safe to repeat after an error.
    async fn done<T: Send + 'static>(
        &self,
        who: Who,
        (within, call): (Duration, Duration),
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.shared.admit()?;
        let by = Instant::now() + within;
        let mut work = work;
        loop {
            let taken = Arc::new(OnceLock::new());
            let (answer, answered) = oneshot::channel();
            let when_taken = Arc::clone(&taken);
            let job = Box::new(move |worker: &mut Worker| {
                when_taken.get_or_init(Instant::now);
                let is_wanted = || !answer.is_closed();
                // Nobody waits for this any more, so it is not done: a late signature is a lost one.
                if !is_wanted() {
                    return Next::Stay;
                }
                let done = match worker.shared.admit() {
                    Ok(()) if worker.has_no_session(call) => {
                        let _ = answer.send(Outcome::HandedBack(work));
                        return Next::Leave;
                    }
                    Ok(()) => worker.climb(by, call, &work, &is_wanted),
                    Err(away) => Err(away),
                };
                let _ = answer.send(Outcome::Done(done));
                Next::Stay
            });
            self.queue.try_send(who, job)?;
            match self.answer(answered, &taken, call + SLACK, by).await {
                Some(Outcome::Done(result)) => return result,
                Some(Outcome::HandedBack(unbegun)) => work = unbegun,
                None => return Err(CustodyError::TimedOut),
            }
        }
    }

    /// Waits for the answer to a job. `None`: there is none, and what becomes of the job is not known.
    ///
    /// A worker says when it took the job, and wakes nobody for that: what waits is woken once, by the
    /// answer. Only where that takes too long is it asked whether the worker hangs.
    async fn answer<T>(
        &self,
        mut answered: oneshot::Receiver<T>,
        taken: &OnceLock<Instant>,
        patience: Duration,
        by: Instant,
    ) -> Option<T> {
        let mut look = Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(look.min(by).into(), &mut answered).await {
                Ok(answer) => return answer.ok(), // else the worker panicked
                Err(_) if by <= look => {
                    self.suspect_a_hang();
                    return None;
                }
                Err(_) => {}
            }
            let now = Instant::now();
            look = taken.get().map_or(now, |taken| *taken) + patience;
            if look <= now {
                if self.suspect_a_hang() {
                    return None;
                }
                look = by; // it climbs the ladder
            }
        }
    }

    /// How many workers take jobs.
    pub(super) fn working(&self) -> usize {
        self.shared.working.load(Ordering::Relaxed)
    }

    /// How many jobs wait for one.
    pub(super) fn waiting(&self) -> u64 {
        self.queue.waiting()
    }

    fn suspect_a_hang(&self) -> bool {
        let hangs = suspect_a_hang(&self.shared, &self.jobs);
        if hangs {
            self.nudge();
        }
        hangs
    }

    /// Wakes a worker, which sees that somebody has to look.
    fn nudge(&self) {
        let _ = self.queue.try_send(None, Box::new(|_| Next::Stay));
    }

    /// Held by those who generate, one at a time in the process.
    pub(super) fn generating(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.shared.module.generating)
    }
}

impl Drop for Workers {
    /// A process that ends while a thread is inside the module may crash in its destructors.
    fn drop(&mut self) {
        let (closed, _) = queue(0);
        drop(std::mem::replace(&mut self.queue, closed));
        self.shared.crew.see_off(self.shared.call_timeout);
    }
}
