//! Why the relayer does not carry something out, or it is not known.

use super::{Problem, catalogue};
use crate::clob::relayer::{Means, NotSubmitted, RelayerError};

impl From<RelayerError> for Problem {
    fn from(error: RelayerError) -> Self {
        match (&error, error.means()) {
            (RelayerError::NotConfigured(_), _) => {
                Self::new(&catalogue::RELAYER_NOT_CONFIGURED, error)
            }
            (RelayerError::Unreachable, _) => {
                Self::new(&catalogue::RELAYER_UNAVAILABLE, error).retry_after(5)
            }
            (RelayerError::Throttled(after), _) => {
                let after = after.unwrap_or(5);
                Self::new(&catalogue::RELAYER_UNAVAILABLE, error).retry_after(after)
            }
            (RelayerError::Unclear(_), _) => {
                Self::new(&catalogue::SUBMISSION_UNKNOWN, error).retry_after(5)
            }
            (RelayerError::Refused { .. }, Means::Busy | Means::NotKnownYet) => {
                Self::new(&catalogue::RELAYER_BUSY, error).retry_after(10)
            }
            (RelayerError::Refused { .. }, Means::OtherNonce) => {
                Self::new(&catalogue::RELAYER_NONCE, error)
            }
            (RelayerError::Refused { .. }, Means::NotPermitted | Means::Other) => {
                Self::new(&catalogue::RELAYER_REFUSED, error)
            }
        }
    }
}

impl From<NotSubmitted> for Problem {
    fn from(error: NotSubmitted) -> Self {
        match error {
            NotSubmitted::NotForIt(_) | NotSubmitted::Place(_) => {
                Self::new(&catalogue::OPERATION_REFUSED, error)
            }
            NotSubmitted::NotFound => Self::not_found("operation"),
            NotSubmitted::Withheld(_) => Self::new(&catalogue::KEY_NOT_ACTIVE, error),
            NotSubmitted::NoCredential => Self::new(&catalogue::NO_CREDENTIAL, error),
            NotSubmitted::Relayer(error) => error.into(),
            NotSubmitted::Request(error) => error.into(),
            NotSubmitted::Wallet(error) => (*error).into(),
            NotSubmitted::Signing(error) => error.into(),
            NotSubmitted::Custody(error) => error.into(),
            NotSubmitted::Ledger(error) => error.into(),
        }
    }
}
