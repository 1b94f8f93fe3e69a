//! The states of a key (NIST SP 800-57 part 1, section 7, with `retiring` and `destroy-pending`
//! added) and the steps between them.

/// What a key may be used for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Made, not yet in use.
    PreActivation,
    /// Signs.
    Active,
    /// Being replaced; kept for a roll-back.
    Retiring,
    /// Stopped for now.
    Suspended,
    /// At the end of its period.
    Deactivated,
    /// Known, or suspected, to be in other hands.
    Compromised,
    /// Waiting to be destroyed.
    DestroyPending,
    /// Gone.
    Destroyed,
}

/// The step is not one that a key can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key does not go from {} to {}", .from.name(), .to.name())]
pub struct NotAStep {
    /// Where the key is.
    pub from: KeyState,
    /// Where it was to go.
    pub to: KeyState,
}

impl KeyState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PreActivation,
        Self::Active,
        Self::Retiring,
        Self::Suspended,
        Self::Deactivated,
        Self::Compromised,
        Self::DestroyPending,
        Self::Destroyed,
    ];

    /// The word that the ledger, the API and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreActivation => "pre-activation",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Suspended => "suspended",
            Self::Deactivated => "deactivated",
            Self::Compromised => "compromised",
            Self::DestroyPending => "destroy-pending",
            Self::Destroyed => "destroyed",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

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
            | (DestroyPending, Destroyed) => Ok(to),
            (from, to) => Err(NotAStep { from, to }),
        }
    }

    /// Whether the step takes nobody but the one who asks (P6): it only takes rights away.
    pub fn tightens(self, to: Self) -> bool {
        matches!(to, Self::Suspended | Self::Compromised)
            || matches!((self, to), (Self::DestroyPending, Self::Deactivated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destroyed_is_the_end_and_compromised_never_signs_again() {
        for to in KeyState::ALL {
            assert!(KeyState::Destroyed.step(to).is_err(), "{to:?}");
        }
        assert!(KeyState::Compromised.step(KeyState::Active).is_err());
        assert!(KeyState::Deactivated.step(KeyState::Active).is_err());
    }

    #[test]
    fn names_come_back() {
        for state in KeyState::ALL {
            assert_eq!(KeyState::from_name(state.name()), Some(state));
        }
    }
}
