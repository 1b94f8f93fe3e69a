//! Taking a key back from a device that waits by itself before it destroys the key.

use super::{DestructionError, Destructions, records};
use crate::custody::CustodyError;
use crate::fail_point;
use crate::keys::{Key, KeyState};
use crate::ledger::Held;

/// Whether the device gave a key back. While this is held, nobody orders the destruction again; it is kept
/// until the record shows the key as given back.
pub struct GivenBack(Option<Held>);

impl GivenBack {
    /// A key that was not taken back from its device.
    pub fn not() -> Self {
        Self(None)
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_some()
    }
}

impl Destructions {
    /// Takes a key back, as it was before, from a device that is waiting to destroy it. The destruction is to
    /// be [cancelled](Self::cancel) next. If that fails, or the process dies, the record still orders the
    /// destruction: the next round orders it again, and whoever objects does so once more.
    pub async fn give_back(&self, key: &Key) -> Result<GivenBack, DestructionError> {
        if key.state != KeyState::DestroyPending {
            return Ok(GivenBack::not());
        }
        let known = records::latest(key.id, &self.ledger).await?;
        if known.is_none_or(|it| it.due_at.is_none()) {
            return Ok(GivenBack::not());
        }
        let held = self.keys.held(key.id).await?;
        // Read again, now that this replica holds the lock.
        let Some(due) = records::latest(key.id, &self.ledger)
            .await?
            .filter(|it| it.epoch == key.epoch && it.ended_at.is_none() && it.due_at.is_some())
        else {
            return Ok(GivenBack::not());
        };
        let (device, place) = (self.vault.backend(&key.backend)?, key.place());
        let device = device.switches().ok_or_else(|| {
            let id = key.id;
            CustodyError::Unsupported(format!(
                "bringing key {id} back: this kind of device destroys at once"
            ))
        })?;
        match device.restore(&place).await {
            Err(CustodyError::NotFound { .. }) => return Err(DestructionError::Begun),
            restored => restored?,
        }
        fail_point!("destruction-taken-back");
        // A compromised key is kept and not enabled.
        if key.public_key.is_some() && !due.was_disabled && !due.was_compromised {
            device.enable(&place, true).await?;
        }
        Ok(GivenBack(Some(held)))
    }
}
