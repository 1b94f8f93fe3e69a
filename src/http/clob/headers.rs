//! `POST /v1/wallets/{wallet}/l2-headers` and `/builder-headers`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::wallets::{once_more, permitted_at_gate};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::l2::{self, HeaderDraft, IssuedHeaders, RequestRefused, Shape, VenueRequest};
use crate::clob::wallets::Wallet;
use crate::credentials::Kind;
use crate::http::body::{Body, Named};
use crate::http::caller::{OptionalKey, Waits};
use crate::http::dry_run;
use crate::http::problem::{self, Problem, Replaced};
use crate::policy::Action;
use crate::signing::{DryRun, SigningRequest};

/// The answer, or with `dryRun` what would be signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum HeadersAnswer {
    Done(IssuedHeaders),
    DryRun(DryRun),
}

/// A request that you are going to send to the venue.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderRequest {
    /// In capitals.
    #[schema(example = "POST")]
    method: String,
    /// Without a query, which is sent but not signed.
    #[schema(example = "/order")]
    path: String,
    /// The exact text that you send; null or nothing where there is none.
    #[serde(default)]
    body: Option<String>,
    /// Unix seconds, near now; ours unless you need your own.
    #[serde(default)]
    timestamp: Option<i64>,
    /// Say what would be signed, and sign nothing.
    #[serde(default, rename = "dryRun")]
    dry_run: bool,
}

/// Issue level 2 headers
///
/// The five headers of one request to the CLOB, made with the wallet's API key. For `POST /order` and
/// `/orders` the body's `owner` has to be that API key. Paths that make or delete API keys take those
/// rights as well.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/l2-headers", tag = "headers",
    request_body = HeaderRequest,
    responses((status = 200, description = "The headers", body = HeadersAnswer)),
)]
pub(super) async fn issue_l2_headers(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    OptionalKey(idempotency): OptionalKey,
    waits: Waits,
    Body(request, digest): Body<HeaderRequest>,
) -> Result<Response, Problem> {
    let asked = waits.asked(digest, idempotency);
    let action = Action::IssueL2Headers;
    let wallet = permitted_at_gate(&app, &caller, action, &name).await?;
    issue(&app, &caller, wallet, Kind::Trading, &request, asked).await
}

/// Issue builder headers
///
/// The four headers that name the builder of one request, made with the builder's API key that was
/// given for the wallet.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/builder-headers", tag = "headers",
    request_body = HeaderRequest,
    responses((status = 200, description = "The headers", body = HeadersAnswer)),
)]
pub(super) async fn issue_builder_headers(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    OptionalKey(idempotency): OptionalKey,
    waits: Waits,
    Body(request, digest): Body<HeaderRequest>,
) -> Result<Response, Problem> {
    let asked = waits.asked(digest, idempotency);
    let action = Action::IssueBuilderHeaders;
    let wallet = permitted_at_gate(&app, &caller, action, &name).await?;
    issue(&app, &caller, wallet, Kind::Builder, &request, asked).await
}

async fn issue(
    app: &App,
    caller: &Caller,
    wallet: Arc<Wallet>,
    kind: Kind,
    request: &HeaderRequest,
    asked: SigningRequest,
) -> Result<Response, Problem> {
    if let Some(timestamp) = request.timestamp
        && !is_near(app, timestamp)
    {
        return Err(RequestRefused::Timestamp(app.l2.timestamp_window_s).into());
    }
    let venue = VenueRequest::new(&request.method, &request.path, request.body.as_deref())?;
    let made = Made {
        kind,
        timestamp: request.timestamp,
        shape: Shape::Whole,
        dry_run: request.dry_run,
    };
    headers(app, caller, wallet, venue, made, asked).await
}

/// What is made of a request to the venue.
pub(super) struct Made {
    pub(super) kind: Kind,
    pub(super) timestamp: Option<i64>,
    pub(super) shape: Shape,
    pub(super) dry_run: bool,
}

/// Whether a timestamp that a caller chose is near enough to now.
pub(super) fn is_near(app: &App, timestamp: i64) -> bool {
    let now = app.clock.unix_ms().div_euclid(1000);
    timestamp.abs_diff(now) <= app.l2.timestamp_window_s.into()
}

/// Has headers made, and answers them.
pub(super) async fn headers(
    app: &App,
    caller: &Caller,
    wallet: Arc<Wallet>,
    request: VenueRequest,
    made: Made,
    asked: SigningRequest,
) -> Result<Response, Problem> {
    let (right, whose) = match made.kind {
        Kind::Trading => (Action::IssueL2Headers, "API key"),
        Kind::Builder => (Action::IssueBuilderHeaders, "builder's API key"),
    };
    let resource = wallet.resource();
    let stake = resource.clone().at(request.stake());
    app.ask(caller, right, &stake).map(drop)?;
    // With such headers a caller could go around the rights that these things take here.
    if request.makes_credentials() {
        app.ask(caller, Action::CreateCredential, &resource)
            .map(drop)?;
        app.ask(caller, Action::RevealCredential, &resource)
            .map(drop)?;
    }
    if request.deletes_credentials() {
        app.ask(caller, Action::DeleteCredential, &resource)
            .map(drop)?;
    }
    let none = || {
        let detail = format!("no {whose} that may be live is on record for the wallet's address");
        Problem::new(&problem::NO_CREDENTIAL, detail)
    };
    let credential = app.builders.in_use(&wallet, made.kind).await?;
    let credential = credential.ok_or_else(none)?;
    if made.kind == Kind::Trading {
        request.check_owner(&credential.api_key)?;
    }
    let secret = credential.sealed_secret(l2::key)?;
    let sign = async |wallet: &Arc<Wallet>| {
        let draft = HeaderDraft {
            secret: secret.clone(),
            wallet: wallet.clone(),
            credential: credential.clone(),
            request: request.clone(),
            timestamp: made.timestamp,
            shape: made.shape,
            right,
            is_rescue: false,
        };
        dry_run::sign(app, caller, Box::new(draft), asked.clone(), made.dry_run).await
    };
    let done = match sign(&wallet).await {
        Ok(done) => done,
        Err(error) => {
            let now = once_more(app, &wallet, error).await?;
            let done = sign(&now).await;
            done.map_err(|error| Problem::of_wallet(error, Replaced::is(&now).as_ref()))?
        }
    };
    let mut response = done.answer();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
