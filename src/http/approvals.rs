//! `/v1/approvals`: what waits for others, and their word on it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::approvals::Signature;
use crate::callers::Caller;
use crate::http::body::{Asked, Body};
use crate::http::caller::Required;
use crate::http::page::{Page, Paged};
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::id::ProposalId;
use crate::keys::Reason;
use crate::ledger::Gate;
use crate::policy::{Action, Resource};
use crate::proposals::View;

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_approvals))
        .routes(routes!(show_approval))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(withdraw))
}

/// Which of them, and which part of the list.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Also those that are over; else only those that wait.
    #[serde(default)]
    all: bool,
    /// How many at most, 1 to 1,000. All of them unless it is said.
    limit: Option<u16>,
    /// Those that come after the one with this id. The answer's `Link` header has the next page's.
    after: Option<String>,
}

/// An approval.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApproval {
    /// Your signature under the proposal's hash.
    signature: Signature,
}

/// Why a proposal ends.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    /// Why, for the record: 1 to 500 characters.
    #[schema(value_type = String, example = "not what we agreed on")]
    reason: Reason,
}

/// What was done to a proposal.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Done {
    /// Which.
    #[schema(value_type = String)]
    proposal: ProposalId,
    /// What.
    done: &'static str,
}

/// The id in a path. What cannot be an id is not there.
fn named(text: &str) -> Result<ProposalId, Problem> {
    text.parse().map_err(|_| Problem::not_found("proposal"))
}

/// List proposals
///
/// Those that wait for approvals, or for whoever asked to repeat the request. The newest come first.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals", params(Listed),
    responses((status = 200, description = "Proposals", body = Vec<View>)),
)]
pub(super) async fn list_approvals(
    State(app): State<App>,
    caller: Caller,
    Asked(listed): Asked<Listed>,
) -> Result<Paged<View>, Problem> {
    app.ask(&caller, Action::ViewApprovals, &Resource::service())
        .map(drop)?;
    let path = if listed.all {
        "/v1/approvals?all=true"
    } else {
        "/v1/approvals"
    };
    let page = Page::new(listed.limit, listed.after);
    page.of(path, app.proposals.list(!listed.all).await?, |it| {
        it.id.to_string()
    })
}

/// Show a proposal
///
/// Your own, or any one where the policy lets you.
#[utoipa::path(get, path = "/v1/approvals/{proposal}", tag = "approvals",
    responses((status = 200, description = "The proposal", body = View)),
)]
pub(super) async fn show_approval(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<View>, Problem> {
    let shown = app.proposals.show(named(&id)?).await;
    let is_own = shown.as_ref().is_ok_and(|it| it.caller == caller.id);
    if !is_own {
        app.ask(&caller, Action::ViewApprovals, &Resource::service())
            .map(drop)?;
    }
    Ok(Json(shown?))
}

/// Approve a proposal
///
/// With your signature under its hash, by a key that is registered as yours: `ssh-keygen -Y sign -n
/// chancery-approval` over the hash in hexadecimal and a line feed, or a passkey with the hash as its
/// challenge. Whoever asked for it repeats the request when enough have approved.
#[utoipa::path(post, path = "/v1/approvals/{proposal}/approve", tag = "approvals",
    request_body = NewApproval,
    responses((status = 201, description = "Approved", body = Done)),
)]
pub(super) async fn approve(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Required(key): Required,
    Body(new, request): Body<NewApproval>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::Approve, &Resource::service())?;
    let proposal = named(&id)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let approved = app.proposals.approve(proposal, &new.signature, change);
            approved.await?;
            let done = "approved";
            Ok(Done { proposal, done })
        })
        .await
}

/// Reject a proposal
///
/// One person is enough. It is over, and nothing is done under it.
#[utoipa::path(post, path = "/v1/approvals/{proposal}/reject", tag = "approvals",
    request_body = Refusal,
    responses((status = 201, description = "Rejected", body = Done)),
)]
pub(super) async fn reject(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Required(key): Required,
    Body(refusal, request): Body<Refusal>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::Approve, &Resource::service())?;
    let proposal = named(&id)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            let rejected = app
                .proposals
                .reject(proposal, refusal.reason.as_str(), change);
            rejected.await?;
            let done = "rejected";
            Ok(Done { proposal, done })
        })
        .await
}

/// Withdraw a proposal
///
/// Your own. It is over, and nothing is done under it.
#[utoipa::path(post, path = "/v1/approvals/{proposal}/withdraw", tag = "approvals",
    request_body = Refusal,
    responses((status = 201, description = "Withdrawn", body = Done)),
)]
pub(super) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Required(key): Required,
    Body(refusal, request): Body<Refusal>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::ViewApprovals, &Resource::service())?;
    let proposal = named(&id)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            let withdrawn = app
                .proposals
                .withdraw(proposal, refusal.reason.as_str(), change);
            withdrawn.await?;
            let done = "withdrawn";
            Ok(Done { proposal, done })
        })
        .await
}
