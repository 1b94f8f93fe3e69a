//! The new key in the place of the old one, and back.

use time::Duration;

use super::proof::{PROOF_LASTS, asked_at, not_ready, works};
use crate::audit::Change;
use crate::id::RotationId;
use crate::keys::{Key, KeyState, Reason};
use crate::name::Name;
use crate::oauth::clients::Client;
use crate::rotations::evidence::Proved;
use crate::rotations::probe::{self, Role};
use crate::rotations::{Rotation, RotationError, Rotations, State, Step, records};

/// How old a probe may be on which a rotation is rolled back.
const WAY_BACK_LASTS: Duration = Duration::minutes(10);

impl Rotations {
    /// Lets the new key sign in the place of the old one, at the exclusive gate: from the commit on
    /// the old one signs nothing but probes, and the client has the new one on every replica.
    pub(super) async fn switch(
        &self,
        id: RotationId,
        reason: Reason,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Switch, change).await?;
        let now = records::now(change.tx()).await?;
        let probes = probe::records::probes_in(id, change.tx()).await?;
        let proof = works(&probes, Role::New, PROOF_LASTS, now)?.id;
        let (old, new) = self.both(&rotation, change).await?;
        let client = self
            .0
            .clients
            .within(rotation.subject.into(), change)
            .await?;
        if client.key.id != old.id {
            return Err(not_ready(
                "the client has another key than the one that goes",
            ));
        }
        let mut others = self.0.clients.with_key(old.id, change).await?;
        others.extend(self.0.clients.with_key(new.id, change).await?);
        others.retain(|name| *name != client.name);
        if !others.is_empty() && old.state == KeyState::Active {
            let names: Vec<_> = others.iter().map(Name::as_str).collect();
            return Err(not_ready(format!(
                "{} would lose its key",
                names.join(", ")
            )));
        }
        if !matches!(new.state, KeyState::PreActivation | KeyState::Active) {
            return Err(not_ready(format!("the new key is {}", new.state.name())));
        }
        let steps = records::steps_in(id, change.tx()).await?;
        let to = if asked_at(&rotation, &steps).is_some() {
            State::RemovalAsked
        } else {
            State::Switched
        };
        let evidence = Proved {
            probe: proof,
            reason: Some(reason.clone()),
        };
        let moved = self
            .take(&rotation, Step::Switch, to, &evidence, change)
            .await?;
        self.change(&client, (&old, KeyState::Retiring), &new, &reason, change)
            .await?;
        Ok(moved)
    }

    /// Gives the client the other key: the one steps back, the other one steps in.
    async fn change(
        &self,
        client: &Client,
        (from, becomes): (&Key, KeyState),
        to: &Key,
        reason: &Reason,
        change: &mut Change,
    ) -> Result<(), RotationError> {
        let keys = &self.0.keys;
        if from.state == KeyState::Active {
            keys.step(from, becomes, reason, change).await?;
        }
        if to.state != KeyState::Active {
            keys.step(to, KeyState::Active, reason, change).await?;
        }
        let clients = &self.0.clients;
        clients.switch_key(client, to.id, change).await?;
        Ok(())
    }

    /// Goes back to the old key, at the exclusive gate, while the counterparty still takes it.
    pub(super) async fn roll_back(
        &self,
        id: RotationId,
        reason: Reason,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::RollBack, change).await?;
        let now = records::now(change.tx()).await?;
        let probes = probe::records::probes_in(id, change.tx()).await?;
        let proof = works(&probes, Role::Old, WAY_BACK_LASTS, now)?.id;
        let (old, new) = self.both(&rotation, change).await?;
        if !matches!(old.state, KeyState::Retiring | KeyState::Active) {
            let why = format!("the old key is {}; there is no way back", old.state.name());
            return Err(not_ready(why));
        }
        if old.cryptoperiod_ends_at <= now {
            return Err(not_ready(
                "the old key's period is over; there is no way back",
            ));
        }
        let client = self
            .0
            .clients
            .within(rotation.subject.into(), change)
            .await?;
        let evidence = Proved {
            probe: proof,
            reason: Some(reason.clone()),
        };
        let to = State::RolledBack;
        let moved = self
            .take(&rotation, Step::RollBack, to, &evidence, change)
            .await?;
        self.change(&client, (&new, KeyState::Retiring), &old, &reason, change)
            .await?;
        Ok(moved)
    }
}
