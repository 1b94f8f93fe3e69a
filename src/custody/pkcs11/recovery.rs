//! What to do after a device's error: the rungs of the recovery ladder, and the breaker that keeps
//! everybody off it for a while. Pure.
//!
//! # Why
//! Modules disagree about codes: a stale key is `OBJECT_HANDLE_INVALID` to one and
//! `KEY_HANDLE_INVALID` to another, and a lost token may look like either, then like an empty find.
//! So each rung is tried once, in the order of its cost, and only the last one disturbs others:
//! `C_Finalize` and `C_Initialize`, the one thing that makes most modules notice a token again.

use std::time::{Duration, Instant};

use cryptoki::error::{Error, RvError};

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The handle is stale: find the object again, in a new session.
    FindAgain,
    /// The session is dead or confused: open another.
    NewSession,
    /// The login is gone.
    Login,
    /// The token or the module is in trouble: finalize and initialize.
    Rebuild,
    /// The PIN is wrong. Never again until a restart: tokens count.
    PinRefused,
    /// The device is out of something that a rebuild does not give back.
    GiveUp,
    /// The device works and says no.
    Refuse,
    /// The device's answer could not be read.
    Nonsense,
}

/// Which rung an error leads to.
pub(super) fn step(error: &Error) -> Step {
    let Error::Pkcs11(code, _) = error else {
        return match error {
            Error::NullFunctionPointer | Error::NotSupported => Step::Refuse,
            _ => Step::Nonsense,
        };
    };
    match code {
        RvError::ObjectHandleInvalid | RvError::KeyHandleInvalid => Step::FindAgain,
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::FunctionCanceled
        | RvError::VendorDefined(_)
        | RvError::UnknownErrorCode(_) => Step::NewSession,
        RvError::UserNotLoggedIn => Step::Login,
        RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::CryptokiNotInitialized => Step::Rebuild,
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized => Step::PinRefused,
        RvError::SessionCount | RvError::DeviceMemory | RvError::HostMemory => Step::GiveUp,
        _ => Step::Refuse,
    }
}

/// An error in one line, as `DeviceError from Sign`: cryptoki's own text is a paragraph.
pub(super) fn brief(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{code:?} from {function:?}"),
        other => other.to_string(),
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keeps callers away from a device that is down: after each failure one of them may look again, and
/// the pause before that doubles.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    why: String,
    look_again: Instant,
}

impl Breaker {
    /// Lets a call through, or says why the device is down. While it is down, the one who is let
    /// through is the probe: the others wait for another pause.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), String> {
        let pause = self.pause();
        match &mut self.open {
            None => Ok(()),
            Some(open) if now < open.look_again => Err(open.why.clone()),
            Some(open) => {
                open.look_again = now + pause;
                Ok(())
            }
        }
    }

    /// The device failed in spite of the ladder.
    pub(super) fn trip(&mut self, now: Instant, why: String) {
        self.failures = self.failures.saturating_add(1);
        let look_again = now + self.pause();
        self.open = Some(Open { why, look_again });
    }

    /// The device answered.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn each_code_leads_to_its_rung() {
        let rung = |code| step(&Error::Pkcs11(code, Function::Sign));
        assert_eq!(rung(RvError::KeyHandleInvalid), Step::FindAgain);
        assert_eq!(rung(RvError::ObjectHandleInvalid), Step::FindAgain);
        assert_eq!(rung(RvError::OperationActive), Step::NewSession);
        assert_eq!(rung(RvError::VendorDefined(7)), Step::NewSession);
        assert_eq!(rung(RvError::UserNotLoggedIn), Step::Login);
        assert_eq!(rung(RvError::DeviceError), Step::Rebuild);
        assert_eq!(rung(RvError::GeneralError), Step::Rebuild);
        assert_eq!(rung(RvError::PinIncorrect), Step::PinRefused);
        assert_eq!(rung(RvError::PinLocked), Step::PinRefused);
        assert_eq!(rung(RvError::SessionCount), Step::GiveUp);
        assert_eq!(rung(RvError::MechanismInvalid), Step::Refuse);
        assert_eq!(step(&Error::InvalidValue), Step::Nonsense);
    }

    #[test]
    fn an_open_breaker_lets_one_look_after_each_pause_and_the_pause_grows() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.admit(start), Ok(()));
        breaker.trip(start, "gone".into());
        assert_eq!(breaker.admit(start), Err("gone".into()));
        let later = start + FIRST_PAUSE;
        assert_eq!(breaker.admit(later), Ok(()), "the probe");
        assert_eq!(breaker.admit(later), Err("gone".into()), "only one");

        breaker.trip(later, "gone".into());
        assert!(breaker.admit(later + FIRST_PAUSE).is_err());
        assert!(breaker.admit(later + FIRST_PAUSE * 2).is_ok());
        for _ in 0..100 {
            breaker.trip(later, "gone".into());
        }
        assert!(breaker.admit(later + LONGEST_PAUSE).is_ok());
        breaker.close();
        assert_eq!(breaker.admit(later), Ok(()));
    }
}
