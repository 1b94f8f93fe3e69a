//! `/v1/wallets/{wallet}/drain`

use axum::extract::State;
use axum::response::Response;

use super::wallets::permitted;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::api_keys::KeyRequest;
use crate::clob::drains::DrainRequest;
use crate::http::body::{Body, Named};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::ledger::Gate;
use crate::policy::Action;

/// A drain on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DrainView {
    /// How it was shown, since when it holds, and on what it stands.
    #[schema(value_type = Object)]
    drain: serde_json::Value,
}

/// Drain a wallet
///
/// Cancels all orders of its address at the CLOB and sees that none is listed, twice; or takes your word
/// for it. For a key that signs no orders any more, whether it is being replaced or stopped.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/drain", tag = "wallets",
    request_body = DrainRequest,
    responses((status = 201, description = "What was seen", body = DrainView)),
)]
pub(super) async fn drain_wallet(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(wanted, request): Body<DrainRequest>,
) -> Result<Response, Problem> {
    let action = Action::DrainWallet;
    let (wallet, permit) = permitted(&app, &caller, action, &name).await?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let wish = KeyRequest {
            caller: caller.clone(),
            wallet: wallet.clone(),
            permit: permit.clone(),
            request,
        };
        let proven = app.drains.prove(&wish, wanted.said).await?;
        write
            .conclude(&permit, Gate::Shared, async |change| {
                let recorded = app.drains.record(&wallet, &proven, change);
                let drain = recorded.await?;
                Ok(DrainView { drain })
            })
            .await
    })
    .await
}
