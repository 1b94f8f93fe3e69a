//! The threads of one backend, and the queue in front of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use tokio::sync::oneshot;

use super::crew::Crew;
use super::module::Module;
use super::recovery::Breaker;
use super::token::Token;
use super::worker::{Desk, Fault, Worker};
use crate::custody::CustodyError;

pub(super) type Job = Box<dyn FnOnce(&mut Worker) -> Next + Send>;

/// What a worker does after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It takes the next one.
    Stay,
    /// The token has no session for it: it ends, and others do the work.
    Leave,
}

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
    shared: Arc<Shared>,
}

/// What the threads of one backend share.
pub(super) struct Shared {
    pub(super) backend: String,
    pub(super) module: Arc<Module>,
    pub(super) token: Token,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) crew: Crew,
    /// What is to be done.
    pub(super) jobs: Receiver<Job>,
    pub(super) timeout: Duration,
    /// Workers that take jobs. At least one stays.
    pub(super) working: AtomicUsize,
    /// How long a call may take before it counts as hanging.
    pub(super) call_timeout: Duration,
}

impl Workers {
    pub(super) fn start(
        backend: &str,
        module: Arc<Module>,
        token: Token,
        settings: &super::Settings,
    ) -> Result<Self, CustodyError> {
        let (queue, jobs) = crossbeam_channel::bounded::<Job>(settings.queue);
        let shared = Arc::new(Shared {
            backend: backend.to_owned(),
            module,
            token,
            breaker: Mutex::default(),
            crew: Crew::new(settings.replacements),
            jobs,
            timeout: Duration::from_millis(settings.timeout_ms),
            working: AtomicUsize::new(settings.sessions),
            call_timeout: Duration::from_millis(settings.call_timeout_ms),
        });
        for _ in 0..settings.sessions {
            shared.hire()?;
        }
        Ok(Self { queue, shared })
    }

    /// Does `work` at some desk, within the usual time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        let shared = &self.shared;
        self.done(shared.timeout, shared.call_timeout, work).await
    }

    /// Does `work` at some desk, where one call may take all of this time.
    pub(super) async fn run_within<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.done(within, within, work).await
    }

    /// Says at once that nothing would be done now, as far as that is known.
    pub(super) fn ready(&self) -> Result<(), CustodyError> {
        // Down with nobody to look after it: it went down for another backend, or just when it answered.
        if self.shared.module.is_down() && !self.shared.token.pin_refused() {
            self.shared.look("the PKCS#11 module is down");
            self.nudge();
        }
        self.shared.admit()?;
        // The rest of the queue is for those who were told that it is ready.
        let most = self.queue.capacity().unwrap_or(usize::MAX);
        if self.queue.len() >= most - most / 4 {
            return Err(CustodyError::Busy);
        }
        Ok(())
    }

    /// Recovery may do the work again, so it must be safe to repeat after an error.
    async fn done<T: Send + 'static>(
        &self,
        within: Duration,
        call: Duration,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.shared.admit()?;
        let by = Instant::now() + within;
        let mut work = work;
        loop {
            let (taken, is_taken) = oneshot::channel();
            let (answer, mut answered) = oneshot::channel();
            let job = Box::new(move |worker: &mut Worker| {
                let _ = taken.send(());
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
            self.queue.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => CustodyError::Busy,
                TrySendError::Disconnected(_) => {
                    CustodyError::Unavailable("no worker is left".into())
                }
            })?;
            let done = async {
                let _ = is_taken.await;
                match tokio::time::timeout(call + SLACK, &mut answered).await {
                    Err(_) if !self.suspect_a_hang() => (&mut answered).await.ok(), // it climbs the ladder
                    Err(_) => None,
                    Ok(answer) => answer.ok(), // else the worker panicked: the outcome is unknown
                }
            };
            match tokio::time::timeout_at(by.into(), done).await {
                Ok(Some(Outcome::Done(result))) => return result,
                Ok(Some(Outcome::HandedBack(unbegun))) => work = unbegun,
                Ok(None) => return Err(CustodyError::TimedOut),
                Err(_) => {
                    self.suspect_a_hang();
                    return Err(CustodyError::TimedOut);
                }
            }
        }
    }

    /// How many workers take jobs.
    #[cfg(test)]
    pub(super) fn working(&self) -> usize {
        self.shared.working.load(Ordering::Relaxed)
    }

    fn suspect_a_hang(&self) -> bool {
        let hangs = self.shared.suspect_a_hang();
        if hangs {
            self.nudge();
        }
        hangs
    }

    /// Wakes a worker, which sees that somebody has to look.
    fn nudge(&self) {
        let _ = self.queue.try_send(Box::new(|_| Next::Stay));
    }

    /// Held by those who generate, one at a time in the process.
    pub(super) fn generating(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.shared.module.generating)
    }
}

impl Drop for Workers {
    /// A process that ends while a thread is inside the module may crash in its destructors.
    fn drop(&mut self) {
        let (closed, _) = crossbeam_channel::bounded(0);
        drop(std::mem::replace(&mut self.queue, closed));
        self.shared.crew.see_off(self.shared.call_timeout);
    }
}

impl Shared {
    /// Refuses at once what would only wait: a refused PIN, a hanging module, an open breaker.
    pub(super) fn admit(&self) -> Result<(), CustodyError> {
        if self.token.pin_refused() {
            return Err(CustodyError::PinRefused);
        }
        let admitted = self.breaker(|breaker| breaker.admit());
        admitted.map_err(CustodyError::Unavailable)?;
        if self.module.answers() {
            Ok(())
        } else {
            Err(down())
        }
    }

    /// Starts another worker.
    fn hire(self: &Arc<Self>) -> Result<(), CustodyError> {
        let worker = Worker::new(Arc::clone(self), self.crew.join());
        let thread = std::thread::Builder::new().name(format!("pkcs11-{}", worker.number()));
        let started = thread.spawn(move || worker.serve());
        started.map_err(|error| CustodyError::Unavailable(format!("no thread: {error}")))?;
        Ok(())
    }

    /// Gives up calls that should be back, and replaces whoever is in them. Whether there are any.
    pub(super) fn suspect_a_hang(self: &Arc<Self>) -> bool {
        let now = Instant::now();
        let module_hangs = self.module.suspect_a_hang(now);
        let given_up = self.crew.give_up(now);
        if module_hangs || given_up > 0 {
            self.look("a call into the PKCS#11 module hangs");
        }
        for _ in 0..given_up {
            if let Err(error) = self.hire() {
                tracing::error!(custody.backend = self.backend, %error, "a lost worker is not replaced");
            }
        }
        module_hangs || given_up > 0
    }

    /// Has a worker look whether the device answers; until then it is down.
    fn look(&self, why: &str) {
        self.breaker(|breaker| breaker.trip_to_look(Instant::now(), why));
    }

    /// Counts one worker less, if there are more than `most`; one stays in any case.
    pub(super) fn goes_on_without_one(&self, most: usize) -> bool {
        let fewer = |working: usize| (working > most.max(1)).then(|| working - 1);
        let working = &self.working;
        let left = working.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        if let Ok(before) = left {
            tracing::warn!(
                custody.backend = self.backend,
                sessions = before - 1,
                "the token allows fewer sessions than are configured; going on with fewer"
            );
        }
        left.is_ok()
    }

    pub(super) fn breaker<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn down(&self, why: String) -> CustodyError {
        tracing::error!(
            custody.backend = self.backend,
            error = why,
            "the token is down"
        );
        self.breaker(|breaker| breaker.trip(Instant::now(), why.clone()));
        CustodyError::Unavailable(why)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Ok(call) = self.module.enter(Instant::now() + self.timeout) {
            self.token.leave(&call);
        }
    }
}

pub(super) fn down() -> CustodyError {
    CustodyError::Unavailable("the PKCS#11 module is down or being initialized again".into())
}
