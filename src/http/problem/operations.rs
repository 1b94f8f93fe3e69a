//! Why a wallet operation is not signed.

use super::{Problem, catalogue};
use crate::clob::operation::NotPaid;
use crate::clob::typed_data::operation::NotPlanned;
use crate::operations::{NoPlan, NotClaimed, NotInCatalogue, Refused};

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unfit(_) => Self::new(&catalogue::OPERATION_REFUSED, refused),
            Refused::Spender { .. } => Self::new(&catalogue::SPENDER_REFUSED, refused),
            Refused::Recipient { .. } => Self::new(&catalogue::RECIPIENT_REFUSED, refused),
            Refused::Fee { .. } => Self::new(&catalogue::FEE_TOO_HIGH, refused),
            Refused::Deadline(_) => Self::new(&catalogue::DEADLINE_REFUSED, refused),
            Refused::TooLong(_) => Self::new(&catalogue::BATCH_TOO_LONG, refused),
            Refused::NotThere(_) => Self::new(&catalogue::NOT_ON_CHAIN, refused),
        }
    }
}

impl From<NoPlan> for Problem {
    fn from(error: NoPlan) -> Self {
        match error {
            NoPlan::Refused(refused) => refused.into(),
            NoPlan::Unnamed(_) => Self::new(&catalogue::OPERATION_REFUSED, error),
        }
    }
}

impl From<NotPaid> for Problem {
    fn from(error: NotPaid) -> Self {
        match error {
            NotPaid::Unknown(_) => Self::new(&catalogue::RECIPIENT_UNKNOWN, error),
            NotPaid::Several => Self::new(&catalogue::OPERATION_REFUSED, error),
        }
    }
}

impl From<NotInCatalogue> for Problem {
    fn from(error: NotInCatalogue) -> Self {
        Self::new(&catalogue::CALL_REFUSED, error)
    }
}

impl From<NotPlanned> for Problem {
    fn from(error: NotPlanned) -> Self {
        match error {
            NotPlanned::TypedData(error) => error.into(),
            NotPlanned::Call(error) => error.into(),
            NotPlanned::Refused(error) => error.into(),
        }
    }
}

impl From<NotClaimed> for Problem {
    fn from(error: NotClaimed) -> Self {
        match error {
            NotClaimed::Taken { .. } => Self::new(&catalogue::OPERATION_NONCE_TAKEN, error),
            NotClaimed::Spent { .. } => Self::new(&catalogue::OPERATION_NONCE_SPENT, error),
            NotClaimed::Ahead { .. } => Self::new(&catalogue::OPERATION_NONCE_AHEAD, error),
            NotClaimed::Unsettled { .. } => Self::new(&catalogue::OPERATION_UNSETTLED, error),
            NotClaimed::NoReplacement(_) => Self::new(&catalogue::OPERATION_NOT_REPLACED, error),
            NotClaimed::Moved => Self::new(&catalogue::IN_FLIGHT, error).retry_after(1),
        }
    }
}
