//! What becomes of a key on record: the steps between its states, and the end of its period.

use time::OffsetDateTime;

use super::{Key, KeyError, KeyState, Keys, Reason, cryptoperiod, records};
use crate::approvals::Approval;
use crate::audit::Change;
use crate::clock::timestamp;

/// A step of a key to another state.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyStep {
    /// Where to: active, suspended, deactivated, compromised, ….
    pub to: KeyState,
    /// Why, for the record: 1 to 500 characters.
    #[arg(long)]
    #[schema(value_type = String, example = "lost laptop")]
    pub reason: Reason,
}

/// Another end of a key's cryptoperiod.
#[derive(Clone, Debug, clap::Args, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CryptoperiodEnd {
    /// When it ends, in whole seconds. Later than now, and within the maximum for such a key, which
    /// counts from its creation.
    #[arg(long, value_name = "DATE", value_parser = crate::clock::end_of)]
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
    /// Why, for the record: 1 to 500 characters.
    #[arg(long)]
    #[schema(value_type = String, example = "the counterparty is closed in August")]
    pub reason: Reason,
}

/// A step that a key has taken.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = KeyStepTaken)]
pub struct Taken {
    /// The key's epoch after it.
    pub epoch: i64,
    /// Where from.
    pub from: KeyState,
    /// Where to.
    pub to: KeyState,
    /// The name of whoever took it; `service`: nobody, at the end of a period.
    pub by: String,
    /// Who agreed.
    pub approval: String,
    /// Why.
    pub reason: String,
    /// By the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Keys {
    /// Moves a key to another state. Once the change is committed, which must stand at the exclusive
    /// gate, a key that was moved out of `active` signs nothing more.
    pub async fn step(
        &self,
        key: &Key,
        to: KeyState,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        key.state.step(to)?;
        if key.public_key.is_none() && to == KeyState::Active {
            return Err(KeyError::NeverMade);
        }
        let approval = if key.state.tightens(to) {
            Approval::not_needed()
        } else {
            change.loosen()
        };
        self.walk(key, to, reason.as_str(), approval, change).await
    }

    /// Moves a key as the service does by itself: at the end of its period, or of its destruction.
    pub async fn step_by_itself(
        &self,
        key: &Key,
        to: KeyState,
        why: &str,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        key.state.step(to)?;
        let approval = Approval::automatic();
        self.walk(key, to, why, approval, change).await
    }

    async fn walk(
        &self,
        key: &Key,
        to: KeyState,
        reason: &str,
        approval: Approval,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        let author = (approval != Approval::automatic()).then(|| change.author());
        let moved = records::step(key, to, author, approval, reason, change).await?;
        let moved = moved.ok_or(KeyError::Changed)?;
        let details = serde_json::json!({
            "name": key.name, "from": key.state, "to": to, "epoch": moved.epoch, "reason": reason,
        });
        change.note_as(approval, "step-key", key.id, &details);
        Ok(moved)
    }

    /// Changes when a key's cryptoperiod ends. Later loosens. Once the change is committed, which must
    /// stand at the exclusive gate, nothing is signed after the new end.
    pub async fn set_cryptoperiod(
        &self,
        key: &Key,
        ends_at: OffsetDateTime,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<Key, KeyError> {
        // As Postgres keeps it.
        let ends_at = ends_at.replace_nanosecond(0).unwrap_or(ends_at);
        let approval = if cryptoperiod::change(key, ends_at, change.now())? {
            change.loosen()
        } else {
            Approval::not_needed()
        };
        let text = reason.as_str();
        let changed = records::set_cryptoperiod(key, ends_at, approval, text, change).await?;
        let changed = changed.ok_or(KeyError::Changed)?;
        let details = serde_json::json!({
            "name": key.name, "was": timestamp(key.cryptoperiod_ends_at),
            "ends_at": timestamp(ends_at), "reason": reason,
        });
        change.note_as(approval, "set-cryptoperiod", key.id, &details);
        Ok(changed)
    }
}
