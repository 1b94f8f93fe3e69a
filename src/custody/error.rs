//! Why a device did not do what was asked of it.

use std::time::Duration;

use super::Algorithm;
use crate::id::KeyId;

/// Why a device did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CustodyError {
    /// The queue in front of the device is full.
    #[error("the device is busy")]
    Busy,
    /// The device does not answer, or not sensibly. It may come back.
    #[error("the device is unavailable: {0}")]
    Unavailable(String),
    /// The device did not answer in time. Whether it did the work is unknown.
    #[error("the device did not answer in time")]
    TimedOut,
    /// A healthy device does not hold exactly one such key.
    #[error("the device holds {found} keys with the id {id}")]
    NotFound {
        /// The key.
        id: KeyId,
        /// How many objects answered to it.
        found: usize,
    },
    /// The device's quota is used up. The device will take more after a while.
    #[error("the device is asked for more than its share allows")]
    Throttled {
        /// How long that is.
        retry_after: Duration,
    },
    /// The device holds the key and was told not to use it.
    #[error("the device keeps key {0} disabled")]
    Disabled(KeyId),
    /// The device is about to destroy the key, or waits for its private half to be brought.
    #[error("the device does not use key {0}: its deletion is scheduled, or it is not whole")]
    PendingDeletion(KeyId),
    /// The device holds the key for another use or another algorithm.
    #[error("the device holds key {0} for another use")]
    WrongUsage(KeyId),
    /// The device does not take the service's own credentials, or they are not enough.
    #[error("the device does not let this service do it: {0}")]
    AccessDenied(String),
    /// The key cannot be adopted.
    #[error("not a key to adopt: {0}")]
    NotAdoptable(String),
    /// The wrapped key is for another device or another offer, or was altered.
    #[error("what was brought does not unwrap: wrap the key again, as a new offer says")]
    DoesNotUnwrap,
    /// The key that was brought is another one than the announced. It was not kept.
    #[error("what was brought is not the key that was announced, and was not kept: {0}")]
    NotTheKey(String),
    /// This kind of device does no such thing.
    #[error("not with this device: {0}")]
    Unsupported(String),
    /// The device refused the PIN, which is not tried again: a token that counts wrong PINs would lock.
    #[error("the device refused the PIN")]
    PinRefused,
    /// The device refused the operation for good.
    #[error("the device refused: {0}")]
    Refused(String),
    /// The device answered something that is not a key, a signature or an attribute.
    #[error("the device answered nonsense: {0}")]
    Nonsense(String),
    /// The device answered an order to sign with something that is no signature by that key. An alarm.
    #[error("the device gave no signature: {0}")]
    NotASignature(String),
    /// The secret was sealed under a key that is not there.
    #[error("sealed under a key that is not there: {0}")]
    SealingKeyMissing(String),
    /// The sealed secret was altered, or is bound to something else. Nobody can tell which.
    #[error("the sealed secret does not open")]
    DoesNotOpen,
    /// The payload does not fit the key: a digest for RSA, a message for secp256k1.
    #[error("a {0:?} key does not sign this kind of payload")]
    WrongPayload(Algorithm),
}

impl CustodyError {
    /// Whether the device may do the same a moment later. A repeated order to sign is safe: a signature that
    /// nobody saw is none, and a second one over the same digest says nothing new.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::Unavailable(_) | Self::TimedOut | Self::Throttled { .. } => true,
            Self::NotFound { .. }
            | Self::Disabled(_)
            | Self::PendingDeletion(_)
            | Self::WrongUsage(_)
            | Self::AccessDenied(_)
            | Self::NotAdoptable(_)
            | Self::DoesNotUnwrap
            | Self::NotTheKey(_)
            | Self::Unsupported(_)
            | Self::PinRefused
            | Self::Refused(_)
            | Self::Nonsense(_)
            | Self::NotASignature(_)
            | Self::DoesNotOpen
            | Self::SealingKeyMissing(_)
            | Self::WrongPayload(_) => false,
        }
    }
}
