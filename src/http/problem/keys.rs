//! Why a key, or its device, does not do what is asked.

use super::{Problem, catalogue};
use crate::attestation::AttestationError;
use crate::custody::CustodyError;
use crate::destruction::DestructionError;
use crate::keys::{BadPeriod, KeyError};
use crate::resealing::ResealingError;

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NameTaken => Self::new(&catalogue::NAME_TAKEN, error),
            KeyError::OnRecord(_) | KeyError::WasCompromised => {
                Self::new(&catalogue::NOT_ADOPTABLE, error)
            }
            KeyError::NoImport => Self::new(&catalogue::NO_IMPORT, error),
            KeyError::ImportUnderWay => Self::new(&catalogue::IN_FLIGHT, error).retry_after(5),
            KeyError::NotFound => Self::not_found("key"),
            KeyError::WrongAlgorithm => {
                Self::new(&catalogue::INVALID_FIELD, format!("algorithm: {error}"))
            }
            KeyError::Cryptoperiod(_)
            | KeyError::Reserved(_)
            | KeyError::NoSuchDevice { .. }
            | KeyError::NotAPublicKey => Self::new(&catalogue::INVALID_FIELD, error),
            KeyError::BadPeriod(bad) => match bad {
                BadPeriod::State(_) | BadPeriod::Over => Self::new(&catalogue::KEY_EXPIRED, bad),
                BadPeriod::Past | BadPeriod::Same | BadPeriod::TooLong(_) => {
                    Self::new(&catalogue::INVALID_FIELD, bad)
                }
            },
            KeyError::BeingMade { retry_after_s } => {
                Self::new(&catalogue::IN_FLIGHT, error).retry_after(retry_after_s)
            }
            KeyError::NotAStep(_)
            | KeyError::NotSwitched { .. }
            | KeyError::NeverMade
            | KeyError::NoOrphan => Self::new(&catalogue::NOT_A_STEP, error),
            KeyError::Changed => Self::new(&catalogue::KEY_CHANGED, error),
            KeyError::ApprovalNeeded(needed) => needed.into(),
            KeyError::Custody(error) => error.into(),
            KeyError::Ledger(error) => error.into(),
        }
    }
}

impl From<CustodyError> for Problem {
    fn from(error: CustodyError) -> Self {
        match error {
            CustodyError::Busy => {
                Self::new(&catalogue::BUSY, "the device's queue is full").retry_after(1)
            }
            CustodyError::TimedOut => Self::new(&catalogue::DEVICE_TIMED_OUT, error),
            CustodyError::Throttled { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000).clamp(1, 60);
                Self::new(&catalogue::DEVICE_THROTTLED, error)
                    .retry_after(u32::try_from(seconds).unwrap_or(60))
            }
            CustodyError::Disabled(_)
            | CustodyError::PendingDeletion(_)
            | CustodyError::WrongUsage(_) => {
                tracing::error!(%error, "a device does not sign with a key that is on record");
                Self::new(&catalogue::DEVICE_REFUSES_KEY, error)
            }
            CustodyError::Unsupported(_) => Self::new(&catalogue::DEVICE_CANNOT, error),
            CustodyError::NotAdoptable(_) => Self::new(&catalogue::NOT_ADOPTABLE, error),
            CustodyError::DoesNotUnwrap | CustodyError::NotTheKey(_) => {
                Self::new(&catalogue::IMPORT_REFUSED, error)
            }
            CustodyError::Unavailable(_) => {
                tracing::warn!(%error, "a device is unavailable");
                Self::new(&catalogue::DEVICE_UNAVAILABLE, "the device does not answer")
                    .retry_after(5)
            }
            CustodyError::SealingKeyMissing(_) => {
                tracing::error!(%error, "a device's sealing key is missing");
                let detail = "what it takes was sealed under a key that is not there";
                Self::new(&catalogue::SEALING_KEY_MISSING, detail).retry_after(60)
            }
            CustodyError::NotFound { .. }
            | CustodyError::PinRefused
            | CustodyError::AccessDenied(_)
            | CustodyError::Refused(_)
            | CustodyError::Nonsense(_)
            | CustodyError::NotASignature(_)
            | CustodyError::DoesNotOpen
            | CustodyError::WrongPayload(_) => {
                tracing::error!(%error, "a device needs an operator");
                Self::new(
                    &catalogue::DEVICE_UNAVAILABLE,
                    "the device needs an operator",
                )
                .retry_after(60)
            }
        }
    }
}

impl From<AttestationError> for Problem {
    fn from(error: AttestationError) -> Self {
        match error {
            AttestationError::NoStatementKey(_) => Self::new(&catalogue::NO_STATEMENT_KEY, error),
            AttestationError::Gone(_) | AttestationError::NeverMade => {
                Self::new(&catalogue::KEY_NOT_ACTIVE, error)
            }
            AttestationError::Custody(error) => error.into(),
            AttestationError::Signing(error) => error.into(),
            AttestationError::Key(error) => error.into(),
            AttestationError::Ledger(error) => error.into(),
        }
    }
}

impl From<DestructionError> for Problem {
    fn from(error: DestructionError) -> Self {
        match error {
            DestructionError::InTheWay(_) => Self::new(&catalogue::KEY_IN_USE, error),
            DestructionError::NotAcceptable(_) => Self::new(&catalogue::INVALID_FIELD, error),
            DestructionError::Begun => Self::new(&catalogue::DESTRUCTION_BEGUN, error),
            DestructionError::NotPending(_) | DestructionError::NotTheWayBack { .. } => {
                Self::new(&catalogue::NOT_A_STEP, error)
            }
            DestructionError::Key(error) => error.into(),
            DestructionError::Custody(error) => error.into(),
            DestructionError::Ledger(error) => error.into(),
        }
    }
}

impl From<ResealingError> for Problem {
    fn from(error: ResealingError) -> Self {
        match error {
            ResealingError::NoSuchDevice => Self::not_found("device"),
            ResealingError::NoSuchKey => Self::not_found("sealing key"),
            ResealingError::InUse(_) => Self::new(&catalogue::SEALING_KEY_IN_USE, error),
            ResealingError::ApprovalNeeded(needed) => needed.into(),
            ResealingError::Custody(error) => error.into(),
            ResealingError::Ledger(error) => error.into(),
        }
    }
}
