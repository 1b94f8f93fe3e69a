//! What can go wrong at a token.

use cryptoki::error::Error;

use super::module::Closed;
use crate::custody::CustodyError;

/// What can go wrong at a desk.
#[derive(Debug)]
pub(super) enum Fault {
    /// The device answered with an error: the ladder decides.
    Device(Error),
    /// The token, or a key that must be there, is not.
    Absent(String),
    /// The module is down.
    Closed(Closed),
    /// An answer for the caller.
    Final(CustodyError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl From<CustodyError> for Fault {
    fn from(error: CustodyError) -> Self {
        Self::Final(error)
    }
}
