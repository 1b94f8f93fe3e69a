//! `POST /v1/clients/{client}/assertions`.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::clients::permitted_at_gate;
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::{Body, Named};
use crate::http::caller::{OptionalKey, Waits};
use crate::http::dry_run::{self, Outcome};
use crate::http::problem::Problem;
use crate::oauth::assertion::{Errand, IssuedAssertion};
use crate::oauth::issuing;
use crate::policy::Action;
use crate::signing::DryRun;

/// The answer, or with `dryRun` what would be signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum AssertionAnswer {
    Done(IssuedAssertion<'static>),
    DryRun(DryRun),
}

/// Nothing of it can be chosen: what an assertion says follows from the client and its environment.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssertionRequest {
    /// Say what would be signed, and sign nothing.
    #[serde(default, rename = "dryRun")]
    dry_run: bool,
}

/// Issue a client assertion
///
/// Good for one delivery to the token endpoint: ask for another one for each attempt, a retry too.
#[utoipa::path(post, path = "/v1/clients/{client}/assertions", tag = "assertions",
    request_body = AssertionRequest,
    responses((status = 200, description = "The assertion", body = AssertionAnswer)),
)]
pub(super) async fn issue_assertion(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    OptionalKey(key): OptionalKey,
    waits: Waits,
    Body(request, digest): Body<AssertionRequest>,
) -> Result<Response, Problem> {
    let action = Action::IssueAssertion;
    let client = permitted_at_gate(&app, &caller, action, &name).await?;
    let asked = waits.asked(digest, key);
    let outcome = if request.dry_run {
        let draft = Box::new(app.clients.draft(client, Errand::HandOut)?);
        dry_run::sign(&app, &caller, draft, asked, true).await?
    } else {
        let issued = issuing::issue(&app.signer, &app.clients, &caller, client, &asked).await?;
        Outcome::Signed(issued?)
    };
    let mut response = outcome.answer();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
