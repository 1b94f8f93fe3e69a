//! A key that the service suspends by itself, because of what its device did or said.

use super::{KeyError, KeyState, Keys};
use crate::audit::Change;
use crate::id::KeyId;

impl Keys {
    /// Suspends a key that a device has given a reason to doubt; `false`: it is in a state that cannot
    /// be suspended, or is already. Nobody has to agree. The change must stand at the exclusive gate.
    pub(crate) async fn suspend_by_itself(
        &self,
        id: KeyId,
        why: &str,
        change: &mut Change,
    ) -> Result<bool, KeyError> {
        let key = self.within(id, change).await?;
        if key.state.step(KeyState::Suspended).is_err() {
            return Ok(false);
        }
        self.step_by_itself(&key, KeyState::Suspended, why, change)
            .await?;
        Ok(true)
    }
}
