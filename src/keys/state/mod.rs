//! The states of a key (NIST SP 800-57 part 1, section 7, with `retiring` and `destroy-pending`
//! added) and the steps between them.

words! {
    /// What a key may be used for.
    #[derive(utoipa::ToSchema)]
    pub enum KeyState {
        /// The key is made, and not yet in use.
        PreActivation = "pre-activation",
        /// Signs.
        Active = "active",
        /// Being replaced; kept for a roll-back.
        Retiring = "retiring",
        /// Stopped for now.
        Suspended = "suspended",
        /// At the end of its period.
        Deactivated = "deactivated",
        /// Known, or suspected, to be in other hands.
        Compromised = "compromised",
        /// Waiting to be destroyed.
        DestroyPending = "destroy-pending",
        /// Gone.
        Destroyed = "destroyed",
    }
}

/// The step is not one that a key can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key does not go from {} to {}", .from.name(), .to.name())]
pub struct NotAStep {
    /// The key's state.
    pub from: KeyState,
    /// The state it was to move to.
    pub to: KeyState,
}

impl KeyState {
    /// Takes a step, if there is one. The same edges stand in `key_state_edges`.
    pub fn step(self, to: Self) -> Result<Self, NotAStep> {
        use KeyState::{
            Active, Compromised, Deactivated, DestroyPending, Destroyed, PreActivation, Retiring,
            Suspended,
        };
        match (self, to) {
            (PreActivation | Retiring | Suspended, Active)
            | (Active, Retiring)
            | (Active | Retiring, Suspended)
            | (Active | Retiring | Suspended | DestroyPending, Deactivated)
            | (
                PreActivation | Active | Retiring | Suspended | Deactivated | DestroyPending,
                Compromised,
            )
            | (PreActivation | Deactivated | Compromised, DestroyPending)
            | (DestroyPending, PreActivation | Destroyed) => Ok(to),
            (from, to) => Err(NotAStep { from, to }),
        }
    }

    /// Whether one person may take the step alone (P6), because it only takes rights away.
    pub fn tightens(self, to: Self) -> bool {
        matches!(to, Self::Suspended | Self::Compromised)
            || matches!(
                (self, to),
                (
                    Self::DestroyPending,
                    Self::Deactivated | Self::PreActivation
                )
            )
    }

    /// Whether a key that was in this state before it went to `destroy-pending` may come back from there
    /// as another: what was ever used is never new again, and what was compromised stays so.
    pub fn may_come_back(self, to: Self) -> bool {
        to == self
            || to == Self::Compromised
            || (self, to) == (Self::PreActivation, Self::Deactivated)
    }
}

#[cfg(test)]
mod tests;
