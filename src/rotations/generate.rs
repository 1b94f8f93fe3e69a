//! Having the new key made, once, whatever dies in between.

use super::{Rotation, RotationError, Rotations, State, Step, records};
use crate::audit::Change;
use crate::custody::DeviceKey;
use crate::fail_point;
use crate::id::{KeyId, RotationId};
use crate::keys::NewKey;
use crate::ledger::Gate;
use crate::policy::Permit;

impl Rotations {
    /// Has the new key made, or finds it where it was made before. It is recorded with
    /// [`generated`](Self::generated).
    pub(super) async fn generate(
        &self,
        id: RotationId,
        permit: &Permit,
    ) -> Result<(KeyId, DeviceKey), RotationError> {
        let Some(_held) = self.ledger().hold(id.uuid()).await? else {
            return Err(RotationError::InFlight);
        };
        let mut change = self.0.log.begin(Gate::Shared, permit.author()).await?;
        let planned = self.plan(id, &mut change).await;
        let (key, ordered) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                change.abandon().await;
                return Err(error);
            }
        };
        change.commit().await?;
        fail_point!("rotation-key-planned");
        let made = self.0.keys.made(key, &ordered).await?;
        fail_point!("rotation-key-made");
        Ok((key, made))
    }

    /// Puts the new key on record, unless that has been done.
    async fn plan(
        &self,
        id: RotationId,
        change: &mut Change,
    ) -> Result<(KeyId, NewKey), RotationError> {
        let rotation = self.locked(id, Step::Generate, change).await?;
        super::approval(Step::Generate, change); // others agree before the device makes a key
        if let Some(key) = rotation.new_key {
            return Ok((key, rotation.ordered));
        }
        let key = self.0.keys.plan(&rotation.ordered, change).await?;
        records::set_new_key(id, key, change.tx()).await?;
        Ok((key, rotation.ordered))
    }

    /// Records the new key that [`generate`](Self::generate) brought.
    pub(super) async fn generated(
        &self,
        id: RotationId,
        made: &DeviceKey,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Generate, change).await?;
        let key = rotation.new_key.ok_or(RotationError::Changed)?;
        let key = self.0.keys.record(key, made, change).await?;
        let evidence = serde_json::json!({
            "key": key.name, "fingerprint": hex::encode(made.public_key.fingerprint()),
            "attributes": made.attributes,
        });
        self.take(
            &rotation,
            Step::Generate,
            State::Generated,
            &evidence,
            change,
        )
        .await
    }
}
