//! A thread that owns a session, takes jobs, and recovers the device where they fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use cryptoki::error::{Error, RvError};

use super::desk::{Desk, Seat, sit_down};
use super::fault::Fault;
use super::find::healthy;
use super::module::{Call, NotRebuilt};
use super::queue::Receiver;
use super::recovery::{Breaker, Look, Step, brief, step};
use super::shared::{Shared, down};
use super::token::close;
use crate::custody::CustodyError;

/// How often an idle worker checks whether a look at the device is due.
const IDLE: Duration = Duration::from_secs(1);

pub(super) type Job = Box<dyn FnOnce(&mut Worker) -> Next + Send>;

/// What a worker does after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It takes the next job.
    Stay,
    /// It ends, for the token has no session for it; others do the work.
    Leave,
}

/// A thread, and the session that it has.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    jobs: Receiver<Job>,
    number: u64,
    /// Whether it is looking whether the device is back.
    looks: bool,
    /// The worker's session, thrown away after every error: a failed operation may have stayed open in it.
    seat: Option<Seat>,
}

/// Starts another worker.
pub(super) fn hire(shared: &Arc<Shared>, jobs: &Receiver<Job>) -> Result<(), CustodyError> {
    let worker = Worker {
        shared: Arc::clone(shared),
        jobs: jobs.clone(),
        number: shared.crew.join(),
        looks: false,
        seat: None,
    };
    let thread = std::thread::Builder::new().name(format!("pkcs11-{}", worker.number));
    let number = worker.number;
    let started = thread.spawn(move || worker.serve());
    let none = |error| CustodyError::Unavailable(format!("no thread: {error}"));
    shared.crew.keep(number, started.map_err(none)?);
    Ok(())
}

/// Gives up calls that should be back, and replaces the workers in them. Returns whether there are any.
pub(super) fn suspect_a_hang(shared: &Arc<Shared>, jobs: &Receiver<Job>) -> bool {
    let now = Instant::now();
    let module_hangs = shared.module.suspect_a_hang(now);
    let given_up = shared.crew.give_up(now);
    if module_hangs || given_up > 0 {
        shared.look("a call into the PKCS#11 module hangs");
    }
    for _ in 0..given_up {
        if let Err(error) = hire(shared, jobs) {
            tracing::error!(custody.backend = shared.backend, %error, "a lost worker is not replaced");
        }
    }
    module_hangs || given_up > 0
}

impl Worker {
    fn serve(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let look = shared.breaker(|it| it.next_look(shared.call_timeout));
            let look = look.unwrap_or_else(|| Instant::now() + IDLE);
            let job: Job = match self.jobs.recv_deadline(look) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => Box::new(Self::look),
                Err(RecvTimeoutError::Disconnected) => break,
            };
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
            if shared.crew.is_replaced(self.number) {
                break;
            }
        }
        if let (Some(seat), Ok(call)) = (self.seat.take(), shared.module.enter(shared.timeout))
            && seat.generation == call.generation()
        {
            close(seat.session);
        }
        shared.crew.leave(self.number);
    }

    /// Whether the token has no session for this worker, and others go on without it. A token tells its
    /// limit beforehand, or refuses one session more. A worker with a session stays.
    pub(super) fn has_no_session(&mut self, patience: Duration) -> bool {
        if self.seat.is_some() {
            return false;
        }
        let shared = Arc::clone(&self.shared);
        let allowed = shared.token.limit().unwrap_or(usize::MAX);
        if shared.goes_on_without_one(allowed) {
            return true;
        }
        let Ok(call) = shared.module.enter(patience) else {
            return false;
        };
        shared.crew.is_inside(self.number, Some(call.back_by()));
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
            Err(_) => false, // the work meets the same error, and climbs the ladder
        }
    }

    /// Looks whether the device is back, if a look is due.
    fn look(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let patience = shared.call_timeout;
        let now = Instant::now();
        match shared.breaker(|breaker| breaker.look(now, patience)) {
            Look::Later => return Next::Stay,
            Look::Now => {}
            Look::NowForAnother => drop(suspect_a_hang(&shared, &self.jobs)),
        }
        self.looks = true;
        let found = self.climb(
            now + patience,
            patience,
            &|desk| {
                healthy(desk)?;
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
    pub(super) fn climb<T>(
        &mut self,
        by: Instant,
        patience: Duration,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<T, CustodyError> {
        let shared = Arc::clone(&self.shared);
        let mut climbed = Vec::new();
        loop {
            let (generation, fault) = match self.once(patience, work) {
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
                Step::Login => self.login(patience),
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
        let module = &self.shared.module;
        self.shared.breaker(|breaker| {
            // Other calls may hang meanwhile, and then a look is due.
            if !self.looks && !module.is_down() {
                breaker.close();
            }
        });
    }

    /// Does `work` once, inside a call. A failure comes with the generation in which it happened.
    fn once<T>(
        &mut self,
        patience: Duration,
        work: &impl Fn(&mut Desk<'_>) -> Result<T, Fault>,
    ) -> Result<T, (u64, Fault)> {
        let shared = Arc::clone(&self.shared);
        let entered = if self.looks {
            shared.module.enter_to_look(patience)
        } else {
            shared.module.enter(patience)
        };
        let call = entered.map_err(|closed| (closed.generation, Fault::Closed(closed)))?;
        let generation = call.generation();
        shared.crew.is_inside(self.number, Some(call.back_by()));
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

    /// Logs in again. If that fails, the next attempt fails too and tells why.
    fn login(&self, patience: Duration) {
        if let Ok(call) = self.shared.module.enter(patience)
            && let Err(fault) = self.shared.token.login_again(&call)
        {
            tracing::debug!(?fault, "the login failed");
        }
    }
}
