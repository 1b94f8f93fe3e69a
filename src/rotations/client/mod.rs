//! The rotation of a client's key: the documentation's five steps.

mod proof;
mod removal;
mod switch;

use sha2::{Digest as _, Sha256};

use super::evidence::{Confirmed, KeyNamed, Opened, Submitted};
use super::fingerprint::{is_of, is_of_pem};
use super::particulars::{Confirmation, Submission};
use super::probe::{Outcome, Probe, Role, Seen, latest};
use super::steps::ClientStep;
use super::{Kind, NewRotation, Order, Rotation, RotationError, Rotations, State, Step, Subject};
use super::{probe, records};
use crate::audit::Change;
use crate::callers::Caller;
use crate::counterparty::QUOTE_LIMIT;
use crate::custody::DeviceKey;
use crate::id::{ClientId, ProbeId, RotationId};
use crate::idempotency::RequestDigest;
use crate::keys::{Key, KeyState, NewKey, Purpose};
use crate::ledger::Gate;
use crate::name::Name;
use crate::oauth::clients::Client;
use crate::policy::Permit;
use proof::not_ready;
pub(super) use proof::{asked_at, left_behind, removal};

/// What a step took outside, at the device or the counterparty, before it is recorded.
pub enum Prepared {
    /// Nothing.
    Nothing,
    /// The new key.
    Key(DeviceKey),
    /// A probe, and what it showed.
    Probe(ProbeId, Seen),
}

/// Where a rotation is after a step.
pub struct Advanced {
    /// The rotation.
    pub rotation: Rotation,
    /// The probe, where that was the step.
    pub probe: Option<Probe>,
}

impl Rotations {
    /// Does what a step takes at the device or the counterparty. The step is taken with
    /// [`advance`](Self::advance).
    pub async fn prepare(
        &self,
        id: RotationId,
        step: &ClientStep,
        (caller, permit): (&Caller, &Permit),
        request: RequestDigest,
    ) -> Result<Prepared, RotationError> {
        match step {
            ClientStep::Generate {} => Ok(Prepared::Key(self.generate(id, permit).await?.1)),
            ClientStep::Confirm(said) => {
                self.compare(id, &said.fingerprint, permit).await?;
                Ok(Prepared::Nothing)
            }
            ClientStep::Probe { key } => {
                let (probe, seen) = self.probe(id, *key, caller, request).await?;
                Ok(Prepared::Probe(probe, seen))
            }
            _ => Ok(Prepared::Nothing),
        }
    }

    /// Takes a step, at the gate that it [names](ClientStep::gate).
    pub async fn advance(
        &self,
        id: RotationId,
        step: ClientStep,
        prepared: &Prepared,
        change: &mut Change,
    ) -> Result<Advanced, RotationError> {
        let moved = match (step, prepared) {
            (ClientStep::Probe { .. }, Prepared::Probe(probe, seen)) => {
                let (probe, rotation) = self.probed(id, *probe, seen, change).await?;
                let probe = Some(probe);
                return Ok(Advanced { rotation, probe });
            }
            (ClientStep::Generate {}, Prepared::Key(made)) => {
                self.generated(id, made, change).await
            }
            (ClientStep::Probe { .. } | ClientStep::Generate {}, _) => Err(RotationError::Changed),
            (ClientStep::Submit(said), _) => self.submit(id, said, change).await,
            (ClientStep::Confirm(said), _) => self.confirm(id, said, change).await,
            (ClientStep::Switch(why), _) => self.switch(id, why.reason, change).await,
            (ClientStep::AskRemoval(said), _) => self.ask_removal(id, said, change).await,
            (ClientStep::ProveRemoval {}, _) => self.prove_removal(id, change).await,
            (ClientStep::Close(why), _) => self.close(id, why.reason, change).await,
            (ClientStep::Abandon(why), _) => self.abandon(id, why.reason, change).await,
            (ClientStep::RollBack(why), _) => self.roll_back(id, why.reason, change).await,
        };
        Ok(Advanced {
            rotation: moved?,
            probe: None,
        })
    }

    /// The client of a rotation.
    pub(super) async fn client(&self, rotation: &Rotation) -> Result<Client, RotationError> {
        let client = self.0.clients.by_id(ClientId::from(rotation.subject));
        client.await?.ok_or(RotationError::NotFound)
    }

    /// Opens the rotation of a client's key. In an emergency the change stands at the exclusive gate,
    /// and from its commit on nothing is released under the old key.
    pub async fn open_client(
        &self,
        client: &Client,
        new: NewRotation,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let client = self.0.clients.within(client.id, change).await?;
        let old = &client.key;
        let others = self.0.clients.with_key(old.id, change).await?;
        if others.len() > 1 && new.emergency.is_none() {
            let names: Vec<_> = others.iter().map(Name::as_str).collect();
            let why = format!(
                "the key is shared by {}: suspend it, or keep it until each has its own",
                names.join(", ")
            );
            return Err(not_ready(why));
        }
        let order = Order {
            key: NewKey {
                name: new.new_key,
                purpose: Purpose::Client,
                algorithm: Some(new.algorithm.unwrap_or(old.algorithm)),
                backend: new.backend.unwrap_or_else(|| old.backend.clone()),
                environment: old.environment.clone(),
                owner: old.owner.clone(),
                cryptoperiod_days: new.cryptoperiod_days,
            },
            target_at: new.target_at,
            emergency: new.emergency.is_some(),
        };
        self.0.keys.check(&order.key).await?;
        let left = self.left_at_counterparty(client.id, change).await?;
        if let (Some(left), None) = (left, new.emergency) {
            return Err(RotationError::LeftBehind(left));
        }
        let mut stopped = None;
        if let Some(emergency) = new.emergency {
            let to = emergency.state();
            let is_there = old.state == to || old.state == KeyState::Compromised;
            stopped = Some(if is_there || old.state.step(to).is_err() {
                old.state
            } else {
                let moved = self.0.keys.step(old, to, &new.reason, change).await?;
                moved.state
            });
        }
        let evidence = Opened {
            reason: new.reason,
            old_key: old.into(),
            stopped,
            left_behind: left,
        };
        let subject = Subject {
            kind: Kind::Client,
            id: client.id.uuid(),
            key: client.key.clone(),
        };
        self.begin(&subject, order, &evidence, change).await
    }

    /// A former rotation of a client that may have left a key at the counterparty, which takes two.
    async fn left_at_counterparty(
        &self,
        client: ClientId,
        change: &mut Change,
    ) -> Result<Option<RotationId>, RotationError> {
        for rotation in records::of_subject(client.uuid(), change.tx()).await? {
            let steps = records::steps_in(rotation.id, change.tx()).await?;
            if left_behind(&rotation, &steps) {
                return Ok(Some(rotation.id));
            }
        }
        Ok(None)
    }

    /// Records that the new key's public half went to the counterparty.
    async fn submit(
        &self,
        id: RotationId,
        submission: Submission,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Submit, change).await?;
        let key = self.new_key(&rotation, change).await?;
        let public = key.public_key.as_ref().ok_or(RotationError::Changed)?;
        if let Some(sent) = &submission.pem_sha256
            && !is_of_pem(sent, public)
        {
            return Err(RotationError::NotTheKey("pem_sha256"));
        }
        let client = self.client(&rotation).await?;
        let evidence = Submitted {
            key: (&key).into(),
            pem_sha256: hex::encode(Sha256::digest(public.to_pem())),
            client_id: client.client_id,
            channel: submission.channel,
            reference: submission.reference,
        };
        let to = State::Submitted;
        self.take(&rotation, Step::Submit, to, &evidence, change)
            .await
    }

    /// Compares a fingerprint that the counterparty quotes with the new key's. Another one is put on
    /// record: they may be about to register somebody else's key.
    async fn compare(
        &self,
        id: RotationId,
        quoted: &str,
        permit: &Permit,
    ) -> Result<(), RotationError> {
        let rotation = self.show(id).await?;
        rotation.takes(Step::Confirm)?;
        let key = self
            .key(rotation.new_key.ok_or(RotationError::Changed)?)
            .await?;
        let public = key.public_key.as_ref().ok_or(RotationError::Changed)?;
        if is_of(quoted, public) {
            return Ok(());
        }
        tracing::error!(rotation.id = %id, key.id = %key.id,
            "the counterparty quotes the fingerprint of another key");
        let quoted: String = quoted.chars().take(QUOTE_LIMIT).collect();
        let details = serde_json::json!({ "quoted": quoted, "key": KeyNamed::from(&key) });
        let mut change = self.0.log.begin(Gate::Shared, permit.author()).await?;
        change.note("rotation-fingerprint-differs", id, &details);
        change.commit().await?;
        Err(RotationError::NotTheKey("fingerprint"))
    }

    /// Records what the counterparty confirmed. The fingerprint that they quote has to be the key's.
    async fn confirm(
        &self,
        id: RotationId,
        confirmation: Confirmation,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Confirm, change).await?;
        let key = self.new_key(&rotation, change).await?;
        let public = key.public_key.as_ref().ok_or(RotationError::Changed)?;
        if !is_of(&confirmation.fingerprint, public) {
            return Err(RotationError::NotTheKey("fingerprint"));
        }
        let probes = probe::records::probes_in(id, change.tx()).await?;
        let shown = latest(&probes, Role::New);
        let shown = shown.filter(|it| it.outcome == Some(Outcome::Succeeded));
        let to = if shown.is_some() {
            State::Registered
        } else {
            State::Submitted
        };
        if let Some(kid) = &confirmation.kid {
            self.0.clients.assign_kid(key.id, kid, id, change).await?;
        }
        let evidence = Confirmed {
            kid: confirmation.kid,
            quoted: confirmation.fingerprint,
            reference: confirmation.reference,
            expires_at: confirmation.expires_at,
            probe: shown.map(|it| it.id),
        };
        self.take(&rotation, Step::Confirm, to, &evidence, change)
            .await
    }

    pub(super) async fn new_key(
        &self,
        rotation: &Rotation,
        change: &mut Change,
    ) -> Result<Key, RotationError> {
        let id = rotation.new_key.ok_or(RotationError::Changed)?;
        Ok(self.0.keys.within(id, change).await?)
    }

    /// The old and the new key.
    pub(super) async fn both(
        &self,
        rotation: &Rotation,
        change: &mut Change,
    ) -> Result<(Key, Key), RotationError> {
        let old = self.0.keys.within(rotation.old_key, change).await?;
        Ok((old, self.new_key(rotation, change).await?))
    }
}
