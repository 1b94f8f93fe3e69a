//! The edge: from HTTP to domain types and back. Nothing below knows a status code.
//!
//! It **trusts** nothing that comes in: bodies and headers have limits in size and time, requests in
//! number, and every refusal is a problem document.

// The edge itself.
mod admission;
mod admit;
mod again;
mod approving;
mod body;
mod caller;
mod connections;
mod documents;
mod health;
mod hidden;
mod metrics;
mod observe;
mod page;
pub mod problem;
mod query;
mod receiver;
mod serve;
mod settings;
mod site;
mod tls;
mod traffic;
mod wire;
mod write;
mod written;

// What is behind it, grouped as the domain is.
mod approvals;
mod audit;
mod callers;
mod clob;
mod console;
mod custody;
mod dry_run;
mod due;
mod halts;
mod keys;
mod limits;
mod log;
mod notices;
mod oauth;
mod people;
mod policy;
mod recipients;
mod rotations;
mod rpc;
mod signatures;

use axum::{Router, middleware};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use admit::{Entrance, admit};
pub use metrics::{Settings as MetricsSettings, check_metrics, listen_for_metrics, serve_metrics};
use observe::observe;
pub use page::next_of;
use problem::Problem;
pub use receiver::receive;
pub use serve::{ListenError, Listener, Renewal, check, listen, serve};
pub use settings::Settings;
use site::Names;
use traffic::TRAFFIC;

/// The API's table of contents.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(documents::Api::openapi())
        .merge(clob::routes())
        .routes(routes!(rpc::call_rpc))
        .merge(oauth::routes())
        .merge(signatures::routes())
        .merge(log::routes())
        .merge(audit::routes())
        .merge(rotations::routes())
        .merge(keys::routes())
        .routes(routes!(due::list_due))
        .merge(custody::routes())
        .merge(halts::routes())
        .merge(limits::routes())
        .merge(recipients::routes())
        .merge(callers::routes())
        .merge(policy::routes())
        .merge(people::routes())
        .merge(approvals::routes())
        .merge(notices::routes())
        .merge(health::routes())
}

/// The `OpenAPI` document, generated from the handlers.
pub fn openapi() -> Document {
    documents::complete(api().merge(health::open()).into_openapi())
}

/// Whether this path gets an answer however busy the service is.
fn is_about_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// The whole service as a router. Each layer is cloned and boxed for each request, so there are two.
pub fn router(app: App, settings: &Settings) -> Router {
    let document = openapi();
    std::sync::LazyLock::force(&TRAFFIC);
    let (router, _) = api().split_for_parts();
    let (health, _) = health::open().split_for_parts();
    let entrance = Entrance::new(app.clone(), settings, query::Taking::of(&document));
    let names = Names::new(settings);
    let router = router.layer(middleware::from_fn_with_state(entrance, admit));
    let pages = if app.sessions.are_open() {
        console::routes(&app, router.clone().with_state(app.clone()))
    } else {
        Router::new()
    };
    router
        .merge(documents::routes(&document))
        .merge(health)
        .merge(console::assets())
        .merge(pages)
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                &problem::METHOD_NOT_ALLOWED,
                "this path exists, with another method",
            )
        })
        .layer(middleware::from_fn_with_state(names, observe))
        .with_state(app)
}
