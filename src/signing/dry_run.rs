//! What would be signed, without its being signed: the same way as for a signature, up to the device.
//!
//! A refusal is the one that the request itself would meet, in the same words and on the same record: who
//! tries out what they may not do has tried it. What is told of a yes is bound to nothing: the next request
//! has another salt and another time in it, and limits may be used up by then.

use std::time::Instant;

use tokio::time;

use super::{Draft, Signer, SigningError};
use crate::callers::Caller;
use crate::id::KeyId;
use crate::limits::Bound;

/// What would be signed, and what was looked at. Nothing was signed.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Always true: this is no answer to the request itself.
    #[serde(rename = "dryRun")]
    is_dry: bool,
    /// `order`, `assertion`, `l2-headers`: what the record would call it.
    operation: &'static str,
    /// SHA-256 of the policy that permits it.
    policy: String,
    /// By which of its rules.
    rules: Vec<String>,
    /// The key that would sign: it is in a state for that, and its device answers.
    #[schema(value_type = String)]
    key: KeyId,
    /// The epoch of the key.
    key_epoch: i64,
    /// The limits over time that bind it, in which there is room.
    limits: Vec<Bound>,
    /// The digest, with a salt, a time or an identifier of its own.
    digest: String,
    /// What stands for it on record.
    #[schema(value_type = Object)]
    record: serde_json::Value,
}

impl Signer {
    /// Says what would be signed, or why not. What it says was true at that time, behind the gate.
    pub async fn try_out(
        &self,
        caller: &Caller,
        draft: Box<dyn Draft>,
    ) -> Result<(DryRun, Instant), SigningError> {
        let until = time::Instant::now() + self.deadline(None);
        let permit = self.permitted(caller, draft)?;
        let (_, asks) = self.may_begin(caller, &permit, until).await?;
        let (equipment, draft) = (&self.0.equipment, permit.action());
        let limits = equipment.limits.room(&asks).await?.inspect_err(|_| {
            equipment
                .rights
                .refuse(caller, draft.action(), &draft.resource());
        })?;
        let since = self.vouch(caller, &permit).await?;
        let prepared = draft.prepare(equipment.clock.unix_ms());
        equipment.rights.tried(caller, draft, prepared.digest);
        let run = DryRun {
            is_dry: true,
            operation: draft.operation(),
            policy: hex::encode(self.policy_digest()),
            rules: equipment.rights.rules(caller, draft),
            key: draft.key().id,
            key_epoch: draft.key().epoch,
            limits,
            digest: format!("0x{}", hex::encode(prepared.digest)),
            record: prepared.record,
        };
        Ok((run, since))
    }
}
