//! How the key of a client, and the wallet of an account, is replaced.

mod steps;
mod wallet;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::callers::Caller;
use crate::custody::{Algorithm, PublicKey};
use crate::http::body::{Asked, Body};
use crate::http::caller::Required;
use crate::http::oauth::clients;
use crate::http::problem::{self, Problem};
use crate::http::write::{Write, to_its_end};
use crate::id::{ClientId, KeyId, ProbeId, RotationId, WalletId};
use crate::keys::{Key, KeyState, Reason};
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Resource};
use crate::rotations::client::{Emergency, NewClientRotation};
use crate::rotations::probe::{Outcome, Probe, Role};
use crate::rotations::status::Status;
use crate::rotations::watch::Whole;
use crate::rotations::{self, Kind, Rotation, Step, Taken};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_rotations, open_rotation))
        .routes(routes!(show_rotation))
        .routes(routes!(generate_key))
        .routes(routes!(steps::submit_key))
        .routes(routes!(steps::confirm_registration))
        .routes(routes!(probe_key))
        .routes(routes!(steps::switch_key))
        .routes(routes!(steps::ask_removal))
        .routes(routes!(steps::prove_removal))
        .routes(routes!(steps::close_rotation))
        .routes(routes!(steps::abandon_rotation))
        .routes(routes!(steps::roll_back))
        .routes(routes!(wallet::drain_wallet))
        .routes(routes!(
            wallet::show_wallet_rotation,
            wallet::open_wallet_rotation
        ))
        .routes(routes!(wallet::step_wallet_rotation))
}

/// A rotation that is wanted.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRotation {
    /// The client whose key is to be replaced.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "desk-1-prod")]
    client: Option<Name>,
    /// The name of the new key, which no other key has.
    #[schema(value_type = String, example = "desk-1-prod-2027")]
    new_key: Name,
    /// The `[custody.NAME]` section of the device that makes it; the old key's unless it is given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    backend: Option<Name>,
    /// rsa2048, rsa3072 or rsa4096; the old key's unless it is given.
    #[serde(default)]
    algorithm: Option<Algorithm>,
    /// How many days it is in use: 180 unless it is given, 730 at most.
    #[serde(default)]
    cryptoperiod_days: Option<u16>,
    /// When the rotation is to be done.
    #[serde(with = "time::serde::rfc3339")]
    target_at: OffsetDateTime,
    /// Why, for the record: 1 to 500 characters.
    #[schema(value_type = String, example = "the period ends in January")]
    reason: Reason,
    /// The old key is in doubt (`suspended`) or known to be in other hands (`compromised`): it signs
    /// nothing from the answer on.
    #[serde(default)]
    emergency: Option<Emergency>,
}

/// Nothing to say.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {}

/// Why.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotationReason {
    /// For the record: 1 to 500 characters.
    #[schema(value_type = String)]
    pub(super) reason: Reason,
}

/// A probe that is wanted.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeRequest {
    /// Of which of the two keys.
    key: Role,
}

/// Which rotations are wanted.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Those that are open, or those that are not.
    open: Option<bool>,
    /// Those that are late, or those that are not.
    overdue: Option<bool>,
}

/// Where a rotation is after a step.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RotationPosition {
    #[schema(value_type = String)]
    id: RotationId,
    state: rotations::State,
    /// How many steps it has taken.
    seq: i32,
}

impl From<&Rotation> for RotationPosition {
    fn from(rotation: &Rotation) -> Self {
        Self {
            id: rotation.id,
            state: rotation.state,
            seq: rotation.seq,
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
    from: Option<rotations::State>,
    to: rotations::State,
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
    alarm: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

/// What a probe showed, and where the rotation is after it.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Probed {
    probe: ProbeView,
    rotation: RotationPosition,
}

/// A rotation.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RotationView {
    #[schema(value_type = String)]
    id: RotationId,
    kind: Kind,
    /// The wallet that is replaced; its rotation has steps of its own, at
    /// `/v1/wallets/{wallet}/rotation`.
    wallet: Option<String>,
    /// The client's name.
    client: Option<String>,
    /// What the authorization server calls it.
    client_id: Option<String>,
    environment: String,
    state: rotations::State,
    /// Whether the old key was taken out of service when the rotation was opened.
    emergency: bool,
    old_key: Option<KeyPart>,
    new_key: Option<KeyPart>,
    #[serde(with = "time::serde::rfc3339")]
    opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    target_at: OffsetDateTime,
    status: Status,
    steps: Vec<StepView>,
    probes: Vec<ProbeView>,
}

/// A rotation with its alarms.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct WholeView {
    #[serde(flatten)]
    rotation: RotationView,
    /// The alarms that were raised.
    alarms: Vec<AlarmView>,
}

/// The id in the path. What cannot be one is not there.
pub(super) struct Identified(pub(super) RotationId);

impl<S: Send + Sync> FromRequestParts<S> for Identified {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || Problem::not_found("rotation");
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

/// What a rotation is of, as policies see it, and what it is called.
struct Subject {
    resource: Resource,
    client: Option<(String, String)>,
    wallet: Option<String>,
}

async fn subject(app: &App, rotation: &Rotation) -> Result<Option<Subject>, Problem> {
    match rotation.kind {
        Kind::Client => {
            let client = app.clients.by_id(ClientId::from(rotation.subject)).await?;
            Ok(client.map(|client| Subject {
                resource: client.resource(),
                client: Some((client.name.to_string(), client.client_id.clone())),
                wallet: None,
            }))
        }
        Kind::Wallet => {
            let wallet = app.wallets.by_id(WalletId::from(rotation.subject)).await?;
            Ok(wallet.map(|wallet| Subject {
                resource: wallet.resource(),
                client: None,
                wallet: Some(wallet.name.to_string()),
            }))
        }
    }
}

/// A rotation that the caller may see.
async fn visible(
    app: &App,
    caller: &Caller,
    id: RotationId,
) -> Result<(Rotation, Subject), Problem> {
    let missing = || Problem::not_found("rotation");
    let rotation = app.rotations.show(id).await?;
    let subject = subject(app, &rotation).await?.ok_or_else(missing)?;
    app.policy
        .decide(caller, Action::View, &subject.resource)
        .map_err(|_| missing())?;
    Ok((rotation, subject))
}

/// A rotation that the caller may move.
pub(super) async fn movable(
    app: &App,
    caller: &Caller,
    id: RotationId,
) -> Result<Rotation, Problem> {
    let (rotation, subject) = visible(app, caller, id).await?;
    app.signer
        .may(caller, Action::RotateKey, &subject.resource)?;
    if let Some(wallet) = subject.wallet {
        let detail = format!(
            "this is the rotation of a wallet: take its steps at POST /v1/wallets/{wallet}/rotation/steps"
        );
        return Err(Problem::new(&problem::NO_SUCH_STEP, detail));
    }
    Ok(rotation)
}

async fn views(app: &App, found: Vec<(Rotation, Subject)>) -> Result<Vec<RotationView>, Problem> {
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
        let (client, client_id) = subject.client.unzip();
        RotationView {
            id: rotation.id,
            kind: rotation.kind,
            wallet: subject.wallet,
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

/// List rotations
///
/// Newest first.
#[utoipa::path(get, path = "/v1/rotations", tag = "rotations",
    params(Wanted),
    responses((status = 200, description = "The rotations that you may see", body = Vec<RotationView>)),
)]
pub(super) async fn list_rotations(
    State(app): State<App>,
    caller: Caller,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Vec<RotationView>>, Problem> {
    let mut seen = Vec::new();
    for rotation in app.rotations.list().await? {
        if wanted
            .open
            .is_some_and(|open| open != rotation.state.is_open())
        {
            continue;
        }
        let Some(subject) = subject(&app, &rotation).await? else {
            continue;
        };
        let decided = app.policy.decide(&caller, Action::View, &subject.resource);
        if decided.is_ok() {
            seen.push((rotation, subject));
        }
    }
    let mut views = views(&app, seen).await?;
    if let Some(overdue) = wanted.overdue {
        views.retain(|it| it.status.overdue == overdue);
    }
    Ok(Json(views))
}

/// Show a rotation
///
/// Where it stands, what is next, who waits for whom, and every step with its evidence.
#[utoipa::path(get, path = "/v1/rotations/{rotation}", tag = "rotations",
    responses((status = 200, description = "The rotation", body = WholeView)),
)]
pub(super) async fn show_rotation(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
) -> Result<Json<WholeView>, Problem> {
    let found = visible(&app, &caller, id).await?;
    let rotation = views(&app, vec![found]).await?.pop();
    let rotation = rotation.ok_or_else(|| Problem::not_found("rotation"))?;
    let alarms = app.rotations.alarms(id).await?;
    let view = |(alarm, at)| AlarmView { alarm, at };
    Ok(Json(WholeView {
        rotation,
        alarms: alarms.into_iter().map(view).collect(),
    }))
}

/// Open a rotation
///
/// One at a time for a client. In an emergency the old key is taken out of service at once.
#[utoipa::path(post, path = "/v1/rotations", tag = "rotations",
    request_body = NewRotation,
    responses((status = 201, description = "The rotation", body = RotationPosition)),
)]
pub(super) async fn open_rotation(
    State(app): State<App>,
    caller: Caller,
    Required(key): Required,
    Body(new, request): Body<NewRotation>,
) -> Result<Response, Problem> {
    let name = new
        .client
        .as_ref()
        .ok_or_else(|| Problem::new(&problem::INVALID_FIELD, "client: say whose key is rotated"))?;
    let client = clients::visible(&app, &caller, name).await?;
    app.signer
        .may(&caller, Action::RotateKey, &client.resource())?;
    let gate = match new.emergency {
        Some(_) => Gate::Exclusive,
        None => Gate::Shared,
    };
    let wanted = NewClientRotation {
        new_key: new.new_key,
        backend: new.backend,
        algorithm: new.algorithm,
        cryptoperiod_days: new.cryptoperiod_days,
        target_at: new.target_at,
        reason: new.reason,
        emergency: new.emergency,
    };
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(gate, async |batch| {
            let rotations = &app.rotations;
            let opened = rotations
                .open_client(&client, wanted.clone(), caller.id, batch)
                .await?;
            Ok(RotationPosition::from(&opened))
        })
        .await
}

/// Have the new key made
///
/// Repeated after a lost answer or a crash it goes on where that was; a rotation has one new key.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/generate", tag = "rotations",
    request_body = Plain,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn generate_key(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(Plain {}, request): Body<Plain>,
) -> Result<Response, Problem> {
    movable(&app, &caller, id).await?;
    // A device may take minutes, and a caller less patience.
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier().await? {
            return Ok(earlier);
        }
        let (_, made) = app.rotations.generate(id, caller.id).await?;
        write
            .conclude(Gate::Shared, async |batch| {
                let rotations = &app.rotations;
                let moved = rotations.generated(id, &made, caller.id, batch).await?;
                Ok(RotationPosition::from(&moved))
            })
            .await
    })
    .await
}

/// Probe a key
///
/// Exchanges an assertion of the key for a token, which is dropped, to see whether the counterparty
/// takes the key. Once in ten seconds for a key.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/probes", tag = "rotations",
    request_body = ProbeRequest,
    responses((status = 201, description = "What it showed", body = Probed)),
)]
pub(super) async fn probe_key(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(wanted, request): Body<ProbeRequest>,
) -> Result<Response, Problem> {
    visible(&app, &caller, id).await?;
    // What was begun at the counterparty has to be put on record.
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier().await? {
            return Ok(earlier);
        }
        let rotations = &app.rotations;
        let (probe, seen) = rotations.probe(id, wanted.key, &caller, request).await?;
        write
            .conclude(Gate::Shared, async |batch| {
                let (probe, moved) = rotations.probed(id, probe, &seen, caller.id, batch).await?;
                Ok(Probed {
                    probe: probe.into(),
                    rotation: RotationPosition::from(&moved),
                })
            })
            .await
    })
    .await
}
