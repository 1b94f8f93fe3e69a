//! `/v1/wallets/{wallet}/exposure`

use axum::Json;
use axum::extract::State;

use super::wallets::permitted;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::api_keys::KeyRequest;
use crate::clob::exposure::Looked;
use crate::http::body::{Body, Named};
use crate::http::problem::Problem;
use crate::policy::Action;

/// Nothing to say.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoExposureDetails {}

/// See which orders are over
///
/// Asks the CLOB about the wallet's orders that count as open exposure, the oldest first, and frees what was
/// filled or cancelled. An order that the CLOB does not know may still be posted, and goes on counting.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/exposure", tag = "wallets",
    request_body = NoExposureDetails,
    responses((status = 200, description = "What was seen", body = Looked)),
)]
pub(super) async fn look_at_exposure(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Body(NoExposureDetails {}, request): Body<NoExposureDetails>,
) -> Result<Json<Looked>, Problem> {
    let (wallet, permit) = permitted(&app, &caller, Action::IssueL2Headers, &name).await?;
    let wish = KeyRequest {
        caller,
        wallet,
        permit,
        request,
    };
    Ok(Json(app.exposure.look(&wish).await?))
}
