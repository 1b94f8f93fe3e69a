//! What the service says about itself: its OpenAPI document and its problem catalogue.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use super::problem::{self, Problem};
use crate::app::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Chancery",
        description = "Signs Polymarket CLOB orders and issues client assertions with keys that stay in their device.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&BearerToken),
)]
struct Api;

/// Every operation but the health checks takes a bearer token.
struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, document: &mut Document) {
        use utoipa::openapi::security::{
            Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
        };
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new(
            "token",
            Vec::<String>::new(),
        )]);
    }
}

/// An API without operations.
pub(super) fn empty() -> Document {
    Api::openapi()
}

/// Where the documents are, for whoever asks.
pub(super) fn routes(document: Document) -> Router<App> {
    Router::new()
        .route(
            "/openapi.json",
            axum::routing::get(async move || Json(document)),
        )
        .route(
            "/problems",
            axum::routing::get(async || Json(problem::CATALOGUE)),
        )
        .route("/problems/{name}", axum::routing::get(show_problem))
}

async fn show_problem(Path(name): Path<String>) -> Response {
    match problem::CATALOGUE.iter().find(|kind| kind.name == name) {
        Some(kind) => Json(kind).into_response(),
        None => Problem::not_found("problem").into_response(),
    }
}
