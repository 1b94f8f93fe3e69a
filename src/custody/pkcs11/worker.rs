//! Threads that own sessions. Async code hands them work over a bounded queue and waits for the
//! answer, no longer than its deadline.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use tokio::sync::oneshot;

use super::module::{Call, Closed, Module, NotRebuilt};
use super::recovery::{Breaker, Step, brief, step};
use super::token::{Token, close};
use crate::custody::CustodyError;
use crate::id::KeyId;

/// What can go wrong at a desk.
#[derive(Debug)]
pub(super) enum Fault {
    /// The device answered with an error: the ladder decides.
    Device(Error),
    /// The token, or a key that must be there, is not.
    Absent(String),
    /// The module is down.
    Closed(Closed),
    /// An answer for the caller.
    Final(CustodyError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl From<CustodyError> for Fault {
    fn from(error: CustodyError) -> Self {
        Self::Final(error)
    }
}

/// Where work is done: one session, inside one call.
pub(super) struct Desk<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) token: &'a Token,
    pub(super) seat: &'a mut Seat,
}

/// A session and what was found in it. Handles of one session mean nothing in another.
pub(super) struct Seat {
    generation: u64,
    pub(super) session: Session,
    /// Whether it hashes RSA messages itself.
    pub(super) hashes_rsa: bool,
    pub(super) mechanisms: Arc<[MechanismType]>,
    pub(super) writable: bool,
    pub(super) private_keys: HashMap<KeyId, ObjectHandle>,
    pub(super) sealing_keys: HashMap<KeyId, ObjectHandle>,
    /// An operation may have stayed open in the session although the work has its answer.
    pub(super) worn: bool,
}

impl Desk<'_> {
    /// Refuses what would write where the token, or its section, allows no writing.
    pub(super) fn writes(&self) -> Result<(), Fault> {
        if self.seat.writable {
            return Ok(());
        }
        let why = "the token is read-only here: keys are made and destroyed elsewhere, and adopted";
        Err(CustodyError::Unsupported(why.into()).into())
    }

    /// Goes on in a fresh session.
    pub(super) fn sit_afresh(&mut self) -> Result<(), Fault> {
        let fresh = sit_down(self.token, self.call)?;
        close(std::mem::replace(self.seat, fresh).session);
        Ok(())
    }
}

type Job = Box<dyn FnOnce(&mut Worker) -> Next + Send>;

/// What a worker does after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
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

/// The threads of one backend. They end when this is dropped.
pub(super) struct Workers {
    queue: Sender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    backend: String,
    module: Arc<Module>,
    token: Token,
    breaker: Mutex<Breaker>,
    timeout: Duration,
    /// Workers that take jobs. At least one stays.
    working: AtomicUsize,
}

struct Worker {
    shared: Arc<Shared>,
    /// Thrown away after every error: a failed operation may have stayed open in it.
    seat: Option<Seat>,
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
            timeout: Duration::from_millis(settings.timeout_ms),
            working: AtomicUsize::new(settings.sessions),
        });
        for number in 0..settings.sessions {
            let worker = Worker {
                shared: Arc::clone(&shared),
                seat: None,
            };
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("pkcs11-{number}"))
                .spawn(move || worker.serve(&jobs))
                .map_err(|error| CustodyError::Unavailable(format!("no thread: {error}")))?;
        }
        Ok(Self { queue, shared })
    }

    /// Does `work` at some desk, within the usual time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.run_within(self.shared.timeout, work).await
    }

    /// Does `work` at some desk. Recovery may do it again, so it must be safe to repeat after an error.
    pub(super) async fn run_within<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Fn(&mut Desk<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, CustodyError> {
        self.shared.admit()?;
        let by = Instant::now() + within;
        let mut work = work;
        loop {
            let (answer, answered) = oneshot::channel();
            let job = Box::new(move |worker: &mut Worker| {
                // Nobody waits for this any more, so it is not done: a late signature is a lost one.
                if answer.is_closed() {
                    return Next::Stay;
                }
                if worker.has_no_session(by, within) {
                    let _ = answer.send(Outcome::HandedBack(work));
                    return Next::Leave;
                }
                let _ = answer.send(Outcome::Done(worker.climb(by, within, &work)));
                Next::Stay
            });
            self.queue.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => CustodyError::Busy,
                TrySendError::Disconnected(_) => {
                    CustodyError::Unavailable("no worker is left".into())
                }
            })?;
            match tokio::time::timeout_at(by.into(), answered).await {
                Ok(Ok(Outcome::Done(result))) => return result,
                Ok(Ok(Outcome::HandedBack(unbegun))) => work = unbegun,
                // The worker panicked: the outcome is unknown.
                Ok(Err(_)) => return Err(CustodyError::TimedOut),
                Err(_) => {
                    self.shared.module.suspect_a_hang(Instant::now());
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

    /// Held by those who generate, one at a time in the process.
    pub(super) fn generating(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.shared.module.generating)
    }
}

impl Shared {
    /// Refuses at once what would only wait: a refused PIN, a hanging module, an open breaker.
    fn admit(&self) -> Result<(), CustodyError> {
        if self.token.pin_refused() {
            return Err(CustodyError::PinRefused);
        }
        if !self.module.answers() {
            let why = "the PKCS#11 module is down";
            return Err(CustodyError::Unavailable(why.into()));
        }
        let admitted = self.breaker(|breaker| breaker.admit(Instant::now()));
        admitted.map_err(CustodyError::Unavailable)
    }

    /// Counts one worker less, if there are more than `most`; one stays in any case.
    fn goes_on_without_one(&self, most: usize) -> bool {
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

    fn breaker<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn down(&self, why: String) -> CustodyError {
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

impl Worker {
    fn serve(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            match catch_unwind(AssertUnwindSafe(|| job(&mut self))) {
                Ok(Next::Stay) => {}
                Ok(Next::Leave) => break,
                Err(_) => {
                    tracing::error!(
                        custody.backend = self.shared.backend,
                        "a PKCS#11 worker panicked"
                    );
                    self.seat = None;
                }
            }
        }
        let shared = Arc::clone(&self.shared);
        if let (Some(seat), Ok(call)) = (
            self.seat.take(),
            shared.module.enter(Instant::now() + shared.timeout),
        ) && seat.generation == call.generation()
        {
            close(seat.session);
        }
    }

    /// Whether the token has no session for this worker, and others go on without it. A token says so
    /// beforehand, or refuses one more. A worker that sits stays.
    fn has_no_session(&mut self, by: Instant, within: Duration) -> bool {
        if self.seat.is_some() {
            return false;
        }
        let shared = Arc::clone(&self.shared);
        let allowed = shared.token.limit().unwrap_or(usize::MAX);
        if shared.goes_on_without_one(allowed) {
            return true;
        }
        // As in `climb`: work that waited long still gets time of its own.
        let Ok(call) = shared.module.enter(by.max(Instant::now() + within / 2)) else {
            return false;
        };
        match sit_down(&shared.token, &call) {
            Ok(seat) => {
                self.seat = Some(seat);
                false
            }
            Err(Fault::Device(Error::Pkcs11(RvError::SessionCount, _))) => {
                shared.goes_on_without_one(1)
            }
            Err(_) => false, // the work meets it too, and climbs the ladder
        }
    }

    /// Does `work`, and on errors climbs the ladder: each rung once, then the token is down.
    fn climb<T>(
        &mut self,
        by: Instant,
        within: Duration,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, CustodyError> {
        let shared = Arc::clone(&self.shared);
        let mut climbed = Vec::new();
        loop {
            // Work that waited long in the queue still gets time of its own before it counts as hung.
            let back_by = by.max(Instant::now() + within / 2);
            let (generation, fault) = match self.once(back_by, work) {
                Ok(done) => {
                    shared.breaker(Breaker::close);
                    return Ok(done);
                }
                Err(failed) => failed,
            };
            let (mut rung, why) = match fault {
                Fault::Final(error) => {
                    shared.breaker(Breaker::close); // the device answered
                    return Err(error);
                }
                Fault::Closed(closed) if !closed.can_rebuild => {
                    let why = "the PKCS#11 module is down or being initialized again";
                    return Err(CustodyError::Unavailable(why.into()));
                }
                Fault::Closed(_) => (Step::Rebuild, "the PKCS#11 module is down".into()),
                Fault::Absent(why) => (Step::Rebuild, why),
                Fault::Device(error) => (step(&error), brief(&error)),
            };
            if matches!(rung, Step::NewSession | Step::Login) && climbed.contains(&rung) {
                rung = Step::Rebuild;
            }
            let again = climbed.contains(&rung) || Instant::now() >= by;
            climbed.push(rung);
            tracing::warn!(
                custody.backend = shared.backend,
                custody.step = ?rung,
                error = why,
                "the device failed"
            );
            match rung {
                Step::PinRefused => return Err(CustodyError::PinRefused),
                Step::Refuse => return Err(CustodyError::Refused(why)),
                Step::Nonsense => return Err(CustodyError::Nonsense(why)),
                Step::GiveUp => return Err(CustodyError::Unavailable(why)),
                Step::Rebuild if again => return Err(shared.down(why)),
                _ if again => return Err(CustodyError::Unavailable(why)),
                Step::FindAgain | Step::NewSession => {}
                Step::Login => self.login(back_by),
                Step::Rebuild => match shared.module.rebuild(generation, shared.timeout) {
                    Ok(()) => {}
                    Err(NotRebuilt::Elsewhere) => return Err(CustodyError::Unavailable(why)),
                    Err(NotRebuilt::Failed(error)) => {
                        return Err(shared.down(format!("{why}; then {error}")));
                    }
                },
            }
        }
    }

    /// Does `work` once, inside a call. Also tells the generation in which it failed.
    fn once<T>(
        &mut self,
        back_by: Instant,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, (u64, Fault)> {
        let shared = Arc::clone(&self.shared);
        let entered = shared.module.enter(back_by);
        let call = entered.map_err(|closed| (closed.generation, Fault::Closed(closed)))?;
        let generation = call.generation();
        let mut seat = match self.seat.take() {
            Some(seat) if seat.generation == generation => seat,
            _ => sit_down(&shared.token, &call).map_err(|fault| (generation, fault))?,
        };
        let done = work(&mut Desk {
            call: &call,
            token: &shared.token,
            seat: &mut seat,
        });
        match &done {
            Ok(_) | Err(Fault::Final(_)) if !seat.worn => self.seat = Some(seat),
            Ok(_) | Err(_) => close(seat.session),
        }
        done.map_err(|fault| (generation, fault))
    }

    /// Logs in again. If that fails, so will the next try, which tells why.
    fn login(&self, back_by: Instant) {
        if let Ok(call) = self.shared.module.enter(back_by)
            && let Err(fault) = self.shared.token.login_again(&call)
        {
            tracing::debug!(?fault, "the login failed");
        }
    }
}

fn sit_down(token: &Token, call: &Call<'_>) -> Result<Seat, Fault> {
    let opened = token.open(call)?;
    Ok(Seat {
        generation: call.generation(),
        session: opened.session,
        hashes_rsa: opened.mechanisms.contains(&MechanismType::SHA256_RSA_PKCS),
        mechanisms: opened.mechanisms,
        writable: opened.writable,
        private_keys: HashMap::new(),
        sealing_keys: HashMap::new(),
        worn: false,
    })
}
