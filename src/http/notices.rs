//! `/v1/notices`: who was told of what, and whether it arrived.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, NoDetails, Params};
use super::page::{Page, Paged};
use super::problem::Problem;
use crate::app::App;
use crate::callers::Caller;
use crate::id::NoticeId;
use crate::ledger::Gate;
use crate::notices::{self, Told, Tried};
use crate::policy::{Action, Resource};

/// What is at the API's paths for notices.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_notices))
        .routes(routes!(test_notices))
}

/// Which notices.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NoticeQuery {
    /// Only those with a delivery that stands like this: waiting, delivered, dead.
    state: Option<notices::State>,
    /// How many at most, 1 to 1,000. All of them unless it is said.
    limit: Option<u16>,
    /// Those that come after the one with this id. The answer's `Link` header has the next page's.
    after: Option<String>,
}

/// List notices
///
/// What somebody was or is to be told within the last 30 days, the newest first, at most 1,000, and how each
/// delivery stands.
#[utoipa::path(get, path = "/v1/notices", tag = "notices", params(NoticeQuery),
    responses((status = 200, description = "The notices", body = Vec<Told>)),
)]
pub(super) async fn list_notices(
    State(app): State<App>,
    caller: Caller,
    Params(wanted): Params<NoticeQuery>,
) -> Result<Paged<Told>, Problem> {
    app.ask(&caller, Action::ViewNotices, &Resource::service())
        .map(drop)?;
    let path = wanted.state.map_or_else(
        || "/v1/notices".to_owned(),
        |state| format!("/v1/notices?state={state}"),
    );
    let all = app.notices.list(wanted.state).await?;
    Page::new(wanted.limit, wanted.after).of(&path, all, |it| it.id.to_string())
}

/// Send a test notice
///
/// To each destination, whatever kinds it wants, once; says what came of it. A destination gets a document
/// like every notice's: `NoticeMessage`.
#[utoipa::path(post, path = "/v1/notices/test", tag = "notices",
    request_body = NoDetails,
    responses((status = 200, description = "What came of it", body = Vec<Tried>)),
)]
pub(super) async fn test_notices(
    State(app): State<App>,
    caller: Caller,
    Body(NoDetails {}, _): Body<NoDetails>,
) -> Result<Json<Vec<Tried>>, Problem> {
    let permit = app.ask(&caller, Action::TestNotices, &Resource::service())?;
    let mut change = app.log.begin(Gate::Shared, permit.author()).await?;
    change.note("test-notices", NoticeId::new(), &serde_json::json!({}));
    change.commit().await?;
    Ok(Json(app.notices.test().await))
}
