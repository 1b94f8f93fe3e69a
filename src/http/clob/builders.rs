//! `POST /v1/wallets/{wallet}/builder-credentials`, and the remote builder-signing protocol: `POST
//! /sign` and `/v1/wallets/{wallet}/sign`.
//!
//! # Why
//! A client of the protocol posts to the URL that it is given, with a bearer token, and takes four
//! strings. Clients leave out what they do not have, or say null, or an empty text. A timestamp that
//! is far from now is not refused, for most clients drop the builder's headers then and post without;
//! the answer has its own, and clients send what is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::headers::{Made, headers, is_near};
use super::wallets::{permitted, permitted_at_gate};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::builders::{GivenKey, Kept};
use crate::clob::l2::{Shape, VenueRequest};
use crate::clob::wallets::Wallet;
use crate::credentials::Kind;
use crate::http::body::{Body, Named};
use crate::http::caller::RequiredKey;
use crate::http::problem::{self, Problem};
use crate::http::write::Write;
use crate::idempotency::RequestDigest;
use crate::ledger::Gate;
use crate::policy::Action;
use crate::signing::SigningRequest;

/// Give a builder's API key
///
/// Its secret and passphrase are sealed and not shown again; from then on builder headers of the
/// wallet's address are made with it. Given again, it gets new secrets.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/builder-credentials", tag = "headers",
    request_body = GivenKey,
    responses((status = 201, description = "It is on record", body = Kept)),
)]
pub(super) async fn give_builder_credential(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(given, request): Body<GivenKey>,
) -> Result<Response, Problem> {
    let action = Action::CreateCredential;
    let (wallet, permit) = permitted(&app, &caller, action, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier(&permit).await? {
        return Ok(earlier);
    }
    let sealed = app.builders.seal(&wallet, &given, &permit).await?; // before the transaction: the device may be slow
    let kept = write
        .conclude(&permit, Gate::Shared, async |change| {
            Ok(app.builders.keep(&sealed, change).await?)
        })
        .await;
    app.vault.forget_all(); // what it takes the place of
    kept
}

/// A request as clients of the protocol send it.
#[derive(serde::Deserialize, utoipa::ToSchema)]
pub(super) struct RemoteRequest {
    /// In capitals.
    #[schema(example = "POST")]
    method: String,
    /// Without a query.
    #[schema(example = "/order")]
    path: String,
    /// The exact text; nothing, null and empty mean that there is none.
    #[serde(default)]
    body: Option<String>,
    /// Unix seconds, as a number or text. Ours is used unless it is near now.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    timestamp: Value,
}

/// The four headers, and nothing else.
#[derive(utoipa::ToSchema)]
#[expect(
    dead_code,
    clippy::struct_field_names,
    reason = "the shape of what the draft answers"
)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) struct RemoteHeaders {
    poly_builder_api_key: String,
    poly_builder_passphrase: String,
    poly_builder_signature: String,
    poly_builder_timestamp: String,
}

/// Sign for a remote builder
///
/// The remote builder-signing protocol, for a caller with the right to one builder's API key. Clients
/// take this URL as it is. A problem has a member `error` as well.
#[utoipa::path(post, path = "/sign", tag = "headers",
    request_body = RemoteRequest,
    responses((status = 200, description = "The headers", body = RemoteHeaders)),
)]
pub(super) async fn sign(
    State(app): State<App>,
    caller: Caller,
    Body(request, digest): Body<RemoteRequest>,
) -> Result<Response, Problem> {
    let wallet = app
        .builders
        .only_wallet(&caller, &app.rights, &app.wallets)
        .await?;
    answer(&app, &caller, Arc::new(wallet), &request, digest).await
}

/// Sign for a remote builder, with a wallet
///
/// The same for a caller with the right to several builders' API keys: the URL says which.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/sign", tag = "headers",
    request_body = RemoteRequest,
    responses((status = 200, description = "The headers", body = RemoteHeaders)),
)]
pub(super) async fn sign_for_wallet(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Body(request, digest): Body<RemoteRequest>,
) -> Result<Response, Problem> {
    let action = Action::IssueBuilderHeaders;
    let wallet = permitted_at_gate(&app, &caller, action, &name).await?;
    answer(&app, &caller, wallet, &request, digest).await
}

/// Says what was refused in the member `error` too, where the venue's builder SDKs look for it.
pub(in crate::http) fn translate(_: Response, problem: &Problem) -> Response {
    problem.clone().with_error().into_response()
}

async fn answer(
    app: &App,
    caller: &Caller,
    wallet: Arc<Wallet>,
    request: &RemoteRequest,
    digest: RequestDigest,
) -> Result<Response, Problem> {
    let venue = VenueRequest::new(&request.method, &request.path, request.body.as_deref())?;
    let made = Made {
        kind: Kind::Builder,
        timestamp: request.timestamp()?.filter(|it| is_near(app, *it)),
        shape: Shape::Bare,
        dry_run: false,
    };
    let asked = SigningRequest::once(digest);
    headers(app, caller, wallet, venue, made, asked).await
}

impl RemoteRequest {
    fn timestamp(&self) -> Result<Option<i64>, Problem> {
        let wrong = || {
            let detail = "timestamp: unix seconds are wanted, as a number or text";
            Problem::new(&problem::INVALID_FIELD, detail)
        };
        match &self.timestamp {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => text.parse().map(Some).map_err(|_| wrong()),
            Value::Number(number) => number.as_i64().map(Some).ok_or_else(wrong),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(wrong()),
        }
    }
}
