//! The end of a client's rotation: the key that goes is removed by the counterparty, and that is proved.

use super::proof::{left_behind, not_ready, removal};
use crate::audit::Change;
use crate::id::RotationId;
use crate::keys::{Key, KeyState, Reason};
use crate::oauth::clients::Client;
use crate::rotations::evidence::{Ended, KeyNamed, RemovalAsked, RemovalProved};
use crate::rotations::particulars::RemovalRequest;
use crate::rotations::probe::{self, Role};
use crate::rotations::{Rotation, RotationError, Rotations, State, Step, records};

/// What an access token of the Exchange API lives, where no probe has told, and what is added to be
/// sure, in seconds.
const TOKEN_S: i64 = 180;
const MARGIN_S: i64 = 60;

impl Rotations {
    /// Records that the counterparty was asked to remove the key that goes.
    pub(super) async fn ask_removal(
        &self,
        id: RotationId,
        request: RemovalRequest,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::AskRemoval, change).await?;
        let steps = records::steps_in(id, change.tx()).await?;
        let (goes, stays) = self.going(&rotation, change).await?;
        let to = match rotation.state {
            State::Switched | State::RemovalAsked => State::RemovalAsked,
            State::Abandoned | State::RolledBack => {
                if !left_behind(&rotation, &steps) {
                    return Err(not_ready("the new key never left, or is removed already"));
                }
                rotation.state
            }
            early => {
                if !out_of_service(&goes) {
                    let why = "the old key still signs: before the switch its removal is asked for only once it is suspended or compromised";
                    return Err(not_ready(why));
                }
                early
            }
        };
        self.soaked(&rotation, &goes, change).await?;
        let evidence = RemovalAsked {
            goes: KeyNamed::from(&goes),
            stays: stays.as_ref().map(KeyNamed::from),
            channel: request.channel,
            reference: request.reference,
        };
        self.take(&rotation, Step::AskRemoval, to, &evidence, change)
            .await
    }

    /// Records that the key that goes was removed: it is refused, and the other one works.
    pub(super) async fn prove_removal(
        &self,
        id: RotationId,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::ProveRemoval, change).await?;
        let steps = records::steps_in(id, change.tx()).await?;
        let given_up = rotation.goes() == Role::New;
        if given_up && !left_behind(&rotation, &steps) {
            return Err(not_ready("the new key never left, or is removed already"));
        }
        let now = records::now(change.tx()).await?;
        let probes = probe::records::probes_in(id, change.tx()).await?;
        let (refused, works) = removal(&rotation, &steps, &probes, now)?;
        let evidence = RemovalProved {
            refused: refused.id,
            works: works.id,
        };
        let to = if given_up {
            rotation.state
        } else {
            State::RemovalProved
        };
        let moved = self
            .take(&rotation, Step::ProveRemoval, to, &evidence, change)
            .await?;
        if rotation.state == State::RolledBack {
            let (goes, _) = self.going(&rotation, change).await?;
            self.retire(&goes, &rotation, change).await?;
        }
        Ok(moved)
    }

    /// Finishes: the old key is deactivated.
    pub(super) async fn close(
        &self,
        id: RotationId,
        reason: Reason,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Close, change).await?;
        let (old, _) = self.both(&rotation, change).await?;
        self.soaked(&rotation, &old, change).await?;
        let evidence = Ended { reason };
        let moved = self
            .take(&rotation, Step::Close, State::Closed, &evidence, change)
            .await?;
        self.retire(&old, &rotation, change).await?;
        Ok(moved)
    }

    /// Takes a key that was removed out of use for good. A compromised one stays what it is.
    async fn retire(
        &self,
        key: &Key,
        rotation: &Rotation,
        change: &mut Change,
    ) -> Result<(), RotationError> {
        if key.state.step(KeyState::Deactivated).is_ok() {
            let reason = format!("rotation {}", rotation.id);
            let reason = Reason::try_from(reason).expect("an id is plain text");
            let to = KeyState::Deactivated;
            self.0.keys.step(key, to, &reason, change).await?;
        }
        Ok(())
    }

    /// Refuses while a key that goes has signed business a moment ago: what it signed may still be on
    /// its way, and whoever asked for it may not know of the switch.
    async fn soaked(
        &self,
        rotation: &Rotation,
        goes: &Key,
        change: &mut Change,
    ) -> Result<(), RotationError> {
        if out_of_service(goes) {
            return Ok(());
        }
        let client = self.client(rotation).await?;
        let lifetime_s = self.0.clients.environment(&client)?.lifetime_s.seconds();
        let token_s = probe::records::token_life(rotation.id, change.tx()).await?;
        let needed_s = lifetime_s + token_s.map_or(TOKEN_S, i64::from) + MARGIN_S;
        let soak_s = needed_s.max(i64::from(self.0.settings.soak_s));
        match records::soaks_for(goes.id, soak_s, change.tx()).await? {
            None => Ok(()),
            Some(retry_after_s) => Err(RotationError::Soaking { retry_after_s }),
        }
    }

    /// The key that goes and, if there is one, the key that stays.
    async fn going(
        &self,
        rotation: &Rotation,
        change: &mut Change,
    ) -> Result<(Key, Option<Key>), RotationError> {
        let old = self.0.keys.within(rotation.old_key, change).await?;
        let new = match rotation.new_key {
            Some(_) => Some(self.new_key(rotation, change).await?),
            None => None,
        };
        let new = new.filter(|key| key.public_key.is_some());
        match (rotation.goes(), new) {
            (Role::New, Some(new)) => Ok((new, Some(old))),
            (_, new) => Ok((old, new)),
        }
    }

    /// The keys that a client's JWKS shows: the one that signs, the one that comes, and those that went
    /// until their removal is proved. None that is out of service.
    pub async fn published(&self, client: &Client) -> Result<Vec<Key>, RotationError> {
        let mut ids = Vec::new();
        for rotation in records::of_client(client.id, self.ledger()).await? {
            let (old, new) = (rotation.old_key, rotation.new_key);
            match rotation.state {
                State::Requested | State::RemovalProved | State::Closed | State::Abandoned => {}
                State::RolledBack => {
                    let steps = records::steps(&[rotation.id], self.ledger()).await?;
                    if left_behind(&rotation, &steps) {
                        ids.extend(new);
                    }
                }
                _ => ids.extend([old].into_iter().chain(new)),
            }
        }
        ids.retain(|id| *id != client.key.id);
        let mut keys = self.0.keys.by_ids(&ids).await?;
        keys.insert(0, client.key.clone());
        let shown = |key: &Key| {
            let serves = matches!(
                key.state,
                KeyState::PreActivation | KeyState::Active | KeyState::Retiring
            );
            serves && key.public_key.is_some()
        };
        keys.retain(shown);
        Ok(keys)
    }
}

/// Whether a key was taken out of service for cause.
fn out_of_service(key: &Key) -> bool {
    matches!(key.state, KeyState::Suspended | KeyState::Compromised)
}
