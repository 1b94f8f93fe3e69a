//! Rotations as their readers see them.

use time::OffsetDateTime;

use super::Subject;
use crate::app::App;
use crate::custody::PublicKey;
use crate::http::problem::Problem;
use crate::id::{KeyId, ProbeId, RotationId};
use crate::keys::{Key, KeyState};
use crate::rotations::client::Advanced;
use crate::rotations::probe::{Outcome, Probe, Role};
use crate::rotations::status::Status;
use crate::rotations::watch::Whole;
use crate::rotations::{Kind, Rotation, State, Step, Taken};

/// Where a rotation is after a step.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(in crate::http) struct RotationPosition {
    #[schema(value_type = String)]
    id: RotationId,
    state: State,
    /// How many steps it has taken.
    seq: i32,
    /// What a probe showed, where the step was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<ProbeView>,
}

impl From<&Rotation> for RotationPosition {
    fn from(rotation: &Rotation) -> Self {
        Self {
            id: rotation.id,
            state: rotation.state,
            seq: rotation.seq,
            probe: None,
        }
    }
}

impl From<Advanced> for RotationPosition {
    fn from(advanced: Advanced) -> Self {
        Self {
            probe: advanced.probe.map(ProbeView::from),
            ..Self::from(&advanced.rotation)
        }
    }
}

/// One of the two keys of a rotation.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct KeyPart {
    #[schema(value_type = String)]
    id: KeyId,
    name: String,
    state: KeyState,
    /// SHA-256 of the public key's `SubjectPublicKeyInfo`.
    fingerprint: Option<String>,
    /// Its RFC 7638 thumbprint: `kid` at Auth0.
    thumbprint: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    cryptoperiod_ends_at: OffsetDateTime,
}

impl From<&Key> for KeyPart {
    fn from(key: &Key) -> Self {
        let public = key.public_key.as_ref();
        Self {
            id: key.id,
            name: key.name.to_string(),
            state: key.state,
            fingerprint: public.map(|key| hex::encode(key.fingerprint())),
            thumbprint: public.map(PublicKey::thumbprint),
            cryptoperiod_ends_at: key.cryptoperiod_ends_at,
        }
    }
}

/// A step that was taken.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct StepView {
    seq: i32,
    step: Step,
    from: Option<State>,
    to: State,
    /// The name of whoever took it.
    by: String,
    /// Who agreed.
    approval: String,
    /// By the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// What it stands on.
    #[schema(value_type = Object)]
    evidence: serde_json::Value,
}

impl From<Taken> for StepView {
    fn from(taken: Taken) -> Self {
        Self {
            seq: taken.seq,
            step: taken.step,
            from: taken.from,
            to: taken.to,
            by: taken.actor_name,
            approval: taken.approval,
            at: taken.at,
            evidence: taken.evidence,
        }
    }
}

/// A probe. Its token was dropped.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ProbeView {
    #[schema(value_type = String)]
    id: ProbeId,
    key: Role,
    by: String,
    #[serde(with = "time::serde::rfc3339")]
    begun_at: OffsetDateTime,
    /// Null: under way, or the service died meanwhile; it shows nothing.
    outcome: Option<Outcome>,
    /// What kept it from succeeding.
    error: Option<String>,
    http_status: Option<i32>,
    /// The assertion that was sent, at `GET /v1/signatures/{id}`.
    signature: Option<String>,
}

impl From<Probe> for ProbeView {
    fn from(probe: Probe) -> Self {
        Self {
            id: probe.id,
            key: probe.role,
            by: probe.actor_name,
            begun_at: probe.begun_at,
            outcome: probe.outcome,
            error: probe.error,
            http_status: probe.http_status,
            signature: probe.intent.map(|id| id.to_string()),
        }
    }
}

/// An alarm that was raised.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct AlarmView {
    pub(super) alarm: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) at: OffsetDateTime,
}

/// A rotation.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(in crate::http) struct RotationView {
    #[schema(value_type = String)]
    pub(super) id: RotationId,
    kind: Kind,
    /// The wallet that is replaced.
    wallet: Option<String>,
    /// The client's name.
    client: Option<String>,
    /// What the authorization server calls it.
    client_id: Option<String>,
    environment: String,
    state: State,
    /// Whether the old key was taken out of service when the rotation was opened.
    emergency: bool,
    old_key: Option<KeyPart>,
    new_key: Option<KeyPart>,
    #[serde(with = "time::serde::rfc3339")]
    opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    target_at: OffsetDateTime,
    pub(super) status: Status,
    steps: Vec<StepView>,
    probes: Vec<ProbeView>,
}

/// A rotation with its alarms.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(in crate::http) struct WholeView {
    #[serde(flatten)]
    pub(super) rotation: RotationView,
    /// The alarms that were raised.
    pub(super) alarms: Vec<AlarmView>,
    /// The wallet that takes the old one's place, once it is on record.
    pub(super) new_wallet: Option<String>,
    /// How many orders of the old wallet's key count as open.
    pub(super) open_orders: Option<i64>,
}

pub(super) async fn views(
    app: &App,
    found: Vec<(Rotation, Subject)>,
) -> Result<Vec<RotationView>, Problem> {
    let (rotations, subjects): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let ids: Vec<_> = rotations
        .iter()
        .flat_map(|it| [Some(it.old_key), it.new_key])
        .flatten()
        .collect();
    let keys = app.keys.by_ids(&ids).await?;
    let part = |id: KeyId| keys.iter().find(|key| key.id == id).map(KeyPart::from);
    let whole = app.rotations.whole(rotations).await?;
    let view = |(whole, subject): (Whole, Subject)| {
        let Whole {
            rotation,
            steps,
            probes,
            status,
        } = whole;
        let (client, client_id, wallet) = match subject {
            Subject::Client(it) => (Some(it.name.to_string()), Some(it.client_id), None),
            Subject::Wallet(it) => (None, None, Some(it.name.to_string())),
        };
        RotationView {
            id: rotation.id,
            kind: rotation.kind,
            wallet,
            client,
            client_id,
            environment: rotation.environment.to_string(),
            state: rotation.state,
            emergency: rotation.emergency,
            old_key: part(rotation.old_key),
            new_key: rotation.new_key.and_then(part),
            opened_at: rotation.opened_at,
            target_at: rotation.target_at,
            status,
            steps: steps.into_iter().map(StepView::from).collect(),
            probes: probes.into_iter().map(ProbeView::from).collect(),
        }
    };
    Ok(whole.into_iter().zip(subjects).map(view).collect())
}
