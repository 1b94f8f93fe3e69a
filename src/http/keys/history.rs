//! `GET /v1/keys/{key}/steps`: how a key came to its state.

use axum::Json;
use axum::extract::State;

use super::visible;
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::Named;
use crate::http::problem::Problem;
use crate::keys::Taken;

/// List the steps of a key
///
/// From state to state, the oldest first: who took each, who agreed, and why.
#[utoipa::path(get, path = "/v1/keys/{key}/steps", tag = "keys",
    responses((status = 200, description = "The steps that it has taken", body = Vec<Taken>)),
)]
pub(super) async fn list_key_steps(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Vec<Taken>>, Problem> {
    let key = visible(&app, &caller, &name).await?;
    Ok(Json(app.keys.steps(&key).await?))
}
