//! Having the new key made, once, whatever dies in between.

use super::{Rotation, RotationError, Rotations, State, Step, records};
use crate::audit::Batch;
use crate::custody::Generated;
use crate::fail_point;
use crate::id::{CallerId, KeyId, RotationId};
use crate::keys::NewKey;
use crate::ledger::Gate;

impl Rotations {
    /// Has the new key made, or finds it where it was made before. It is recorded with
    /// [`generated`](Self::generated).
    pub(super) async fn generate(
        &self,
        id: RotationId,
        actor: CallerId,
    ) -> Result<(KeyId, Generated), RotationError> {
        let Some(_held) = self.ledger().hold(id.uuid()).await? else {
            return Err(RotationError::InFlight);
        };
        let mut batch = self.0.log.begin(Gate::Shared).await?;
        let planned = self.plan(id, actor, &mut batch).await;
        let (key, ordered) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                batch.abandon().await;
                return Err(error);
            }
        };
        batch.commit().await?;
        fail_point!("rotation-key-planned");
        let made = self.0.keys.made(key, &ordered).await?;
        fail_point!("rotation-key-made");
        Ok((key, made))
    }

    /// Puts the new key on record, unless that has been done.
    async fn plan(
        &self,
        id: RotationId,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<(KeyId, NewKey), RotationError> {
        let rotation = self.locked(id, Step::Generate, batch).await?;
        self.approval(Step::Generate)?;
        if let Some(key) = rotation.new_key {
            return Ok((key, rotation.ordered));
        }
        let key = self.0.keys.plan(&rotation.ordered, actor, batch).await?;
        records::set_new_key(id, key, batch.tx()).await?;
        Ok((key, rotation.ordered))
    }

    /// Records the new key that [`generate`](Self::generate) brought.
    pub(super) async fn generated(
        &self,
        id: RotationId,
        made: &Generated,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Generate, batch).await?;
        let key = rotation.new_key.ok_or(RotationError::Changed)?;
        let key = self.0.keys.record(key, made, actor, batch).await?;
        let evidence = serde_json::json!({
            "key": key.name, "fingerprint": hex::encode(made.public_key.fingerprint()),
            "attributes": made.attributes,
        });
        self.take(
            &rotation,
            Step::Generate,
            State::Generated,
            &evidence,
            actor,
            batch,
        )
        .await
    }
}
