//! What a signer works with.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::audit::Log;
use crate::clock::Clock;
use crate::custody::Vault;
use crate::evidence::Evidence;
use crate::keys::Keys;
use crate::limits::Limiter;
use crate::policy::Rights;
use crate::sealing::Keyring;

/// What a signer works with.
pub struct Equipment {
    /// Who may do what.
    pub rights: Rights,
    /// How much everybody may do.
    pub limits: Limiter,
    /// The devices.
    pub vault: Arc<Vault>,
    /// The keys: one whose device signs something else is suspended.
    pub keys: Keys,
    /// Where evidence goes.
    pub log: Log,
    /// Whether it is published in time.
    pub evidence: Evidence,
    /// Seals answers that are credentials.
    pub sealing: Arc<Keyring>,
    /// The time.
    pub clock: Clock,
    /// Where work runs that outlives its request.
    pub tasks: TaskTracker,
}
