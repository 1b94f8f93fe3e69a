//! Why the door, or what guards it, refuses.

use std::sync::Arc;

use super::{Problem, catalogue};
use crate::administrators::AdministratorError;
use crate::approvals::ApprovalNeeded;
use crate::callers::CallerError;
use crate::halts::HaltError;
use crate::ledger::LedgerError;
use crate::limits::{Exceeded, LimitError};
use crate::policy::{Denied, NotReplaced, PolicyError, Unexplained};
use crate::sessions::SessionError;
use crate::signing::{SameRequest, SigningError};

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied.hides {
            Some(noun) => Self::not_found(noun),
            None if denied.halt.is_some() => Self::new(&catalogue::HALTED, denied),
            None => Self::new(&catalogue::DENIED, denied),
        }
    }
}

impl From<ApprovalNeeded> for Problem {
    fn from(needed: ApprovalNeeded) -> Self {
        Self::new(&catalogue::APPROVAL_NEEDED, needed)
    }
}

impl From<HaltError> for Problem {
    fn from(error: HaltError) -> Self {
        match error {
            HaltError::Tokens => Self::new(&catalogue::INVALID_FIELD, error),
            HaltError::NotFound => Self::not_found("halt"),
            HaltError::Ledger(error) => error.into(),
        }
    }
}

impl From<AdministratorError> for Problem {
    fn from(error: AdministratorError) -> Self {
        match error {
            AdministratorError::Last(_) | AdministratorError::Nobody(_) => {
                Self::new(&catalogue::LAST_ADMINISTRATOR, error)
            }
            AdministratorError::Policy(error) => error.into(),
            AdministratorError::Caller(error) => error.into(),
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::TooMuch(_) | PolicyError::Malformed(_) | PolicyError::DoesNotFit(_) => {
                Self::new(&catalogue::POLICY_REFUSED, error)
            }
            PolicyError::Unreadable(..) => {
                tracing::error!(%error, "a policy was looked for in a file");
                Self::new(&catalogue::INTERNAL, "no policy comes from a file here")
            }
        }
    }
}

impl From<NotReplaced> for Problem {
    fn from(error: NotReplaced) -> Self {
        match error {
            NotReplaced::Other(_) => Self::new(&catalogue::POLICY_REPLACED, error),
            NotReplaced::Same => Self::new(&catalogue::INVALID_FIELD, error),
            NotReplaced::Ledger(error) => error.into(),
        }
    }
}

impl From<Unexplained> for Problem {
    fn from(error: Unexplained) -> Self {
        match error {
            Unexplained::NotARequest(_) | Unexplained::Unfit(_) => {
                Self::new(&catalogue::MALFORMED_QUERY, error)
            }
            Unexplained::Ledger(error) => error.into(),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Over => Self::new(&catalogue::NOT_AUTHENTICATED, error),
            SessionError::OtherCertificate => Self::new(&catalogue::CREDENTIALS_DISAGREE, error),
            SessionError::TooMany => Self::new(&catalogue::TOO_MUCH_AT_ONCE, error).retry_after(60),
            SessionError::Caller(error) => error.into(),
            SessionError::Ledger(error) => error.into(),
        }
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::NotRecognised => Self::new(&catalogue::NOT_AUTHENTICATED, error),
            CallerError::Certificate(_) => Self::new(&catalogue::CERTIFICATE_REFUSED, error),
            CallerError::Jwt(_) => Self::new(&catalogue::JWT_REFUSED, error),
            CallerError::IssuerAway(_) => {
                Self::new(&catalogue::ISSUER_UNAVAILABLE, error).retry_after(10)
            }
            CallerError::ClockOff(_) => Self::new(&catalogue::CLOCK_OFF, error).retry_after(10),
            CallerError::NameTaken | CallerError::AlreadyBootstrapped => {
                Self::new(&catalogue::NAME_TAKEN, error)
            }
            CallerError::Busy => Self::new(&catalogue::BUSY, error).retry_after(1),
            CallerError::NotFound => Self::not_found("caller"),
            CallerError::NoCredential => Self::not_found("credential"),
            CallerError::CredentialTaken => Self::new(&catalogue::CREDENTIAL_TAKEN, error),
            CallerError::TokenDays
            | CallerError::NoRole
            | CallerError::LikeAnId(_)
            | CallerError::CredentialDays
            | CallerError::SpiffeId(_)
            | CallerError::Fingerprint
            | CallerError::Claim(_)
            | CallerError::ReservedRole => Self::new(&catalogue::INVALID_FIELD, error),
            CallerError::OneToken => Self::new(&catalogue::ONE_TOKEN, error),
            CallerError::Ledger(error) => error.into(),
        }
    }
}

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Denied(denied) => denied.into(),
            SigningError::Busy => Self::new(&catalogue::BUSY, error).retry_after(1),
            SigningError::KeyNotActive(_) => Self::new(&catalogue::KEY_NOT_ACTIVE, error),
            SigningError::KeyExpired => Self::new(&catalogue::KEY_EXPIRED, error),
            SigningError::KeyEpochChanged => Self::new(&catalogue::KEY_EPOCH_CHANGED, error),
            SigningError::CallerRevoked => Self::new(&catalogue::NOT_AUTHENTICATED, error),
            SigningError::AuthorityChanged => {
                Self::new(&catalogue::AUTHORITY_CHANGED, error).retry_after(1)
            }
            SigningError::Login(refused) => refused.into(),
            SigningError::Operation(refused) => refused.into(),
            SigningError::KeyReused => Self::new(&catalogue::IDEMPOTENCY_KEY_REUSED, error),
            SigningError::InFlight => Self::new(&catalogue::IN_FLIGHT, error).retry_after(1),
            SigningError::AnswerExpired => Self::new(&catalogue::ANSWER_EXPIRED, error),
            SigningError::Custody(error) => error.into(),
            SigningError::BadSignature(_) => {
                Self::new(&catalogue::SIGNATURE_INVALID, "nothing was released")
            }
            SigningError::Late => Self::new(
                &catalogue::DEVICE_TIMED_OUT,
                "the device was too slow, twice",
            )
            .retry_after(1),
            SigningError::ClockOff(_) => Self::new(&catalogue::CLOCK_OFF, error).retry_after(10),
            SigningError::LeaseLost | SigningError::DeadlineExceeded => {
                Self::new(&catalogue::DEADLINE_EXCEEDED, error).retry_after(1)
            }
            SigningError::Unpublished(_) => {
                Self::new(&catalogue::EVIDENCE_LATE, error).retry_after(5)
            }
            SigningError::Limit(exceeded) => exceeded.into(),
            SigningError::Same(same) => same.into(),
            SigningError::Ledger(error) => error.into(),
        }
    }
}

impl From<Box<Exceeded>> for Problem {
    fn from(exceeded: Box<Exceeded>) -> Self {
        Self {
            limit: Some(Arc::from(exceeded.clone())),
            ..Self::new(&catalogue::LIMIT_EXCEEDED, exceeded)
        }
    }
}

impl From<Box<SameRequest>> for Problem {
    fn from(same: Box<SameRequest>) -> Self {
        Self {
            same: Some(Arc::from(same.clone())),
            ..Self::new(&catalogue::SAME_REQUEST, same)
        }
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::NotFound => Self::new(&catalogue::NOT_FOUND, error),
            LimitError::NotALimit(error) => Self::new(&catalogue::INVALID_FIELD, error),
            LimitError::Exceeded(exceeded) => exceeded.into(),
            LimitError::Ledger(error) => error.into(),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(_) | LedgerError::Aborted(_) => {
                tracing::warn!(%error, "the ledger is unavailable");
                let detail = "the last step is not on record; what was on record before it stays";
                Self::new(&catalogue::LEDGER_UNAVAILABLE, detail).retry_after(1)
            }
            LedgerError::CallerRevoked => Self::new(&catalogue::NOT_AUTHENTICATED, error),
            LedgerError::AuthorityChanged => {
                Self::new(&catalogue::AUTHORITY_CHANGED, error).retry_after(1)
            }
            LedgerError::NotAgreed(ref effects) => Self::awaiting(effects.clone(), &error),
            LedgerError::AgreementOver(_) => Self::new(&catalogue::PROPOSAL_OVER, error),
            LedgerError::OutcomeUnknown => {
                Self::new(&catalogue::OUTCOME_UNKNOWN, error).retry_after(1)
            }
            LedgerError::Falsified(..) => {
                tracing::error!(alarm = "falsified", %error, "the database was written to by somebody else");
                let detail = "what decides is not as this service wrote it";
                Self::new(&catalogue::FALSIFIED, detail)
            }
            LedgerError::Violation(_)
            | LedgerError::Settings(_)
            | LedgerError::Engine(_)
            | LedgerError::Schema(_)
            | LedgerError::Corrupt(..) => {
                tracing::error!(%error, "the ledger does not hold what it should");
                Self::new(
                    &catalogue::INTERNAL,
                    "the ledger does not hold what it should",
                )
            }
        }
    }
}
