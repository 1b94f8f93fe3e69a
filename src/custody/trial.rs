//! A trial of a device's own speed, for `chancery bench`.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Algorithm, CustodyError};

/// What is signed: 32 bytes as they are by ECDSA, a message of the size of an assertion's by RSA.
pub(super) const DIGEST: [u8; 32] = [7; 32];
pub(super) const MESSAGE: [u8; 350] = [7; 350];

/// A device whose own speed can be measured.
///
/// There is no way here to have anything signed: the key pair is made for the trial and destroyed after
/// it, and what is signed is a constant.
#[async_trait]
pub trait OnTrial: Send + Sync {
    /// Signs as often as it can.
    async fn try_out(&self, trial: Trial) -> Result<Tried, CustodyError>;
}

/// How a device is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// The kind of key.
    pub algorithm: Algorithm,
    /// How many signatures are asked for at a time.
    pub at_once: usize,
    /// For how long.
    pub time: Duration,
    /// The processor time that this process has used up to now.
    pub spent: fn() -> Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Of each signature.
    pub latencies: Vec<Duration>,
    /// How long it took.
    pub time: Duration,
    /// What this process used of the processors meanwhile.
    pub spent: Duration,
}

/// A trial that has begun: the key is there.
pub(super) struct Begun {
    start: Instant,
    spent: Duration,
    trial: Trial,
}

impl Trial {
    pub(super) fn begin(self) -> Begun {
        Begun {
            spent: (self.spent)(),
            start: Instant::now(),
            trial: self,
        }
    }
}

impl Begun {
    /// When it is over.
    pub(super) fn until(&self) -> Instant {
        self.start + self.trial.time
    }

    pub(super) fn end(self, latencies: Vec<Duration>) -> Tried {
        Tried {
            latencies,
            time: self.start.elapsed(),
            spent: (self.trial.spent)().saturating_sub(self.spent),
        }
    }
}
