//! `/v1/approvals`: what waits for others, and their word on it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::approvals::NewApproval;
use crate::audit::Change;
use crate::callers::Caller;
use crate::http::body::{Body, Params};
use crate::http::caller::RequiredKey;
use crate::http::page::{Page, Paged};
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::id::ProposalId;
use crate::idempotency::{Key, RequestDigest};
use crate::keys::Justification;
use crate::ledger::Gate;
use crate::policy::{Action, Resource};
use crate::proposals::{ProposalError, View};

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
    Params(listed): Params<Listed>,
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
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewApproval>,
) -> Result<Response, Problem> {
    let word = Word::new(&app, &caller, &id, &key, request);
    word.is(Action::Approve, Gate::Shared, "approved", async |id, it| {
        app.proposals.approve(id, &new.signature, it).await
    })
    .await
}

/// Reject a proposal
///
/// One person is enough. It is over, and nothing is done under it.
#[utoipa::path(post, path = "/v1/approvals/{proposal}/reject", tag = "approvals",
    request_body = Justification,
    responses((status = 201, description = "Rejected", body = Done)),
)]
pub(super) async fn reject(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RequiredKey(key): RequiredKey,
    Body(why, request): Body<Justification>,
) -> Result<Response, Problem> {
    let (word, why) = (Word::new(&app, &caller, &id, &key, request), why.reason);
    let (right, gate) = (Action::Approve, Gate::Exclusive);
    word.is(right, gate, "rejected", async |id, it| {
        app.proposals.reject(id, why.as_str(), it).await
    })
    .await
}

/// Withdraw a proposal
///
/// Your own. It is over, and nothing is done under it.
#[utoipa::path(post, path = "/v1/approvals/{proposal}/withdraw", tag = "approvals",
    request_body = Justification,
    responses((status = 201, description = "Withdrawn", body = Done)),
)]
pub(super) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RequiredKey(key): RequiredKey,
    Body(why, request): Body<Justification>,
) -> Result<Response, Problem> {
    let (word, why) = (Word::new(&app, &caller, &id, &key, request), why.reason);
    let (right, gate) = (Action::ViewApprovals, Gate::Exclusive);
    word.is(right, gate, "withdrawn", async |id, it| {
        app.proposals.withdraw(id, why.as_str(), it).await
    })
    .await
}

/// Somebody's word on a proposal.
struct Word<'a> {
    write: Write<'a>,
    id: &'a str,
}

impl<'a> Word<'a> {
    fn new(
        app: &'a App,
        caller: &'a Caller,
        id: &'a str,
        key: &'a Key,
        request: RequestDigest,
    ) -> Self {
        let write = Write::new(app, caller, key, request);
        Self { write, id }
    }

    /// Puts it on record, where it may be said.
    async fn is(
        &self,
        right: Action,
        gate: Gate,
        done: &'static str,
        say: impl AsyncFnOnce(ProposalId, &mut Change) -> Result<(), ProposalError>,
    ) -> Result<Response, Problem> {
        let write = &self.write;
        let permit = write.app.ask(write.caller, right, &Resource::service())?;
        let proposal = named(self.id)?;
        write
            .run(&permit, gate, async |change| {
                say(proposal, change).await?;
                Ok(Done { proposal, done })
            })
            .await
    }
}
