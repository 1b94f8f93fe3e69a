//! The rotation of a client's key: the documentation's five steps, up to the switch and back.
//! [`removal`](super::removal) has the rest.

use time::{Duration, OffsetDateTime};

use super::evidence::{Confirmed, KeyNamed, Opened, Proved, Submitted};
use super::fingerprint::{is_of, plain_hex};
use super::probe::{Outcome, Role, latest};
use super::removal::{PROOF_LASTS, asked_at, left_behind, not_ready, works};
use super::{Kind, Order, Rotation, RotationError, Rotations, State, Step, Subject, records};
use crate::audit::Batch;
use crate::counterparty::QUOTE_LIMIT;
use crate::custody::Algorithm;
use crate::id::{CallerId, ClientId, RotationId};
use crate::keys::{Key, KeyState, NewKey, Purpose, Reason};
use crate::name::Name;
use crate::oauth::clients::{AssignedKid, Client};

/// How old a probe may be on which a rotation is rolled back.
const WAY_BACK_LASTS: Duration = Duration::minutes(10);

/// What it takes to open the rotation of a client's key.
#[derive(Clone, Debug)]
pub struct NewClientRotation {
    /// The name of the new key, which no other key has.
    pub new_key: Name,
    /// The device that makes it; the old key's unless it is given.
    pub backend: Option<Name>,
    /// The old key's unless it is given.
    pub algorithm: Option<Algorithm>,
    /// How many days it is in use.
    pub cryptoperiod_days: Option<u16>,
    /// When the rotation is to be done.
    pub target_at: OffsetDateTime,
    /// Why, for the record.
    pub reason: Reason,
    /// Whether the old key goes out of service at once.
    pub emergency: Option<Emergency>,
}

/// What an emergency does to the old key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Emergency {
    /// It may be cleared.
    Suspended,
    /// It never signs again.
    Compromised,
}

impl Emergency {
    fn state(self) -> KeyState {
        match self {
            Self::Suspended => KeyState::Suspended,
            Self::Compromised => KeyState::Compromised,
        }
    }
}

/// That the public half went to the counterparty.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// By which way: an onboarding form, a mail address.
    #[schema(value_type = String)]
    pub channel: Reason,
    /// Their case or ticket.
    #[schema(value_type = String)]
    pub reference: Reason,
    /// SHA-256 of the PEM file that was sent, in hexadecimal; compared with the key's where it is given.
    #[serde(default)]
    pub pem_sha256: Option<String>,
}

/// That the counterparty confirmed.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The fingerprint as they quote it: SHA-256 of the SPKI in hexadecimal (with or without colons) or
    /// base64, or the RFC 7638 thumbprint that Auth0 shows as `kid`.
    pub fingerprint: String,
    /// Their message.
    #[schema(value_type = String)]
    pub reference: Reason,
    /// The `kid` that they assigned to the key, where they name keys themselves: from now on what it
    /// signs carries it, whatever the environment's configuration says.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kid: Option<AssignedKid>,
    /// When they let the key expire, where they said so.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

impl Rotations {
    /// The client of a rotation.
    pub(super) async fn client(&self, rotation: &Rotation) -> Result<Client, RotationError> {
        let client = self.0.clients.by_id(ClientId::from(rotation.subject));
        client.await?.ok_or(RotationError::NotFound)
    }

    /// Opens the rotation of a client's key. In an emergency the batch stands at the exclusive gate,
    /// and from its commit on nothing is released under the old key.
    pub async fn open_client(
        &self,
        client: &Client,
        new: NewClientRotation,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let client = self.0.clients.within(client.id, batch).await?;
        let old = &client.key;
        let others = self.0.clients.with_key(old.id, batch).await?;
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
        let left = self.left_at_counterparty(client.id, batch).await?;
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
                let moved = self.0.keys.step(old, to, &new.reason, actor, batch).await?;
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
        self.begin(&subject, order, &evidence, actor, batch).await
    }

    /// A former rotation of a client that may have left a key at the counterparty, which takes two.
    async fn left_at_counterparty(
        &self,
        client: ClientId,
        batch: &mut Batch,
    ) -> Result<Option<RotationId>, RotationError> {
        for rotation in records::of_subject(client.uuid(), batch.tx()).await? {
            let steps = records::steps_in(rotation.id, batch.tx()).await?;
            if left_behind(&rotation, &steps) {
                return Ok(Some(rotation.id));
            }
        }
        Ok(None)
    }

    /// Records that the new key's public half went to the counterparty.
    pub async fn submit(
        &self,
        id: RotationId,
        submission: Submission,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Submit, batch).await?;
        let key = self.new_key(&rotation, batch).await?;
        let pem_sha256 = pem_sha256(&key)?;
        if let Some(sent) = &submission.pem_sha256
            && plain_hex(sent) != pem_sha256
        {
            return Err(RotationError::NotTheKey("pem_sha256"));
        }
        let client = self.client(&rotation).await?;
        let evidence = Submitted {
            key: (&key).into(),
            pem_sha256,
            client_id: client.client_id,
            channel: submission.channel,
            reference: submission.reference,
        };
        let to = State::Submitted;
        self.take(&rotation, Step::Submit, to, &evidence, actor, batch)
            .await
    }

    /// Compares a fingerprint that the counterparty quotes with the new key's. Another one is put on
    /// record: they may be about to register somebody else's key.
    pub async fn compare(
        &self,
        id: RotationId,
        quoted: &str,
        actor: CallerId,
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
        let leaf = self.leaf(id, "rotation-fingerprint-differs", actor, &details);
        self.0.signer.witness(leaf).await?;
        Err(RotationError::NotTheKey("fingerprint"))
    }

    /// Records what the counterparty confirmed. The fingerprint that they quote has to be the key's.
    pub async fn confirm(
        &self,
        id: RotationId,
        confirmation: Confirmation,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Confirm, batch).await?;
        let key = self.new_key(&rotation, batch).await?;
        let public = key.public_key.as_ref().ok_or(RotationError::Changed)?;
        if !is_of(&confirmation.fingerprint, public) {
            return Err(RotationError::NotTheKey("fingerprint"));
        }
        let probes = records::probes_in(id, batch.tx()).await?;
        let shown = latest(&probes, Role::New);
        let shown = shown.filter(|it| it.outcome == Some(Outcome::Succeeded));
        let to = if shown.is_some() {
            State::Registered
        } else {
            State::Submitted
        };
        if let Some(kid) = &confirmation.kid {
            self.0.clients.assign_kid(key.id, kid, id, batch).await?;
        }
        let evidence = Confirmed {
            kid: confirmation.kid,
            quoted: confirmation.fingerprint,
            reference: confirmation.reference,
            expires_at: confirmation.expires_at,
            probe: shown.map(|it| it.id),
        };
        self.take(&rotation, Step::Confirm, to, &evidence, actor, batch)
            .await
    }

    /// Lets the new key sign in the place of the old one, at the exclusive gate: from the commit on
    /// the old one signs nothing but probes, and the client has the new one on every replica.
    pub async fn switch(
        &self,
        id: RotationId,
        reason: Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::Switch, batch).await?;
        let now = records::now(batch.tx()).await?;
        let probes = records::probes_in(id, batch.tx()).await?;
        let proof = works(&probes, Role::New, PROOF_LASTS, now)?.id;
        let (old, new) = self.both(&rotation, batch).await?;
        let client = self
            .0
            .clients
            .within(rotation.subject.into(), batch)
            .await?;
        if client.key.id != old.id {
            return Err(not_ready(
                "the client has another key than the one that goes",
            ));
        }
        let mut others = self.0.clients.with_key(old.id, batch).await?;
        others.extend(self.0.clients.with_key(new.id, batch).await?);
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
        let steps = records::steps_in(id, batch.tx()).await?;
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
            .take(&rotation, Step::Switch, to, &evidence, actor, batch)
            .await?;
        self.change(
            &client,
            (&old, KeyState::Retiring),
            &new,
            &reason,
            actor,
            batch,
        )
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
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<(), RotationError> {
        let keys = &self.0.keys;
        if from.state == KeyState::Active {
            keys.step(from, becomes, reason, actor, batch).await?;
        }
        if to.state != KeyState::Active {
            keys.step(to, KeyState::Active, reason, actor, batch)
                .await?;
        }
        let clients = &self.0.clients;
        clients.switch_key(client, to.id, actor, batch).await?;
        Ok(())
    }

    /// Goes back to the old key, at the exclusive gate, while the counterparty still takes it.
    pub async fn roll_back(
        &self,
        id: RotationId,
        reason: Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.locked(id, Step::RollBack, batch).await?;
        let now = records::now(batch.tx()).await?;
        let probes = records::probes_in(id, batch.tx()).await?;
        let proof = works(&probes, Role::Old, WAY_BACK_LASTS, now)?.id;
        let (old, new) = self.both(&rotation, batch).await?;
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
            .within(rotation.subject.into(), batch)
            .await?;
        let evidence = Proved {
            probe: proof,
            reason: Some(reason.clone()),
        };
        let to = State::RolledBack;
        let moved = self
            .take(&rotation, Step::RollBack, to, &evidence, actor, batch)
            .await?;
        self.change(
            &client,
            (&new, KeyState::Retiring),
            &old,
            &reason,
            actor,
            batch,
        )
        .await?;
        Ok(moved)
    }

    pub(super) async fn new_key(
        &self,
        rotation: &Rotation,
        batch: &mut Batch,
    ) -> Result<Key, RotationError> {
        let id = rotation.new_key.ok_or(RotationError::Changed)?;
        Ok(self.0.keys.within(id, batch).await?)
    }

    /// The old and the new key.
    pub(super) async fn both(
        &self,
        rotation: &Rotation,
        batch: &mut Batch,
    ) -> Result<(Key, Key), RotationError> {
        let old = self.0.keys.within(rotation.old_key, batch).await?;
        Ok((old, self.new_key(rotation, batch).await?))
    }
}

fn pem_sha256(key: &Key) -> Result<String, RotationError> {
    use sha2::{Digest, Sha256};
    let public = key.public_key.as_ref().ok_or(RotationError::Changed)?;
    Ok(hex::encode(Sha256::digest(public.to_pem())))
}
