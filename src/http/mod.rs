//! The edge: from HTTP to domain types and back. Nothing below knows a status code.
//!
//! It **trusts** nothing that comes in: bodies and headers have limits in size and time, requests in
//! number, and every refusal is a problem document.

mod admin;
mod assertions;
mod attestation;
mod batches;
mod body;
mod builders;
mod caller;
mod callers;
mod clients;
mod credentials;
mod custody;
mod destruction;
mod device_switch;
mod due;
mod environments;
mod exchange;
mod explain;
mod headers;
mod health;
mod imports;
mod jwks;
mod keys;
mod nonces;
mod oauth;
mod orders;
mod orphans;
pub mod problem;
mod refusals;
mod rotation_steps;
mod rotations;
mod rpc;
mod serve;
mod signatures;
mod tokens;
mod wallet_rotation;
mod wallets;

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{MatchedPath, Path, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Extension, Json, Router, error_handling::HandleErrorLayer};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::signing::Signed;
use body::{BodyLimit, BodyTimes};
use jwks::PublicJwks;
use problem::Problem;
pub use serve::{ListenError, listen, serve};

/// `[http]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen. Loopback only, until the service speaks TLS itself.
    pub listen: SocketAddr,
    /// The largest body, in bytes; eight times as much for `/rpc`, which takes batches.
    pub body_limit_bytes: usize,
    /// How many requests are worked on at a time; more are refused at once.
    pub concurrent_requests: usize,
    /// How many connections are open at a time; more wait.
    pub connections: usize,
    /// How long a client may take to send a request's head, and a connection may idle.
    pub idle_timeout_ms: u64,
    /// How long a request may take, its body included, whatever it asks for.
    pub request_timeout_ms: u64,
    /// How long a shutdown waits for what is under way.
    pub shutdown_timeout_ms: u64,
    /// Whether a client's key set is shown without a token: for a counterparty who fetches it.
    pub public_jwks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7300)),
            body_limit_bytes: 64 * 1024,
            concurrent_requests: 1_024,
            connections: 4_096,
            idle_timeout_ms: 30_000,
            request_timeout_ms: 15_000,
            shutdown_timeout_ms: 15_000,
            public_jwks: false,
        }
    }
}

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

/// The API's table of contents.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Api::openapi())
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
        .routes(routes!(rpc::call_rpc))
        .routes(routes!(assertions::issue_assertion))
        .routes(routes!(tokens::get_token))
        .routes(routes!(tokens::invalidate_token))
        .routes(routes!(oauth::exchange_token))
        .routes(routes!(signatures::show_signature))
        .routes(routes!(signatures::find_signatures))
        .routes(routes!(wallets::list_wallets, wallets::create_wallet))
        .routes(routes!(wallets::show_wallet))
        .routes(routes!(wallets::close_wallet))
        .routes(routes!(wallet_rotation::drain_wallet))
        .routes(routes!(
            wallet_rotation::show_wallet_rotation,
            wallet_rotation::open_wallet_rotation
        ))
        .routes(routes!(wallet_rotation::step_wallet_rotation))
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
        .routes(routes!(clients::list_clients, clients::create_client))
        .routes(routes!(clients::show_client))
        .routes(routes!(jwks::show_jwks))
        .routes(routes!(exchange::show_client_scopes))
        .routes(routes!(exchange::list_scopes))
        .routes(routes!(exchange::find_endpoints))
        .routes(routes!(exchange::read_token_scopes))
        .routes(routes!(rotations::list_rotations, rotations::open_rotation))
        .routes(routes!(rotations::show_rotation))
        .routes(routes!(rotations::generate_key))
        .routes(routes!(rotation_steps::submit_key))
        .routes(routes!(rotation_steps::confirm_registration))
        .routes(routes!(rotations::probe_key))
        .routes(routes!(rotation_steps::switch_key))
        .routes(routes!(rotation_steps::ask_removal))
        .routes(routes!(rotation_steps::prove_removal))
        .routes(routes!(rotation_steps::close_rotation))
        .routes(routes!(rotation_steps::abandon_rotation))
        .routes(routes!(rotation_steps::roll_back))
        .routes(routes!(refusals::explain_refusal))
        .routes(routes!(environments::list_environments))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::adopt_key))
        .routes(routes!(device_switch::switch_in_device))
        .routes(routes!(orphans::list_orphans))
        .routes(routes!(orphans::recover_key))
        .routes(routes!(imports::begin_import))
        .routes(routes!(imports::bring_key))
        .routes(routes!(keys::show_key))
        .routes(routes!(keys::show_bundle))
        .routes(routes!(keys::step_key))
        .routes(routes!(
            attestation::show_attestation,
            attestation::attest_key
        ))
        .routes(routes!(
            destruction::show_destruction,
            destruction::destroy_key
        ))
        .routes(routes!(destruction::cancel_destruction))
        .routes(routes!(destruction::set_cryptoperiod))
        .routes(routes!(due::list_due))
        .routes(routes!(custody::list_devices))
        .routes(routes!(custody::reseal))
        .routes(routes!(custody::reseal_answers))
        .routes(routes!(custody::make_sealing_key))
        .routes(routes!(custody::destroy_sealing_key))
        .routes(routes!(callers::list_callers, callers::create_caller))
        .routes(routes!(callers::show_caller))
        .routes(routes!(callers::issue_token))
        .routes(routes!(callers::revoke_caller))
}

/// What watches the service asks, without a token, and gets an answer however busy it is.
fn health() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// The `OpenAPI` document, generated from the handlers.
pub fn openapi() -> Document {
    api().merge(health()).into_openapi()
}

/// The whole service as a router.
pub fn router(app: App, settings: &Settings) -> Router {
    let document = openapi();
    let (router, _) = api().split_for_parts();
    let (health, _) = health().split_for_parts();
    let limits = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(overload))
        .load_shed()
        // One limit for the service: the plain layer would count for each route by itself.
        .layer(GlobalConcurrencyLimitLayer::new(
            settings.concurrent_requests,
        ))
        .timeout(Duration::from_millis(settings.request_timeout_ms));
    router
        .route(
            "/openapi.json",
            axum::routing::get(async move || Json(document)),
        )
        .route(
            "/problems",
            axum::routing::get(async || Json(problem::CATALOGUE)),
        )
        .route("/problems/{name}", axum::routing::get(show_problem))
        .layer(Extension(BodyLimit(settings.body_limit_bytes)))
        .layer(Extension(PublicJwks(settings.public_jwks)))
        .layer(limits)
        .merge(health)
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                &problem::METHOD_NOT_ALLOWED,
                "this path exists, with another method",
            )
        })
        .layer(middleware::from_fn(rpc::translate))
        .layer(middleware::from_fn(oauth::translate))
        .layer(middleware::from_fn(observe))
        .with_state(app)
}

async fn show_problem(Path(name): Path<String>) -> Response {
    match problem::CATALOGUE.iter().find(|kind| kind.name == name) {
        Some(kind) => Json(kind).into_response(),
        None => Problem::not_found("problem").into_response(),
    }
}

async fn overload(error: BoxError) -> Problem {
    if error.is::<tower::timeout::error::Elapsed>() {
        Problem::new(
            &problem::DEADLINE_EXCEEDED,
            "the request took too long to arrive or to answer",
        )
    } else {
        Problem::busy()
    }
}

/// A body that was signed, as it was released.
fn signed(done: Signed) -> Response {
    let mut response = admin::json(StatusCode::OK, done.body);
    if done.replayed {
        response
            .headers_mut()
            .insert(admin::REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// One span and one event for each request; its id goes out with the answer.
async fn observe(request: Request, next: Next) -> Response {
    use tracing::Instrument;

    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let id = uuid::Uuid::now_v7().to_string();
    let operation = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %request.method(),
        operation,
        caller.id = tracing::field::Empty,
    );
    let start = std::time::Instant::now();
    async move {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        headers.insert(
            REQUEST_ID,
            HeaderValue::from_str(&id).expect("a UUID is plain text"),
        );
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        let duration_ms = start.elapsed().as_millis();
        tracing::info!(status = response.status().as_u16(), duration_ms, "answered");
        response
    }
    .instrument(span)
    .await
}
