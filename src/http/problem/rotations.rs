//! Why a rotation does not go on.

use super::{Problem, catalogue};
use crate::rotations::RotationError;
use crate::rotations::wallet::WalletRotationError;

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::NotFound => Self::not_found("rotation"),
            RotationError::AlreadyOpen => Self::new(&catalogue::ROTATION_OPEN, error),
            RotationError::NoSuchStep(_) => Self::new(&catalogue::NO_SUCH_STEP, error),
            RotationError::Changed => Self::new(&catalogue::ROTATION_CHANGED, error),
            RotationError::InFlight => Self::new(&catalogue::IN_FLIGHT, error).retry_after(2),
            RotationError::NotReady(_) => Self::new(&catalogue::ROTATION_NOT_READY, error),
            RotationError::Soaking { retry_after_s } => {
                Self::new(&catalogue::ROTATION_NOT_READY, error).retry_after(retry_after_s)
            }
            RotationError::LeftBehind(_) => Self::new(&catalogue::KEY_LEFT_BEHIND, error),
            RotationError::NotTheKey(_) => Self::new(&catalogue::NOT_THE_KEY, error),
            RotationError::ProbedLately { retry_after_s } => {
                Self::new(&catalogue::PROBED_LATELY, error).retry_after(retry_after_s)
            }
            RotationError::Target
            | RotationError::ClientOrWallet
            | RotationError::NotOfAWallet(_) => Self::new(&catalogue::INVALID_FIELD, error),
            RotationError::Key(error) => error.into(),
            RotationError::Client(error) => error.into(),
            RotationError::Denied(denied) => denied.into(),
            RotationError::Endpoint(_) => Self::new(&catalogue::INTERNAL, error),
            RotationError::Signing(error) => error.into(),
            RotationError::Ledger(error) => error.into(),
        }
    }
}

impl From<WalletRotationError> for Problem {
    fn from(error: WalletRotationError) -> Self {
        match error {
            WalletRotationError::Over => Self::new(&catalogue::WALLET_REPLACED, error),
            WalletRotationError::Others(_)
            | WalletRotationError::NewKeyNotActive(_)
            | WalletRotationError::CredentialLives(_) => {
                Self::new(&catalogue::ROTATION_NOT_READY, error)
            }
            WalletRotationError::Rotation(error) => error.into(),
            WalletRotationError::Wallet(error) => error.into(),
            WalletRotationError::Key(error) => error.into(),
            WalletRotationError::Drain(error) => error.into(),
            WalletRotationError::ApiKey(error) => error.into(),
            WalletRotationError::Ledger(error) => error.into(),
        }
    }
}
