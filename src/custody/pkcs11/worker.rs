//! Threads that own sessions. Async code hands them work over a bounded queue and waits for the
//! answer, no longer than its deadline.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::module::{Call, Closed, NotRebuilt};
use super::object;
use super::recovery::{Breaker, Look, Step, brief, step};
use super::token::{Token, close};
use super::workers::{Job, Next, Shared, down};
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

/// A thread, and the session that it has.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    number: u64,
    /// It looks whether the device is back.
    looks: bool,
    /// Thrown away after every error: a failed operation may have stayed open in it.
    seat: Option<Seat>,
}

impl Worker {
    /// One with this number in the crew, and no session yet.
    pub(super) fn new(shared: Arc<Shared>, number: u64) -> Self {
        Self {
            shared,
            number,
            looks: false,
            seat: None,
        }
    }

    /// Its number in the crew.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn serve(mut self) {
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
        if let (Some(seat), Ok(call)) = (
            self.seat.take(),
            shared.module.enter(Instant::now() + shared.timeout),
        ) && seat.generation == call.generation()
        {
            close(seat.session);
        }
        shared.crew.leave(self.number);
    }

    /// Whether the token has no session for this worker, and others go on without it. A token says so
    /// beforehand, or refuses one more. A worker that sits stays.
    pub(super) fn has_no_session(&mut self, patience: Duration) -> bool {
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
        let module = &self.shared.module;
        self.shared.breaker(|breaker| {
            // Others may hang meanwhile, and then somebody has to look.
            if !self.looks && !module.is_down() {
                breaker.close();
            }
        });
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
