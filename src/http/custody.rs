//! `/v1/custody` and `/v1/sealing`: what rests sealed under which key, and replacing those keys.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Named};
use super::caller::RequiredKey;
use super::problem::Problem;
use super::write::{Write, to_its_end};
use crate::app::App;
use crate::callers::Caller;
use crate::keys::Justification;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Denied, Permit, Resource};
use crate::resealing::{
    After, AnswersAfter, AnswersHeld, AnswersStep, Holding, Resealing, Step, What,
};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_devices))
        .routes(routes!(reseal))
        .routes(routes!(reseal_answers))
        .routes(routes!(make_sealing_key))
        .routes(routes!(destroy_sealing_key))
}

/// How much a stretch looks at, unless it is said, and at most.
const STRETCH: u16 = 50;
const LONGEST_STRETCH: u16 = 500;

/// What rests sealed.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct CustodyView {
    /// The service's own keys, and the answers of administrative writes under each.
    service: Vec<AnswersHeld>,
    devices: Vec<DeviceView>,
}

/// A device, and what rests under its sealing keys.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DeviceView {
    /// Its `[custody.NAME]` section.
    name: String,
    /// Why it does not answer; none where it does.
    trouble: Option<String>,
    sealing_keys: Vec<Holding>,
}

/// A stretch of what rests in a device.
#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStretch {
    /// Where to begin: `next` of the stretch before; none for the first.
    #[serde(default)]
    after: Option<After>,
    /// How much to look at: 1 to 500, 50 unless it is said.
    #[serde(default)]
    at_most: Option<u16>,
}

/// A stretch of administrative answers.
#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAnswersStretch {
    /// Where to begin: `next` of the stretch before; none for the first.
    #[serde(default)]
    after: Option<AnswersAfter>,
    /// How much to look at: 1 to 500, 50 unless it is said.
    #[serde(default)]
    at_most: Option<u16>,
}

/// A sealing key of a device.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct SealingKeyView {
    /// What it is known by; never the key.
    id: String,
}

/// List devices and sealing keys
///
/// And how much rests under each: a former key under which nothing rests can go.
#[utoipa::path(get, path = "/v1/custody", tag = "custody",
    responses((status = 200, description = "The devices", body = CustodyView)),
)]
pub(super) async fn list_devices(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<CustodyView>, Problem> {
    app.ask(&caller, Action::ViewCustody, &Resource::service())
        .map(drop)?;
    let mut devices = Vec::new();
    for (name, health) in app.vault.health().await {
        let (trouble, sealing_keys) = match app.resealing.holdings(&name).await {
            Ok(holdings) => (health.err().map(|error| error.to_string()), holdings),
            Err(error) => (Some(error.to_string()), Vec::new()),
        };
        devices.push(DeviceView {
            name: name.to_string(),
            trouble,
            sealing_keys,
        });
    }
    let service = app.resealing.answers_held().await?;
    Ok(Json(CustodyView { service, devices }))
}

/// Seal a stretch of what rests in a device anew
///
/// Under the key that seals now. Repeat with `after` = the answer's `next` until that is null; what is
/// under the current key already is left alone.
#[utoipa::path(post, path = "/v1/custody/{device}/reseal", tag = "custody",
    request_body = NewStretch,
    responses((status = 201, description = "What was sealed anew", body = Step)),
)]
pub(super) async fn reseal(
    State(app): State<App>,
    caller: Caller,
    Named(device): Named,
    RequiredKey(key): RequiredKey,
    Body(stretch, request): Body<NewStretch>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&permit).await? {
        return Ok(earlier);
    }
    let beginning = After {
        what: What::Keys,
        id: None,
    };
    let after = stretch.after.unwrap_or(beginning);
    let at_most = length(stretch.at_most);
    let prepared = app.resealing.prepare(&device, after, at_most).await?;
    crate::fail_point!("resealed");
    write
        .conclude(&permit, Gate::Shared, async |change| {
            Ok(app.resealing.put(&prepared, change).await?)
        })
        .await
}

/// Seal a stretch of administrative answers anew
///
/// Under the service's current key. Repeat with `after` = the answer's `next` until that is null.
#[utoipa::path(post, path = "/v1/sealing/reseal", tag = "custody",
    request_body = NewAnswersStretch,
    responses((status = 201, description = "What was sealed anew", body = AnswersStep)),
)]
pub(super) async fn reseal_answers(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(stretch, request): Body<NewAnswersStretch>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let at_most = length(stretch.at_most);
    Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Shared, async |change| {
            let resealing = &app.resealing;
            let step = resealing.reseal_answers(stretch.after, at_most, change);
            Ok(step.await?)
        })
        .await
}

/// Make a sealing key
///
/// In a device that makes its own. It seals from then on; the former ones still open.
#[utoipa::path(post, path = "/v1/custody/{device}/sealing-keys", tag = "custody",
    request_body = Justification,
    responses((status = 201, description = "The key", body = SealingKeyView)),
)]
pub(super) async fn make_sealing_key(
    State(app): State<App>,
    caller: Caller,
    Named(device): Named,
    RequiredKey(key): RequiredKey,
    Body(because, request): Body<Justification>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let (resealing, reason) = (&app.resealing, because.reason.as_str());
        let id = resealing.make_key(&device, reason, &permit).await?;
        write
            .conclude(&permit, Gate::Shared, async |change| {
                Resealing::done("sealing-key-made", &device, &id, change);
                Ok(SealingKeyView { id })
            })
            .await
    })
    .await
}

/// Destroy a former sealing key
///
/// In a device that makes its own, once nothing rests under it.
#[utoipa::path(post, path = "/v1/custody/{device}/sealing-keys/{sealing_key}/destruction", tag = "custody",
    request_body = Justification,
    responses((status = 201, description = "The key, which is gone", body = SealingKeyView)),
)]
pub(super) async fn destroy_sealing_key(
    State(app): State<App>,
    caller: Caller,
    Path((device, id)): Path<(String, String)>,
    RequiredKey(key): RequiredKey,
    Body(because, request): Body<Justification>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let device: Name = device.parse().map_err(|_| Problem::not_found("device"))?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let (resealing, reason) = (&app.resealing, because.reason.as_str());
        resealing.destroy_key(&device, &id, reason, &permit).await?;
        write
            .conclude(&permit, Gate::Shared, async |change| {
                Resealing::done("sealing-key-destroyed", &device, &id, change);
                Ok(SealingKeyView { id })
            })
            .await
    })
    .await
}

fn may_manage(app: &App, caller: &Caller) -> Result<Permit, Denied> {
    app.ask(caller, Action::ManageCustody, &Resource::service())
}

fn length(at_most: Option<u16>) -> i64 {
    at_most.unwrap_or(STRETCH).clamp(1, LONGEST_STRETCH).into()
}
