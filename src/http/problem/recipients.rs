//! Why somebody is no recipient, or is not sent anything.

use super::{Problem, catalogue};
use crate::recipients::{NoRecipient, RecipientError};

impl From<RecipientError> for Problem {
    fn from(error: RecipientError) -> Self {
        match error {
            RecipientError::NotFound => Self::not_found("recipient"),
            RecipientError::NameTaken | RecipientError::AddressTaken(_) => {
                Self::new(&catalogue::NAME_TAKEN, error)
            }
            RecipientError::Unfit(error) => Self::new(&catalogue::RECIPIENT_REFUSED, error),
            RecipientError::Wallet(error) => error.into(),
            RecipientError::Ledger(error) => error.into(),
        }
    }
}

impl From<NoRecipient> for Problem {
    fn from(error: NoRecipient) -> Self {
        match error {
            NoRecipient::Unknown(..) | NoRecipient::OtherDesk(_) => {
                Self::new(&catalogue::RECIPIENT_UNKNOWN, error)
            }
            NoRecipient::Waits { .. } => Self::new(&catalogue::RECIPIENT_WAITS, error),
            NoRecipient::Ledger(error) => error.into(),
        }
    }
}
