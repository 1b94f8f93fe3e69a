//! What a signature needs to be put on record, to leave, and to be told again: a credential that is
//! good, and a key that signs for this.

use std::sync::LazyLock;

use uuid::Uuid;

use super::{Draft, SigningError};
use crate::audit::Change;
use crate::authority::Version;
use crate::callers::Caller;
use crate::id::KeyId;
use crate::keys::{Key, KeyState};
use crate::ledger::LedgerError;
use crate::policy::Permit;
use crate::standing::{Look, Standing};

/// What is signed for, as far as the key's state is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Business {
    /// What the key is there for: only an active key does it.
    Ordinary,
    /// A caller's header that reads or cancels, and a wallet operation that empties the wallet: also while it is
    /// being replaced, and after its period.
    Reduction,
    /// A wallet operation that takes back what others may do with a wallet, or sends what it holds to its refuge:
    /// whoever agreed to the refuge agreed to it beforehand, and whatever has become of the key.
    Rescue,
    /// The service's own calls that read, cancel and delete for an operator who winds a wallet down:
    /// the more urgent, the worse the key's state is.
    Unwinding,
    /// To see whether the counterparty knows the key. It goes with states in which nothing else is
    /// signed (SP 800-57 part 1, 7.1), and with a key whose period is over: that it was removed has
    /// to be proved of any key.
    Probe,
}

impl Business {
    const ALL: [Self; 5] = [
        Self::Ordinary,
        Self::Reduction,
        Self::Rescue,
        Self::Unwinding,
        Self::Probe,
    ];
}

/// The right to one signature, as it was when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    credential: Uuid,
    key: KeyId,
    epoch: i64,
    business: Business,
    decided: Version,
}

impl Right {
    /// To a draft that is permitted.
    pub(super) fn to(permit: &Permit<Box<dyn Draft>>, caller: &Caller) -> Self {
        let draft = permit.action();
        Self::new(draft.key(), draft.business(), caller, permit)
    }

    /// To what a key signs for this business, on the ground of a permit.
    pub fn new<A>(key: &Key, business: Business, caller: &Caller, permit: &Permit<A>) -> Self {
        Self {
            credential: caller.credential,
            key: key.id,
            epoch: key.epoch,
            business,
            decided: permit.decided(),
        }
    }

    /// The same, decided again.
    #[must_use]
    pub(super) fn decided_again(self, decided: Version) -> Self {
        Self { decided, ..self }
    }

    /// With what its holder came.
    pub(super) fn credential(&self) -> Uuid {
        self.credential
    }

    /// With which key.
    pub(super) fn key(&self) -> KeyId {
        self.key
    }

    /// The key's epoch when it was asked for.
    pub(super) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The version of what decides by which it was given.
    pub(super) fn decided(&self) -> Version {
        self.decided
    }

    /// The states of the key in which it holds, with spaces between.
    pub(super) fn states(&self) -> &'static str {
        static OF: LazyLock<[String; 5]> = LazyLock::new(|| {
            Business::ALL.map(|business| {
                let signs = KeyState::ALL.into_iter().filter(|it| signs(*it, business));
                signs.map(KeyState::name).collect::<Vec<_>>().join(" ")
            })
        });
        &OF[self.business as usize]
    }

    /// Whether it holds after the key's period.
    pub(super) fn lasts(&self) -> bool {
        self.business != Business::Ordinary
    }

    /// What has to be looked at behind the gate.
    pub(super) fn look(&self) -> Look {
        Look::at(Some(self.credential), Some(self.key))
    }

    /// Whether it still holds, behind the gate that a change has passed.
    pub async fn within(&self, change: &mut Change) -> Result<(), SigningError> {
        let standing = Standing::behind_gate(&self.look(), change.tx()).await?;
        self.holds(&standing)
    }

    /// Whether it holds where things stand so.
    pub(super) fn holds(&self, standing: &Standing) -> Result<(), SigningError> {
        let key = standing.key(self.key);
        let key = key.ok_or(SigningError::KeyNotActive("not on record"))?;
        let state = KeyState::from_name(&key.state);
        let state = state.ok_or_else(|| LedgerError::Corrupt("keys", key.state.clone()))?;
        if !standing.is_live(self.credential) {
            Err(SigningError::CallerRevoked)
        } else if !signs(state, self.business) {
            Err(SigningError::KeyNotActive(state.name()))
        } else if key.epoch != self.epoch {
            Err(SigningError::KeyEpochChanged)
        } else if key.is_over && !self.lasts() {
            Err(SigningError::KeyExpired)
        } else if !standing.upholds(self.decided) {
            Err(SigningError::AuthorityChanged)
        } else {
            Ok(())
        }
    }
}

/// Why what a key has signed for this is not to be told again, where it would not sign it now.
pub(super) fn silences(
    key: KeyId,
    business: Business,
    standing: &Standing,
) -> Option<&'static str> {
    let state = standing.key(key).map(|it| KeyState::from_name(&it.state));
    let state = state.flatten().map(|it| (it, signs(it, business)));
    match state {
        Some((_, true)) => None,
        Some((state, false)) => Some(state.name()),
        None => Some("not on record"),
    }
}

/// Whether a key with this state signs for this.
fn signs(state: KeyState, business: Business) -> bool {
    use KeyState::{Active, Compromised, Deactivated, PreActivation, Retiring, Suspended};
    match business {
        Business::Ordinary => state == Active,
        Business::Reduction => matches!(state, Active | Retiring),
        Business::Rescue | Business::Unwinding => matches!(
            state,
            Active | Retiring | Suspended | Deactivated | Compromised
        ),
        Business::Probe => matches!(
            state,
            PreActivation | Retiring | Suspended | Compromised | Deactivated
        ),
    }
}
