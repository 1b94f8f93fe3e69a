//! Threads that own sessions. Async code hands them work over a bounded queue and waits for the
//! answer, no longer than its deadline.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use tokio::sync::oneshot;

use super::crew::Crew;
use super::module::{Call, Closed, Module, NotRebuilt};
use super::object;
use super::recovery::{Breaker, Look, Step, brief, step};
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

/// So often a worker that has nothing to do sees whether somebody has to look after the device.
const IDLE: Duration = Duration::from_secs(1);

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

/// After a call was due, before it counts as hanging: it is entered a little after it is begun.
const SLACK: Duration = Duration::from_millis(20);

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
    crew: Crew,
    /// What is to be done.
    jobs: Receiver<Job>,
    timeout: Duration,
    /// Workers that take jobs. At least one stays.
    working: AtomicUsize,
    /// How long a call may take before it counts as hanging.
    call_timeout: Duration,
}

struct Worker {
    shared: Arc<Shared>,
    number: u64,
    /// It looks whether the device is back.
    looks: bool,
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
        self.shared.admit()?;
        if !self.shared.module.is_up() {
            self.shared.look("the PKCS#11 module is down");
            self.nudge();
            return Err(down());
        }
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
            let (begin, begun) = oneshot::channel();
            let (answer, mut answered) = oneshot::channel();
            let job = Box::new(move |worker: &mut Worker| {
                let _ = begin.send(());
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
                let _ = begun.await;
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

impl Shared {
    /// Refuses at once what would only wait: a refused PIN, a hanging module, an open breaker.
    fn admit(&self) -> Result<(), CustodyError> {
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
        let worker = Worker {
            shared: Arc::clone(self),
            number: self.crew.join(),
            looks: false,
            seat: None,
        };
        let thread = std::thread::Builder::new().name(format!("pkcs11-{}", worker.number));
        let started = thread.spawn(move || worker.serve());
        started.map_err(|error| CustodyError::Unavailable(format!("no thread: {error}")))?;
        Ok(())
    }

    /// Gives up calls that should be back, and replaces whoever is in them. Whether there are any.
    fn suspect_a_hang(self: &Arc<Self>) -> bool {
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
    fn serve(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let look = shared.breaker(|it| it.next_look(shared.call_timeout));
            let look = look.unwrap_or_else(|| Instant::now() + IDLE);
            let job: Job = match shared.jobs.recv_deadline(look) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => Box::new(Self::look),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match catch_unwind(AssertUnwindSafe(|| job(&mut self))) {
                Ok(Next::Stay) => {}
                Ok(Next::Leave) => {
                    shared.crew.leave(self.number);
                    break;
                }
                Err(_) => {
                    tracing::error!(
                        custody.backend = self.shared.backend,
                        "a PKCS#11 worker panicked"
                    );
                    self.seat = None;
                }
            }
            if shared.crew.is_replaced(self.number) {
                break;
            }
        }
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
    fn has_no_session(&mut self, patience: Duration) -> bool {
        if self.seat.is_some() {
            return false;
        }
        let shared = Arc::clone(&self.shared);
        let allowed = shared.token.limit().unwrap_or(usize::MAX);
        if shared.goes_on_without_one(allowed) {
            return true;
        }
        let back_by = Instant::now() + patience;
        let Ok(call) = shared.module.enter(back_by) else {
            return false;
        };
        shared.crew.is_inside(self.number, Some(back_by));
        let seat = sit_down(&shared.token, &call);
        shared.crew.is_inside(self.number, None);
        match seat {
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

    /// Looks whether the device is back, if it is time to.
    fn look(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let patience = shared.call_timeout;
        let now = Instant::now();
        match shared.breaker(|breaker| breaker.look(now, patience)) {
            Look::Later => return Next::Stay,
            Look::Now => {}
            Look::NowForAnother => drop(shared.suspect_a_hang()),
        }
        self.looks = true;
        let found = self.climb(
            now + patience,
            patience,
            &|desk| {
                object::healthy(desk)?;
                Ok(desk.call.generation())
            },
            &|| true,
        );
        self.looks = false;
        match found {
            Ok(generation) => {
                shared.module.answered(generation);
                shared.breaker(Breaker::answers);
                tracing::warn!(custody.backend = shared.backend, "the token answers again");
            }
            Err(error) => {
                let why = error.to_string();
                shared.breaker(|breaker| breaker.trip(Instant::now(), why));
            }
        }
        Next::Stay
    }

    /// Does `work`, and on errors climbs the ladder: each rung once, then the token is down.
    fn climb<T>(
        &mut self,
        by: Instant,
        patience: Duration,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<T, CustodyError> {
        let shared = Arc::clone(&self.shared);
        let mut climbed = Vec::new();
        loop {
            let back_by = Instant::now() + patience;
            let (generation, fault) = match self.once(back_by, work) {
                Ok(done) => {
                    self.did_some_work();
                    return Ok(done);
                }
                Err(failed) => failed,
            };
            let (mut rung, why) = match fault {
                Fault::Final(error) => {
                    self.did_some_work(); // the device answered
                    return Err(error);
                }
                Fault::Closed(closed) if !closed.can_rebuild => {
                    return Err(down());
                }
                Fault::Closed(_) => (Step::Rebuild, "the PKCS#11 module is down".into()),
                Fault::Absent(why) => (Step::Rebuild, why),
                Fault::Device(error) => (step(&error), brief(&error)),
            };
            let is_small = matches!(rung, Step::FindAgain | Step::NewSession | Step::Login);
            if is_small && climbed.contains(&rung) {
                rung = Step::Rebuild;
            }
            let again = climbed.contains(&rung) || Instant::now() >= by || !is_wanted();
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
                Step::OutOfMemory => return Err(shared.down(why)),
                Step::Rebuild if again => return Err(shared.down(why)),
                _ if again => return Err(CustodyError::Unavailable(why)),
                Step::FindAgain | Step::NewSession => {}
                Step::Login => self.login(back_by),
                Step::Rebuild => match shared.module.rebuild(generation, shared.call_timeout) {
                    Ok(()) => {}
                    Err(NotRebuilt::Elsewhere) => return Err(CustodyError::Unavailable(why)),
                    Err(NotRebuilt::Failed(error)) => {
                        return Err(shared.down(format!("{why}; then {error}")));
                    }
                },
            }
        }
    }

    fn did_some_work(&self) {
        if !self.looks {
            self.shared.breaker(Breaker::close);
        }
    }

    /// Does `work` once, inside a call. Also tells the generation in which it failed.
    fn once<T>(
        &mut self,
        back_by: Instant,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, (u64, Fault)> {
        let shared = Arc::clone(&self.shared);
        let entered = if self.looks {
            shared.module.enter_to_look(back_by)
        } else {
            shared.module.enter(back_by)
        };
        let call = entered.map_err(|closed| (closed.generation, Fault::Closed(closed)))?;
        let generation = call.generation();
        shared.crew.is_inside(self.number, Some(back_by));
        let done = self.at_desk(&call, work);
        shared.crew.is_inside(self.number, None);
        done.map_err(|fault| (generation, fault))
    }

    fn at_desk<T>(
        &mut self,
        call: &Call<'_>,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let token = &self.shared.token;
        let mut seat = match self.seat.take() {
            Some(seat) if seat.generation == call.generation() => seat,
            _ => sit_down(token, call)?,
        };
        let done = work(&mut Desk {
            call,
            token,
            seat: &mut seat,
        });
        match &done {
            Ok(_) | Err(Fault::Final(_)) if !seat.worn => self.seat = Some(seat),
            Ok(_) | Err(_) => close(seat.session),
        }
        done
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

fn down() -> CustodyError {
    CustodyError::Unavailable("the PKCS#11 module is down or being initialized again".into())
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
