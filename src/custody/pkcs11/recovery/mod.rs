//! What to do after a device's error: the rungs of the recovery ladder, and the breaker that keeps callers
//! away from a device until it answers. Pure.
//!
//! # Why
//! Modules disagree about codes: a stale key is `OBJECT_HANDLE_INVALID` to one and
//! `KEY_HANDLE_INVALID` to another, and a lost token may look like either, then like an empty find.
//! So each rung is tried once, the cheapest first, and only the last one disturbs others: `C_Finalize` and
//! `C_Initialize`, without which most modules do not notice a token again.

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
    /// The PIN is wrong. It is never tried again while its file holds the same: tokens count.
    PinRefused,
    /// No session is left for us. The open ones go on.
    GiveUp,
    /// The device or its library is out of memory, which no rebuild gives back.
    OutOfMemory,
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
        RvError::SessionCount => Step::GiveUp,
        RvError::DeviceMemory | RvError::HostMemory => Step::OutOfMemory,
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

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Keeps callers away from a device that is down. An idle worker looks whether the device is back, not a
/// request; after each failure the pause before the next look doubles.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    why: String,
    look_again: Instant,
    /// Since when a worker looks.
    looking: Option<Instant>,
}

/// Whether to look now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// No other worker looks.
    Now,
    /// The last worker that looked has not come back.
    NowForAnother,
    /// Not now.
    Later,
}

impl Breaker {
    /// Lets a call through, or says why the device is down.
    pub(super) fn admit(&self) -> Result<(), String> {
        self.open
            .as_ref()
            .map_or(Ok(()), |open| Err(open.why.clone()))
    }

    /// The device failed in spite of the ladder.
    pub(super) fn trip(&mut self, now: Instant, why: String) {
        self.failures = self.failures.saturating_add(1);
        let look_again = now + self.pause();
        self.open = Some(Open {
            why,
            look_again,
            looking: None,
        });
    }

    /// Has a worker look at once: the module may answer other calls than the hanging one.
    pub(super) fn trip_to_look(&mut self, now: Instant, why: &str) {
        self.open.get_or_insert_with(|| Open {
            why: why.to_owned(),
            look_again: now,
            looking: None,
        });
    }

    /// When the next look is due. A look that is not back after `patience` is given up.
    pub(super) fn next_look(&self, patience: Duration) -> Option<Instant> {
        let open = self.open.as_ref()?;
        let back_by = open.looking.map(|since| since + patience);
        Some(back_by.unwrap_or(open.look_again))
    }

    /// Says whether the worker that calls this is to look.
    pub(super) fn look(&mut self, now: Instant, patience: Duration) -> Look {
        let due = self.next_look(patience).is_some_and(|at| at <= now);
        match &mut self.open {
            Some(open) if due => match open.looking.replace(now) {
                None => Look::Now,
                Some(_) => Look::NowForAnother,
            },
            _ => Look::Later,
        }
    }

    /// Records that the device answered a look. Its failures are forgotten once it has done some work.
    pub(super) fn answers(&mut self) {
        self.open = None;
    }

    /// Records that the device did some work.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests;
