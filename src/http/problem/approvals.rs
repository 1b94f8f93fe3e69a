//! Why something was not proposed or approved, or somebody not registered.

use super::{Problem, catalogue};
use crate::people::PersonError;
use crate::proposals::ProposalError;

impl From<ProposalError> for Problem {
    fn from(error: ProposalError) -> Self {
        match error {
            ProposalError::NotFound => Self::not_found("proposal"),
            ProposalError::NoPerson => Self::new(&catalogue::PERSON_NEEDED, error),
            ProposalError::TooMany => Self::too_much(error.to_string()),
            ProposalError::Over(_) => Self::new(&catalogue::PROPOSAL_OVER, error),
            ProposalError::OtherRequest => Self::new(&catalogue::IDEMPOTENCY_KEY_REUSED, error),
            ProposalError::Own
            | ProposalError::UnknownKey
            | ProposalError::SomebodyElse(_)
            | ProposalError::NoRole(_)
            | ProposalError::Signature(_)
            | ProposalError::Again
            | ProposalError::NotYours => Self::new(&catalogue::APPROVAL_REFUSED, error),
            ProposalError::Ledger(error) => error.into(),
        }
    }
}

impl From<PersonError> for Problem {
    fn from(error: PersonError) -> Self {
        match error {
            PersonError::NotFound => Self::not_found("person"),
            PersonError::NoSuchKey => Self::not_found("key"),
            PersonError::NameTaken | PersonError::KeyTaken | PersonError::AlreadyBootstrapped => {
                Self::new(&catalogue::NAME_TAKEN, error)
            }
            PersonError::Ended
            | PersonError::Ssh(_)
            | PersonError::Passkey(_)
            | PersonError::OneKey
            | PersonError::NoPasskeys
            | PersonError::TooFew => Self::new(&catalogue::INVALID_FIELD, error),
            PersonError::Caller(error) => error.into(),
            PersonError::Ledger(error) => error.into(),
        }
    }
}
