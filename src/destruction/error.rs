//! Why a destruction is not ordered, or not cancelled.

use super::obstacles::{Obstacle, ObstacleKind};
use crate::custody::CustodyError;
use crate::keys::{KeyError, KeyState};
use crate::ledger::LedgerError;

/// Why a destruction is not ordered, or not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum DestructionError {
    /// Something depends on the key.
    #[error("the key cannot be destroyed yet: {}", listed(.0))]
    InTheWay(Vec<Obstacle>),
    /// The request accepts what cannot be accepted.
    #[error("accept: {} has to be dealt with and cannot be accepted", .0.name())]
    NotAcceptable(ObstacleKind),
    /// The device has the order already.
    #[error("the destruction has begun, and there is no way back")]
    Begun,
    /// It was something else before.
    #[error("the key was {} before: it does not come back as {}", .before.name(), .to.name())]
    NotTheWayBack {
        /// Its state before.
        before: KeyState,
        /// What it was to be.
        to: KeyState,
    },
    /// The key is not about to be destroyed.
    #[error("the key is {0}, not destroy-pending")]
    NotPending(&'static str),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The device.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn listed(obstacles: &[Obstacle]) -> String {
    let all: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
    all.join("; ")
}
