//! What is signed for the CLOB, and the wallets that it is signed for.

mod batches;
pub(super) mod builders;
mod checks;
mod credential_view;
pub(super) mod credentials;
mod drain;
mod emptying;
mod explain;
pub(in crate::http) mod exposure;
mod headers;
mod nonces;
mod operation_catalogue;
pub(super) mod operations;
mod operations_on_record;
mod orders;
mod readiness;
mod session_keys;
mod submissions;
mod wallet_view;
pub(super) mod wallets;

use axum::Extension;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::body::BodyTimes;

/// What is at the API's paths for it.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(orders::sign_order))
        .routes(routes!(orders::sign_market_order))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(batches::sign_orders))
                .layer(Extension(BodyTimes::BATCH)),
        )
        .routes(routes!(headers::issue_l2_headers))
        .routes(routes!(headers::issue_builder_headers))
        .routes(routes!(builders::give_builder_credential))
        .routes(routes!(builders::sign))
        .routes(routes!(builders::sign_for_wallet))
        .routes(routes!(explain::explain_order))
        .routes(routes!(wallets::list_wallets, wallets::create_wallet))
        .routes(routes!(wallets::show_wallet))
        .routes(routes!(wallets::close_wallet))
        .routes(routes!(readiness::show_readiness))
        .routes(routes!(emptying::show_emptying))
        .routes(routes!(session_keys::list_session_keys))
        .routes(routes!(submissions::submit_operation))
        .routes(routes!(submissions::deploy_wallet))
        .routes(routes!(submissions::list_submissions))
        .routes(routes!(drain::drain_wallet))
        .routes(routes!(exposure::look_at_exposure))
        .routes(routes!(
            operations_on_record::list_operations,
            operations::sign_operations
        ))
        .routes(routes!(operations_on_record::show_operation))
        .routes(routes!(operations_on_record::settle_operation))
        .routes(routes!(operation_catalogue::show_operation_catalogue))
        .routes(routes!(
            credentials::list_credentials,
            credentials::create_credential
        ))
        .routes(routes!(credentials::list_api_keys))
        .routes(routes!(credentials::delete_credential))
        .routes(routes!(credentials::check_credential))
        .routes(routes!(credentials::reveal_credential))
        .routes(routes!(credentials::issue_l1_header))
        .routes(routes!(nonces::find_nonces))
        .routes(routes!(nonces::declare_nonces))
        .routes(routes!(nonces::begin_search))
        .routes(routes!(nonces::show_search))
        .routes(routes!(nonces::step_search))
}
