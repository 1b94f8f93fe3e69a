//! A key that was given to a device which waits by itself before it destroys it, taken back from there.

use super::{DestructionError, Destructions, records};
use crate::custody::CustodyError;
use crate::fail_point;
use crate::keys::{Key, KeyState};
use crate::ledger::Held;

/// Whether the device gave a key back. While this is there, nobody gives it to the device again: it is
/// kept until the record says so too.
pub struct GivenBack(Option<Held>);

impl GivenBack {
    /// For a key that is not taken back from its device.
    pub fn not() -> Self {
        Self(None)
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_some()
    }
}

impl Destructions {
    /// Takes a key back from a device that only waits to destroy it, as it was before. The destruction is
    /// to be [cancelled](Self::cancel) next. If that fails, or the process dies, the record stands: the
    /// next look gives the key to the device again, and whoever objects does it once more.
    pub async fn give_back(&self, key: &Key) -> Result<GivenBack, DestructionError> {
        if key.state != KeyState::DestroyPending {
            return Ok(GivenBack::not());
        }
        let known = records::latest(key.id, &self.ledger).await?;
        if known.is_none_or(|it| it.due_at.is_none()) {
            return Ok(GivenBack::not());
        }
        let held = self.keys.held(key.id).await?;
        // As it is now that nobody else is at it.
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
        // A compromised key is kept, and not for use.
        if key.public_key.is_some() && !due.was_disabled && !due.was_compromised {
            device.enable(&place, true).await?;
        }
        Ok(GivenBack(Some(held)))
    }
}
