//! `/v1/wallets/{wallet}/exposure`

use axum::Json;
use axum::extract::State;

use super::wallets::permitted;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::api_keys::KeyRequest;
use crate::clob::exposure::Looked;
use crate::clob::wallets::Wallet;
use crate::http::body::{Body, Named, NoDetails};
use crate::http::problem::Problem;
use crate::idempotency::RequestDigest;
use crate::limits::Exceeded;
use crate::policy::Action;
use crate::signing::SigningError;

/// See which orders are over
///
/// Asks the CLOB about the wallet's orders that count as open exposure, the oldest first, and frees what was
/// filled or cancelled. An order that the CLOB does not know may still be posted, and goes on counting.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/exposure", tag = "wallets",
    request_body = NoDetails,
    responses((status = 200, description = "What was seen", body = Looked)),
)]
pub(super) async fn look_at_exposure(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Body(NoDetails {}, request): Body<NoDetails>,
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

/// Has the CLOB asked which of a wallet's orders are over, where open exposure stood in the way of one: beside the
/// answer, as whoever asked for that order, if they may.
pub(in crate::http) fn see_to(
    app: &App,
    caller: &Caller,
    wallet: &Wallet,
    request: RequestDigest,
    error: &SigningError,
) {
    let is_in_the_way = |it: &Exceeded| it.limit == Exceeded::OPEN_EXPOSURE;
    if !matches!(error, SigningError::Limit(limit) if is_in_the_way(limit)) {
        return;
    }
    let (action, resource) = (Action::IssueL2Headers, wallet.resource());
    if !app.would(caller, action, &resource) || !app.exposure.is_due(wallet.id) {
        return;
    }
    let Ok(permit) = app.ask(caller, action, &resource) else {
        return;
    };
    let wish = KeyRequest {
        caller: caller.clone(),
        wallet: wallet.clone(),
        permit,
        request,
    };
    let exposure = app.exposure.clone();
    app.tasks.spawn(async move {
        match exposure.look(&wish).await {
            Ok(looked) => {
                let over = looked.filled + looked.cancelled;
                tracing::info!(wallet.id = %wish.wallet.id, over, open = looked.open, "which orders are over was asked");
            }
            Err(error) => {
                tracing::info!(wallet.id = %wish.wallet.id, %error, "which orders are over was not learned");
            }
        }
    });
}
