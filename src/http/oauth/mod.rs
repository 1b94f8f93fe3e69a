//! Client assertions, the tokens that they are exchanged for, and the clients that they speak for.

mod assertions;
pub(super) mod clients;
mod environments;
mod expected;
mod explain;
mod jwks;
mod scopes;
pub(super) mod token_endpoint;
mod token_scopes;
mod tokens;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// What is at the API's paths for it.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(assertions::issue_assertion))
        .routes(routes!(tokens::get_token))
        .routes(routes!(tokens::invalidate_token))
        .routes(routes!(token_endpoint::exchange_token))
        .routes(routes!(clients::list_clients, clients::create_client))
        .routes(routes!(clients::show_client))
        .routes(routes!(jwks::show_jwks))
        .routes(routes!(scopes::show_client_scopes))
        .routes(routes!(scopes::list_scopes))
        .routes(routes!(scopes::find_endpoints))
        .routes(routes!(token_scopes::read_token_scopes))
        .routes(routes!(explain::explain_refusal))
        .routes(routes!(environments::list_environments))
}
