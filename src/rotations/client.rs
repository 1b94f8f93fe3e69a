//! The rotation of a client's key: the documentation's five steps, and the proofs between them.
//!
//! # Why a removal needs two probes
//! That the old key is refused may also mean that the server refuses everything, or that the wrong key
//! was removed. Only a new key that works, seen after the refusal, tells these apart.

use time::{Duration, OffsetDateTime};

use super::evidence::{
    Confirmed, Ended, KeyNamed, Opened, Proved, RemovalAsked, RemovalProved, Submitted,
};
use super::probe::{Outcome, Probe, Role, latest};
use super::{
    Kind, Order, Rotation, RotationError, Rotations, State, Step, Subject, Taken, records,
};
use crate::audit::Batch;
use crate::counterparty::QUOTE_LIMIT;
use crate::custody::{Algorithm, PublicKey};
use crate::id::{CallerId, ClientId, RotationId};
use crate::keys::{Key, KeyState, NewKey, Purpose, Reason};
use crate::name::Name;
use crate::oauth::clients::Client;

/// How old a probe may be on which the new key begins to sign, or a removal counts as proved.
const PROOF_LASTS: Duration = Duration::hours(24);

/// How old a probe may be on which a rotation is rolled back.
const WAY_BACK_LASTS: Duration = Duration::minutes(10);

/// What an access token of the Exchange API lives, where no probe has told, and what is added to be
/// sure, in seconds.
const TOKEN_S: i64 = 180;
const MARGIN_S: i64 = 60;

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
    /// When they let the key expire, where they said so.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// That the counterparty was asked to remove a key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovalRequest {
    /// By which way.
    #[schema(value_type = String)]
    pub channel: Reason,
    /// Their case or ticket.
    #[schema(value_type = String)]
    pub reference: Reason,
}

impl Rotation {
    /// Which of the two keys is to leave the counterparty: the old one, or the new one where the
    /// rotation was given up.
    pub fn goes(&self) -> Role {
        match self.state {
            State::Abandoned | State::RolledBack => Role::New,
            _ => Role::Old,
        }
    }
}

/// Whether a rotation that was given up may have left its new key at the counterparty.
pub(super) fn left_behind(rotation: &Rotation, steps: &[Taken]) -> bool {
    let given_up = matches!(rotation.state, State::Abandoned | State::RolledBack);
    let took = |step| steps.iter().any(|it| it.step == step);
    rotation.kind == Kind::Client && given_up && took(Step::Submit) && !took(Step::ProveRemoval)
}

/// When the removal was asked for of the key that is to go now.
pub(super) fn asked_at(rotation: &Rotation, steps: &[Taken]) -> Option<OffsetDateTime> {
    let of_this_key = |it: &&Taken| {
        let given_up = matches!(it.to, State::Abandoned | State::RolledBack);
        it.step == Step::AskRemoval && given_up == (rotation.goes() == Role::New)
    };
    let asked = steps.iter().find(of_this_key);
    asked.map(|it| it.at)
}

fn not_ready(why: impl Into<String>) -> RotationError {
    RotationError::NotReady(why.into())
}

/// The probe of a role that shows that its key works: its latest word, and no older than this.
fn works(
    probes: &[Probe],
    role: Role,
    lasts: Duration,
    now: OffsetDateTime,
) -> Result<&Probe, RotationError> {
    let name = role.name();
    let probe = latest(probes, role).ok_or_else(|| {
        not_ready(format!(
            "no probe of the {name} key has said anything yet: probe it"
        ))
    })?;
    if probe.outcome != Some(Outcome::Succeeded) {
        let why = format!(
            "the counterparty refused the {name} key at {}",
            probe.begun_at
        );
        return Err(not_ready(why));
    }
    if probe.begun_at < now - lasts {
        let why =
            format!("the last probe of the {name} key that worked is too old: probe it again");
        return Err(not_ready(why));
    }
    Ok(probe)
}

/// The probes that show that a key was removed: a refusal after the removal was asked for, and after
/// that the other key at work.
pub(super) fn removal<'a>(
    rotation: &Rotation,
    steps: &[Taken],
    probes: &'a [Probe],
    now: OffsetDateTime,
) -> Result<(&'a Probe, &'a Probe), RotationError> {
    let (goes, stays) = match rotation.goes() {
        Role::Old => (Role::Old, Role::New),
        Role::New => (Role::New, Role::Old),
    };
    let asked = asked_at(rotation, steps)
        .ok_or_else(|| not_ready("the removal has not been asked for (ask-removal)"))?;
    let refused = latest(probes, goes).filter(|it| it.begun_at > asked);
    let name = goes.name();
    let refused = refused
        .ok_or_else(|| not_ready(format!("probe the {name} key: it has to be refused now")))?;
    if refused.outcome != Some(Outcome::Refused) {
        let why = format!(
            "the counterparty still took the {name} key at {}: it has not been removed",
            refused.begun_at
        );
        return Err(not_ready(why));
    }
    let name = stays.name();
    let works = works(probes, stays, PROOF_LASTS, now)?;
    if works.begun_at < refused.begun_at {
        let why = format!(
            "probe the {name} key once more: that it works has to be seen after the other was refused, or they may have removed the wrong one"
        );
        return Err(not_ready(why));
    }
    Ok((refused, works))
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
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::Submit)?;
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
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::Confirm)?;
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
        let evidence = Confirmed {
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
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::Switch)?;
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

    /// Records that the counterparty was asked to remove the key that goes.
    pub async fn ask_removal(
        &self,
        id: RotationId,
        request: RemovalRequest,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::AskRemoval)?;
        let steps = records::steps_in(id, batch.tx()).await?;
        let (goes, stays) = self.going(&rotation, batch).await?;
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
        self.soaked(&rotation, &goes, batch).await?;
        let evidence = RemovalAsked {
            goes: KeyNamed::from(&goes),
            stays: stays.as_ref().map(KeyNamed::from),
            channel: request.channel,
            reference: request.reference,
        };
        self.take(&rotation, Step::AskRemoval, to, &evidence, actor, batch)
            .await
    }

    /// Records that the key that goes was removed: it is refused, and the other one works.
    pub async fn prove_removal(
        &self,
        id: RotationId,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::ProveRemoval)?;
        let steps = records::steps_in(id, batch.tx()).await?;
        let given_up = rotation.goes() == Role::New;
        if given_up && !left_behind(&rotation, &steps) {
            return Err(not_ready("the new key never left, or is removed already"));
        }
        let now = records::now(batch.tx()).await?;
        let probes = records::probes_in(id, batch.tx()).await?;
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
            .take(&rotation, Step::ProveRemoval, to, &evidence, actor, batch)
            .await?;
        if rotation.state == State::RolledBack {
            let (goes, _) = self.going(&rotation, batch).await?;
            self.retire(&goes, &rotation, actor, batch).await?;
        }
        Ok(moved)
    }

    /// Finishes: the old key is deactivated.
    pub async fn close(
        &self,
        id: RotationId,
        reason: Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::Close)?;
        let (old, _) = self.both(&rotation, batch).await?;
        self.soaked(&rotation, &old, batch).await?;
        let evidence = Ended { reason };
        let moved = self
            .take(
                &rotation,
                Step::Close,
                State::Closed,
                &evidence,
                actor,
                batch,
            )
            .await?;
        self.retire(&old, &rotation, actor, batch).await?;
        Ok(moved)
    }

    /// Goes back to the old key, at the exclusive gate, while the counterparty still takes it.
    pub async fn roll_back(
        &self,
        id: RotationId,
        reason: Reason,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.lock(id, batch).await?;
        rotation.takes(Step::RollBack)?;
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

    /// Takes a key that was removed out of use for good. A compromised one stays what it is.
    async fn retire(
        &self,
        key: &Key,
        rotation: &Rotation,
        actor: CallerId,
        batch: &mut Batch,
    ) -> Result<(), RotationError> {
        if key.state.step(KeyState::Deactivated).is_ok() {
            let reason = format!("rotation {}", rotation.id);
            let reason = Reason::try_from(reason).expect("an id is plain text");
            let to = KeyState::Deactivated;
            self.0.keys.step(key, to, &reason, actor, batch).await?;
        }
        Ok(())
    }

    /// Refuses while a key that goes has signed business a moment ago: what it signed may still be on
    /// its way, and whoever asked for it may not know of the switch.
    async fn soaked(
        &self,
        rotation: &Rotation,
        goes: &Key,
        batch: &mut Batch,
    ) -> Result<(), RotationError> {
        if out_of_service(goes) {
            return Ok(());
        }
        let client = self.client(rotation).await?;
        let lifetime_s = self.0.clients.environment(&client)?.lifetime_s.seconds();
        let token_s = records::token_life(rotation.id, batch.tx()).await?;
        let needed_s = lifetime_s + token_s.map_or(TOKEN_S, i64::from) + MARGIN_S;
        let soak_s = needed_s.max(i64::from(self.0.settings.soak_s));
        match records::soaks_for(goes.id, soak_s, batch.tx()).await? {
            None => Ok(()),
            Some(retry_after_s) => Err(RotationError::Soaking { retry_after_s }),
        }
    }

    async fn new_key(&self, rotation: &Rotation, batch: &mut Batch) -> Result<Key, RotationError> {
        let id = rotation.new_key.ok_or(RotationError::Changed)?;
        Ok(self.0.keys.within(id, batch).await?)
    }

    /// The old and the new key.
    async fn both(
        &self,
        rotation: &Rotation,
        batch: &mut Batch,
    ) -> Result<(Key, Key), RotationError> {
        let old = self.0.keys.within(rotation.old_key, batch).await?;
        Ok((old, self.new_key(rotation, batch).await?))
    }

    /// The key that goes and, if there is one, the key that stays.
    async fn going(
        &self,
        rotation: &Rotation,
        batch: &mut Batch,
    ) -> Result<(Key, Option<Key>), RotationError> {
        let old = self.0.keys.within(rotation.old_key, batch).await?;
        let new = match rotation.new_key {
            Some(_) => Some(self.new_key(rotation, batch).await?),
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

fn pem_sha256(key: &Key) -> Result<String, RotationError> {
    use sha2::{Digest, Sha256};
    let public = key.public_key.as_ref().ok_or(RotationError::Changed)?;
    Ok(hex::encode(Sha256::digest(public.to_pem())))
}

/// Hexadecimal digits without what people put between them.
fn plain_hex(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix("sha256:").unwrap_or(&text);
    text.chars().filter(|c| !matches!(c, ':' | ' ')).collect()
}

/// Whether a quoted fingerprint is this key's, whole: no part of one counts.
fn is_of(quoted: &str, key: &PublicKey) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let fingerprint = key.fingerprint();
    let text = quoted.trim();
    let text = text.strip_prefix("SHA256:").unwrap_or(text);
    let bare = text.trim_end_matches('=');
    plain_hex(quoted) == hex::encode(fingerprint)
        || bare == STANDARD_NO_PAD.encode(fingerprint)
        || bare == URL_SAFE_NO_PAD.encode(fingerprint)
        || bare == key.thumbprint()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_recognised_in_every_form_and_only_whole() {
        let rsa = rsa::RsaPublicKey::new(
            rsa::BigUint::from_bytes_be(&[0xc3; 256]),
            rsa::BigUint::from(65_537_u32),
        );
        let key = PublicKey::Rsa(rsa.unwrap());
        let hex = hex::encode(key.fingerprint());
        let pairs: Vec<_> = hex.as_bytes().chunks(2).collect();
        let colons = pairs
            .iter()
            .map(|pair| std::str::from_utf8(pair).unwrap().to_uppercase())
            .collect::<Vec<_>>()
            .join(":");
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD.encode(key.fingerprint());
        for good in [
            &hex,
            &hex.to_uppercase(),
            &colons,
            &format!("SHA256:{base64}"),
            &base64,
            &key.thumbprint(),
            &format!(" {hex}\n"),
        ] {
            assert!(is_of(good, &key), "{good}");
        }
        for bad in [
            "",
            "sha256:",
            &hex[..62],
            &colons[..47],
            &base64[..20],
            "==",
        ] {
            assert!(!is_of(bad, &key), "{bad}");
        }
    }
}
