//! `/v1/wallets/{wallet}/drain`

use axum::extract::State;
use axum::response::Response;

use super::wallets::permitted;
use crate::app::App;
use crate::callers::Caller;
use crate::clob::api_keys::KeyRequest;
use crate::http::body::{Body, Named};
use crate::http::caller::Required;
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::keys::Reason;
use crate::ledger::Gate;
use crate::policy::Action;

/// That no order of a wallet is open.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainRequest {
    /// Why no order is open, where the CLOB cannot be asked: 1 to 500 characters. It takes a second
    /// person.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    said: Option<Reason>,
}

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
    Required(key): Required,
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
