//! `/v1/keys/{key}/destruction` and `/cryptoperiod`: how a key ends.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;

use super::{KeyView, may_step, permitted, visible};
use crate::app::App;
use crate::callers::Caller;
use crate::destruction::{Destruction, Obstacle, ObstacleKind, Request};
use crate::http::body::{Body, Named};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::id::CallerId;
use crate::keys::{CryptoperiodEnd, Justification, KeyState};
use crate::ledger::Gate;
use crate::policy::Action;

/// What stands in the way of destroying a key, and how far its destruction is.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DestructionStatus {
    /// The key's state.
    state: KeyState,
    /// What depends on the key.
    obstacles: Vec<Obstacle>,
    /// The latest destruction that was asked for.
    destruction: Option<DestructionView>,
}

/// A destruction that was asked for.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DestructionView {
    /// Who asked for it.
    #[schema(value_type = String)]
    requested_by: CallerId,
    /// Their name.
    requested_by_name: String,
    #[serde(with = "time::serde::rfc3339")]
    requested_at: OffsetDateTime,
    reason: String,
    /// Who agreed.
    approval: String,
    /// The key's state before. Cancelled, it goes back there.
    before: KeyState,
    /// What stood in the way and was accepted.
    accepted: Vec<ObstacleKind>,
    /// Until then it can be cancelled.
    #[serde(with = "time::serde::rfc3339")]
    not_before: OffsetDateTime,
    /// Since when there is no way back, unless `due_at` is set.
    #[serde(with = "time::serde::rfc3339::option")]
    begun_at: Option<OffsetDateTime>,
    /// When the device destroys the key, where that waits by itself. Until it has, it can be cancelled.
    #[serde(with = "time::serde::rfc3339::option")]
    due_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    /// `destroyed` or `cancelled`.
    outcome: Option<String>,
    /// Why the last attempt did not come to its end.
    trouble: Option<String>,
    /// As it stands in the audit log.
    #[schema(value_type = Option<Object>)]
    certificate: Option<serde_json::Value>,
}

impl DestructionView {
    fn of(it: Destruction, requested_by_name: String) -> Self {
        Self {
            requested_by: it.requested_by,
            requested_by_name,
            requested_at: it.requested_at,
            reason: it.reason,
            approval: it.approval,
            before: it.before,
            accepted: it.accepted,
            not_before: it.not_before,
            begun_at: it.begun_at,
            due_at: it.due_at,
            ended_at: it.ended_at,
            outcome: it.outcome,
            trouble: it.trouble,
            certificate: it.certificate,
        }
    }
}

/// Show a key's destruction
///
/// What depends on the key, with what to do about each, and the latest destruction that was asked for,
/// with its certificate once the key is gone.
#[utoipa::path(get, path = "/v1/keys/{key}/destruction", tag = "keys",
    responses((status = 200, description = "How far it is", body = DestructionStatus)),
)]
pub(super) async fn show_destruction(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<DestructionStatus>, Problem> {
    let key = visible(&app, &caller, &name).await?;
    let destruction = match app.destructions.of(&key).await? {
        Some(it) => {
            let names = app.callers.names(vec![it.requested_by]).await?;
            let name = names.of(it.requested_by);
            Some(DestructionView::of(it, name))
        }
        None => None,
    };
    Ok(Json(DestructionStatus {
        state: key.state,
        obstacles: app.destructions.obstacles(&key).await?,
        destruction,
    }))
}

/// Have a key destroyed
///
/// The key goes to `destroy-pending`. After the waiting period it is looked at once more and destroyed
/// in its device; until then it can be cancelled. A device may wait once more by itself (`due_at`), and
/// gives the key back until then. Refused while something depends on it.
#[utoipa::path(post, path = "/v1/keys/{key}/destruction", tag = "keys",
    request_body = Request,
    responses((status = 201, description = "What is going to be done, and when", body = DestructionView)),
)]
pub(super) async fn destroy_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(wish, request): Body<Request>,
) -> Result<Response, Problem> {
    let (seen, view) = permitted(&app, &caller, Action::View, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&view).await? {
        return Ok(earlier);
    }
    let permit = may_step(&app, &caller, &seen, KeyState::DestroyPending)?;
    let obstacles = app.destructions.obstacles(&seen).await?;
    write
        .conclude(&permit, Gate::Exclusive, async |change| {
            let asked = app.destructions.request(&seen, &wish, obstacles, change);
            Ok(DestructionView::of(asked.await?, caller.name.to_string()))
        })
        .await
}

/// Cancel a key's destruction
///
/// The key goes back to the state that it had before: `pre-activation` if it was never used, `deactivated`
/// or `compromised`. Nobody has to agree. Once its device has been asked that works only where the device
/// waits by itself (`due_at`), which then gives the key back.
#[utoipa::path(post, path = "/v1/keys/{key}/destruction/cancel", tag = "keys",
    request_body = Justification,
    responses((status = 201, description = "The key", body = KeyView)),
)]
pub(super) async fn cancel_destruction(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(objection, request): Body<Justification>,
) -> Result<Response, Problem> {
    let (seen, view) = permitted(&app, &caller, Action::View, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&view).await? {
        return Ok(earlier);
    }
    let back = app.destructions.way_back(&seen).await?;
    let to = back.unwrap_or(KeyState::Deactivated); // refused below, to whom may take the step
    let permit = may_step(&app, &caller, &seen, to)?;
    let given_back = app.destructions.give_back(&seen).await?;
    write
        .conclude(&permit, Gate::Exclusive, async |change| {
            let why = (to, &objection.reason);
            let destructions = &app.destructions;
            let back = destructions.cancel(&seen, why, &given_back, change);
            Ok(KeyView::from(&back.await?))
        })
        .await
}

/// Change a key's cryptoperiod
///
/// Earlier takes nobody else; later loosens.
#[utoipa::path(post, path = "/v1/keys/{key}/cryptoperiod", tag = "keys",
    request_body = CryptoperiodEnd,
    responses((status = 201, description = "The key", body = KeyView)),
)]
pub(super) async fn set_cryptoperiod(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(period, request): Body<CryptoperiodEnd>,
) -> Result<Response, Problem> {
    let action = Action::SetCryptoperiod;
    let (seen, permit) = permitted(&app, &caller, action, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            let (ends_at, reason) = (period.ends_at, &period.reason);
            let changed = app.keys.set_cryptoperiod(&seen, ends_at, reason, change);
            Ok(KeyView::from(&changed.await?))
        })
        .await
}
