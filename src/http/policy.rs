//! `/v1/policy`: what the policy says, and why.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Asked;
use super::problem::{self, Problem};
use super::{clob, keys, oauth};
use crate::app::App;
use crate::callers::Caller;
use crate::name::Name;
use crate::policy::{Action, Explanation, Resource, Stake};

/// What is at the API's paths for it.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain_policy))
}

/// What somebody would ask for.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// Who would ask, by name or id.
    #[param(value_type = String)]
    caller: Name,
    /// What for, as the schema has it: `sign_order`.
    action: String,
    /// On what: `wallet:NAME`, `client:NAME` or `key:NAME`. On the service unless it is said.
    resource: Option<String>,
    /// What would be at stake, as a JSON object. What the policy looks at has to be in it.
    context: Option<String>,
}

/// What the policy says.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ExplanationView {
    /// SHA-256 of the policy that says so.
    policy: String,
    #[serde(flatten)]
    explanation: Explanation,
    /// Whether the caller is revoked: then nothing is permitted, whatever the policy says.
    revoked: bool,
}

/// Explain a decision
///
/// What the policy says to a request of a caller, by which rules, and, where no rule permits it, what is
/// missing for the rules that come nearest. Nothing is done, and nothing but the policy is asked: a key's
/// state, limits and approvals are not its to know.
#[utoipa::path(get, path = "/v1/policy/explain", tag = "policy", params(Question),
    responses((status = 200, description = "What the policy says", body = ExplanationView)),
)]
pub(super) async fn explain_policy(
    State(app): State<App>,
    caller: Caller,
    Asked(question): Asked<Question>,
) -> Result<Json<ExplanationView>, Problem> {
    let permit = app.ask(&caller, Action::ViewPolicy, &Resource::service());
    permit.map(drop)?;
    let wrong = |detail: String| Problem::new(&problem::MALFORMED_QUERY, detail);
    let action: Result<Action, _> = question.action.parse();
    let action = action.map_err(|error| wrong(format!("action: {error}")))?;
    let about = app.callers.show(&question.caller).await?;
    let resource = resource(&app, &caller, question.resource.as_deref()).await?;
    let context = question.context.as_deref().unwrap_or("{}");
    let context: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(context).map_err(|error| wrong(format!("context: {error}")))?;
    let stake = Stake::from_json(context).map_err(|name| {
        wrong(format!(
            "context: {name} is no text, integer, boolean or list of texts"
        ))
    })?;
    let is_revoked = about.revoked_at.is_some();
    let explanation = app
        .rights
        .explain(&about.as_caller()?, action, &resource.at(stake));
    Ok(Json(ExplanationView {
        policy: hex::encode(app.rights.policy_digest()),
        explanation: explanation.map_err(|error| wrong(error.to_string()))?,
        revoked: is_revoked,
    }))
}

/// What is meant, if the caller may see it.
async fn resource(app: &App, caller: &Caller, text: Option<&str>) -> Result<Resource, Problem> {
    let Some(text) = text else {
        return Ok(Resource::service());
    };
    let wrong = || {
        let detail = "resource: wallet:NAME, client:NAME or key:NAME";
        Problem::new(&problem::MALFORMED_QUERY, detail)
    };
    let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
    let name: Name = name.parse().map_err(|_| wrong())?;
    match kind {
        "wallet" => Ok(clob::wallets::visible(app, caller, &name).await?.resource()),
        "client" => Ok(oauth::clients::visible(app, caller, &name)
            .await?
            .resource()),
        "key" => Ok(keys::visible(app, caller, &name).await?.resource()),
        _ => Err(wrong()),
    }
}
