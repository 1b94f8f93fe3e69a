//! Rotations: how a key is replaced, over days, by several people and a counterparty.
//!
//! A rotation is a row with a state, and each step is a row beside it: who, when, on whose approval,
//! on which evidence. Steps are taken along [`rule::edges`], which the database enforces too, each in
//! one transaction with what it changes and with its leaf in the audit log. Nothing is kept in memory:
//! after a crash on any line whoever asks next goes on, on any replica.
//!
//! It **trusts** people for what only they can see (that a bundle was sent, what a counterparty's
//! letter says) and writes down who said so. Whether the counterparty takes a key it finds out by
//! itself, with a probe.
//!
//! # Why the new key's id is recorded first
//! A device may make a key and the process die before anybody knows. The id is on record before the
//! device is asked, so that whoever goes on finds the key in the device and does not make another one.

pub mod client;
pub mod evidence;
mod fingerprint;
mod generate;
mod opening;
pub mod particulars;
pub mod probe;
mod records;
pub mod rule;
pub mod state;
pub mod status;
pub mod steps;
pub mod wallet;
pub mod watch;

use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::approvals::Approval;
use crate::audit::{Change, Log};
use crate::clock::Clock;
use crate::counterparty::BadCounterparty;
use crate::id::{CallerId, KeyId, RotationId};
use crate::keys::{Key, KeyError, Keys, NewKey, Reason};
use crate::ledger::{Ledger, LedgerError};
use crate::name::Name;
use crate::oauth::clients::{ClientError, Clients};
use crate::policy::{Denied, Rights};
use crate::signing::{Signer, SigningError};
use evidence::Ended;
pub use opening::{Emergency, NewRotation, Replaced};
pub use rule::NoSuchStep;
pub use state::{Kind, State};
pub use steps::Step;

/// `[rotations]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a key that goes has to have signed no business before its removal is asked for, in
    /// seconds; more where an assertion's and a token's life and a minute are more.
    pub soak_s: u32,
    /// How often a key may be probed, in seconds.
    pub probe_every_s: u32,
    /// After how many days without a registration alarms are raised.
    pub submitted_alarm_days: Vec<u16>,
    /// After how many days without the proof of a removal.
    pub removal_alarm_days: Vec<u16>,
    /// How often is looked for alarms that are due, in seconds.
    pub watch_every_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            soak_s: 600,
            probe_every_s: 10,
            submitted_alarm_days: vec![3, 7],
            removal_alarm_days: vec![7],
            watch_every_s: 60,
        }
    }
}

/// A rotation on record.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Its id.
    pub id: RotationId,
    /// Of what.
    pub kind: Kind,
    /// The client, or the wallet that is replaced.
    pub subject: Uuid,
    /// The key's environment.
    pub environment: Name,
    /// The key that goes.
    pub old_key: KeyId,
    /// The key that comes, from the moment it is on record.
    pub new_key: Option<KeyId>,
    /// How it was ordered.
    pub ordered: NewKey,
    /// The wallet that takes the place of the old one.
    pub new_subject: Option<Uuid>,
    /// Whether the old key was taken out of service when the rotation was opened.
    pub emergency: bool,
    /// Where it stands.
    pub state: State,
    /// How many steps it has taken.
    pub seq: i32,
    /// When it is to be done.
    pub target_at: OffsetDateTime,
    /// When it was opened, by the database's clock.
    pub opened_at: OffsetDateTime,
}

/// A step that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Of which rotation.
    pub rotation: RotationId,
    /// Its number, from 1.
    pub seq: i32,
    /// Which.
    pub step: Step,
    /// From where; `None`: it opened the rotation.
    pub from: Option<State>,
    /// To where.
    pub to: State,
    /// By whom.
    pub actor: CallerId,
    /// Their name.
    pub actor_name: String,
    /// Who agreed.
    pub approval: String,
    /// On what it stands.
    pub evidence: serde_json::Value,
    /// When, by the database's clock.
    pub at: OffsetDateTime,
}

/// What is to be rotated.
pub(crate) struct Subject {
    /// Of which kind.
    pub(crate) kind: Kind,
    /// The client or wallet.
    pub(crate) id: Uuid,
    /// Its key.
    pub(crate) key: Key,
}

/// How a rotation is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    /// The new key.
    pub key: NewKey,
    /// When it is to be done.
    pub target_at: OffsetDateTime,
    /// Whether the old key goes out of service at once.
    pub emergency: bool,
}

/// Why a rotation was not opened, found or moved.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// There is none with this id.
    #[error("no such rotation")]
    NotFound,
    /// Another one is open.
    #[error("another rotation of it is open; go on with that one, or abandon it")]
    AlreadyOpen,
    /// It does not take this step where it stands.
    #[error(transparent)]
    NoSuchStep(#[from] NoSuchStep),
    /// Somebody else took a step in the meantime.
    #[error("the rotation took another step in the meantime")]
    Changed,
    /// Somebody else is having the key made.
    #[error("the new key is being made")]
    InFlight,
    /// Something is missing before the step can be taken.
    #[error("{0}")]
    NotReady(String),
    /// The key that goes signed business a moment ago.
    #[error(
        "the key that goes signed for its client a moment ago, or its tokens still live; wait {retry_after_s} s"
    )]
    Soaking {
        /// For how long still.
        retry_after_s: u32,
    },
    /// A rotation that was given up may have left its key at the counterparty, which takes two.
    #[error(
        "rotation {0} was given up after its key was submitted, and nothing has proved that the key was removed: the counterparty takes two"
    )]
    LeftBehind(RotationId),
    /// What the counterparty quotes, or what was sent, belongs to another key.
    #[error("{0} is not that of the new key: stop, and find out which key they have")]
    NotTheKey(&'static str),
    /// The key was probed a moment ago.
    #[error("the key was probed a moment ago; again in {retry_after_s} s")]
    ProbedLately {
        /// For how long not.
        retry_after_s: u32,
    },
    /// Nothing is said that could be rotated, or two things are.
    #[error("client or wallet: say one of them, whose rotation it is")]
    ClientOrWallet,
    /// Of a wallet it has no meaning.
    #[error("{0}: only of a client's key")]
    NotOfAWallet(&'static str),
    /// The date makes no sense.
    #[error("target_at is in the future, by two years at most")]
    Target,
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The environment's token endpoint cannot be used as configured.
    #[error("the token endpoint: {0}")]
    Endpoint(#[from] BadCounterparty),
    /// The door.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The rotations of this service. Cheap to clone.
#[derive(Clone)]
pub struct Rotations(Arc<Tools>);

/// What [`Rotations`] works with.
pub struct Tools {
    /// Where evidence goes.
    pub log: Log,
    /// The keys.
    pub keys: Keys,
    /// The clients.
    pub clients: Clients,
    /// Who may have a key probed.
    pub rights: Rights,
    /// The door, for probes.
    pub signer: Signer,
    /// How long is waited, and when alarms are raised.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
}

impl Rotation {
    /// Refuses a step that is not on the list where the rotation stands.
    pub(crate) fn takes(&self, step: Step) -> Result<(), NoSuchStep> {
        self.state.takes(self.kind, step).map(drop)
    }
}

impl Rotations {
    /// Rotations with these parts.
    pub fn new(parts: Tools) -> Self {
        Self(Arc::new(parts))
    }

    fn ledger(&self) -> &Ledger {
        self.0.log.ledger()
    }

    /// All rotations, newest first.
    pub async fn list(&self) -> Result<Vec<Rotation>, RotationError> {
        Ok(records::list(self.ledger()).await?)
    }

    /// One rotation.
    pub async fn show(&self, id: RotationId) -> Result<Rotation, RotationError> {
        records::find(id, self.ledger())
            .await?
            .ok_or(RotationError::NotFound)
    }

    /// The key with this id.
    async fn key(&self, id: KeyId) -> Result<Key, RotationError> {
        let found = self.0.keys.by_ids(&[id]).await?.pop();
        Ok(found.ok_or(KeyError::NotFound)?)
    }

    /// A rotation as it stands; nobody else moves it before this change has ended.
    pub(crate) async fn lock(
        &self,
        id: RotationId,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        records::lock(id, change.tx())
            .await?
            .ok_or(RotationError::NotFound)
    }

    /// The same, where it takes this step.
    async fn locked(
        &self,
        id: RotationId,
        step: Step,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.lock(id, change).await?;
        rotation.takes(step)?;
        Ok(rotation)
    }

    /// Opens a rotation. What stands against it is looked at by the kind's own code.
    pub(crate) async fn begin(
        &self,
        subject: &Subject,
        order: Order,
        evidence: &impl Serialize,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let now = self.0.clock.now();
        if order.target_at <= now || order.target_at > now + time::Duration::days(2 * 365) {
            return Err(RotationError::Target);
        }
        let mut rotation = Rotation {
            id: RotationId::new(),
            kind: subject.kind,
            subject: subject.id,
            environment: subject.key.environment.clone(),
            old_key: subject.key.id,
            new_key: None,
            ordered: order.key,
            new_subject: None,
            emergency: order.emergency,
            state: State::Requested,
            seq: 0,
            target_at: order.target_at,
            opened_at: now,
        };
        let inserted = records::insert(&rotation, change.author(), change.tx()).await;
        rotation.opened_at = inserted.map_err(already_open)?;
        self.record(
            &rotation,
            Step::Open,
            None,
            State::Requested,
            evidence,
            change,
        )
        .await
    }

    /// Takes a step that is on the list, if the rotation is still where it was seen. What else changes
    /// with it stands in the same change.
    pub(crate) async fn take(
        &self,
        rotation: &Rotation,
        step: Step,
        to: State,
        evidence: &impl Serialize,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let mut targets = rotation.state.takes(rotation.kind, step)?;
        if !targets.any(|target| target == to) {
            let from = rotation.state;
            return Err(NoSuchStep { step, from }.into());
        }
        let from = Some(rotation.state);
        self.record(rotation, step, from, to, evidence, change)
            .await
    }

    async fn record(
        &self,
        rotation: &Rotation,
        step: Step,
        from: Option<State>,
        to: State,
        evidence: &impl Serialize,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let approval = approval(step, change);
        let evidence = serde_json::to_value(evidence).expect("plain data serializes");
        let new = records::NewStep {
            step,
            from,
            to,
            author: change.author(),
            approval,
            evidence: &evidence,
        };
        if !records::take(rotation, &new, change.tx()).await? {
            return Err(RotationError::Changed);
        }
        let moved = Rotation {
            state: to,
            seq: rotation.seq + 1,
            ..rotation.clone()
        };
        let details = serde_json::json!({
            "kind": rotation.kind, "subject": rotation.subject, "seq": moved.seq,
            "from": from, "to": to, "old_key": rotation.old_key, "new_key": moved.new_key,
            "evidence": evidence,
        });
        let action = format!("rotation-{step}");
        change.note_as(approval, &action, rotation.id, &details);
        Ok(moved)
    }

    /// Notes the wallet that takes the old one's place.
    pub(crate) async fn set_new_subject(
        &self,
        rotation: &Rotation,
        subject: Uuid,
        change: &mut Change,
    ) -> Result<(), RotationError> {
        Ok(records::set_new_subject(rotation.id, subject, change.tx()).await?)
    }

    /// Gives up, before the new key is used.
    async fn abandon(
        &self,
        id: RotationId,
        reason: Reason,
        change: &mut Change,
    ) -> Result<Rotation, RotationError> {
        let rotation = self.lock(id, change).await?;
        let (to, evidence) = (State::Abandoned, Ended { reason });
        self.take(&rotation, Step::Abandon, to, &evidence, change)
            .await
    }
}

/// Who has to agree to a step: the one place where rotations ask.
fn approval(step: Step, change: &Change) -> Approval {
    if step.loosens() {
        change.loosen()
    } else {
        Approval::by_right()
    }
}

fn already_open(error: LedgerError) -> RotationError {
    match error.constraint() {
        Some("rotations_one_is_open") => RotationError::AlreadyOpen,
        _ => error.into(),
    }
}
