//! `/v1/policy` and `/v1/policies`: who may do what, who may put another in its place, and why it says what it
//! says.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use ruint::aliases::U256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, BodyTimes, Params};
use super::caller::RequiredKey;
use super::page::{Page, Paged};
use super::problem::{self, Problem};
use super::write::Write;
use super::{clob, keys, oauth};
use crate::app::App;
use crate::authority::{Snapshot, Version};
use crate::callers::{Caller, Names};
use crate::id::CallerId;
use crate::ledger::Gate;
use crate::lookups::signers;
use crate::name::Name;
use crate::policy::{
    Action, Deed, Explanation, NewPolicy, PolicyReplacement, PolicyVersion, Resource, Stake,
};

/// What is at the API's paths for it.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show_policy))
        .routes(routes!(explain_policy))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(list_policies, replace_policy))
                .layer(Extension(BodyTimes::BATCH)),
        )
        .routes(routes!(show_earlier_policy))
}

/// A version of the policy.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct PolicyVersionView {
    /// The version of what decides with which it came.
    version: i64,
    /// SHA-256 of the text: which policy it is, in whatever was signed.
    digest: String,
    reason: String,
    #[schema(value_type = String)]
    stated_by: CallerId,
    /// `service`: a file brought it.
    stated_by_name: String,
    #[serde(with = "time::serde::rfc3339")]
    stated_at: OffsetDateTime,
}

/// A policy.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct PolicyView {
    #[serde(flatten)]
    stated: PolicyVersionView,
    /// In Cedar.
    text: String,
}

impl PolicyVersionView {
    fn new(it: &PolicyVersion, by: String) -> Self {
        Self {
            version: it.version.number(),
            digest: hex::encode(it.digest),
            reason: it.reason.clone(),
            stated_by: it.by,
            stated_by_name: by,
            stated_at: it.at,
        }
    }
}

impl PolicyView {
    fn new(it: PolicyVersion, names: &Names) -> Self {
        Self {
            stated: PolicyVersionView::new(&it, names.of(it.by)),
            text: it.text,
        }
    }
}

fn may_view(app: &App, caller: &Caller) -> Result<(), Problem> {
    let permit = app.ask(caller, Action::ViewPolicy, &Resource::service());
    Ok(permit.map(drop)?)
}

/// Show the policy
///
/// The one that decides, on all replicas.
#[utoipa::path(get, path = "/v1/policy", tag = "policy",
    responses((status = 200, description = "The policy", body = PolicyView)),
)]
pub(super) async fn show_policy(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<PolicyView>, Problem> {
    may_view(&app, &caller)?;
    let newest = app.rights.policies().newest().await?;
    let stated = newest.stated().cloned();
    let stated = stated.ok_or_else(|| Problem::not_found("policy"))?;
    let names = app.callers.names(vec![stated.by]).await?;
    Ok(Json(PolicyView::new(stated, &names)))
}

/// List policies
///
/// All that ever decided, the newest first.
#[utoipa::path(get, path = "/v1/policies", tag = "policy", params(Page),
    responses((status = 200, description = "The policies, without their texts", body = Vec<PolicyVersionView>)),
)]
pub(super) async fn list_policies(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<PolicyVersionView>, Problem> {
    may_view(&app, &caller)?;
    let all = history(&app, &caller).await?;
    let names = all.iter().map(|it| it.by).collect();
    let names = app.callers.names(names).await?;
    let views = all.iter().rev();
    let views = views.map(|it| PolicyVersionView::new(it, names.of(it.by)));
    page.of("/v1/policies", views.collect(), |it| it.version.to_string())
}

/// Show a policy that decided
#[utoipa::path(get, path = "/v1/policies/{version}", tag = "policy",
    responses((status = 200, description = "The policy", body = PolicyView)),
)]
pub(super) async fn show_earlier_policy(
    State(app): State<App>,
    caller: Caller,
    Path(version): Path<String>,
) -> Result<Json<PolicyView>, Problem> {
    may_view(&app, &caller)?;
    let all = history(&app, &caller).await?;
    let mut all = all.into_iter();
    let found = all.find(|it| it.version.number().to_string() == version);
    let found = found.ok_or_else(|| Problem::not_found("policy"))?;
    let names = app.callers.names(vec![found.by]).await?;
    Ok(Json(PolicyView::new(found, &names)))
}

/// All versions are read and proven for it, so one at a time.
async fn history(app: &App, caller: &Caller) -> Result<Vec<PolicyVersion>, Problem> {
    let _turn = app.explaining.turn(caller.id).await;
    Ok(app.rights.policies().history().await?)
}

/// Replace the policy
///
/// Once this is answered, every replica decides by the new one, also what was decided before and has not left yet.
/// It takes whoever has to agree. One by which nobody could manage callers any more, or replace it, is refused.
#[utoipa::path(post, path = "/v1/policies", tag = "policy",
    request_body = PolicyReplacement,
    responses((status = 201, description = "It decides", body = PolicyView)),
)]
pub(super) async fn replace_policy(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<PolicyReplacement>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::ReplacePolicy, &Resource::service())?;
    let mut replaces = [0; 32];
    hex::decode_to_slice(&new.replaces, &mut replaces).map_err(|_| {
        let detail = "replaces: 64 hexadecimal digits, the digest that GET /v1/policy has";
        Problem::new(&problem::INVALID_FIELD, detail)
    })?;
    let new = read(&app, &caller, new, replaces).await?;
    let answer = Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Exclusive, async |change| {
            let stated = app.administrators.replace_policy(new, change).await?;
            let view = PolicyVersionView::new(&stated, caller.name.to_string());
            let (digest, version, by) = (view.digest.clone(), view.version, caller.name.clone());
            change.once_durable(move || {
                tracing::warn!(policy.digest = digest, version, caller.name = %by, "the policy is replaced");
            });
            Ok(PolicyView {
                stated: view,
                text: stated.text,
            })
        })
        .await;
    drop(app.rights.policies().now()); // it is read before somebody waits for it
    answer
}

/// Reads a text, beside what signs.
async fn read(
    app: &App,
    caller: &Caller,
    new: PolicyReplacement,
    replaces: [u8; 32],
) -> Result<NewPolicy, Problem> {
    let _turn = app.explaining.turn(caller.id).await;
    let read = move || NewPolicy::read(new.text, new.reason.as_str(), replaces);
    let read = app.tasks.spawn_blocking(read).await;
    let cut_off = |_| Problem::new(&problem::INTERNAL, "the text was not read to its end");
    Ok(read.map_err(cut_off)??)
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
    /// On which day, to the second (RFC 3339): by the policy and the halts of then. Now unless it is said.
    at: Option<String>,
}

/// What the policy says.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ExplanationView {
    /// SHA-256 of the policy that says so.
    policy: String,
    /// The version of what decides with which it came.
    version: Option<i64>,
    #[serde(flatten)]
    explanation: Explanation,
    /// The halt that stops it, whatever the policy says.
    halt: Option<String>,
    /// Whether the caller is revoked, or was by then: then nothing is permitted, whatever the policy says.
    revoked: bool,
    /// Whether the caller was made only later.
    made_later: bool,
    /// What is taken as it is today, where an earlier day was asked for and nothing was stated of it by then: `caller`, the
    /// desk and the roles; `resource`, whose it is and which key signs for it.
    of_today: Vec<&'static str>,
}

/// Explain a decision
///
/// What the policy says to a request of a caller, by which rules, and, where no rule permits it, what is
/// missing for the rules that come nearest; now, or as it was. Nothing is done, and nothing but policy and halts is
/// asked: a key's state, limits and approvals are not theirs to know.
#[utoipa::path(get, path = "/v1/policy/explain", tag = "policy", params(Question),
    responses((status = 200, description = "What the policy says", body = ExplanationView)),
)]
pub(super) async fn explain_policy(
    State(app): State<App>,
    caller: Caller,
    Params(question): Params<Question>,
) -> Result<Json<ExplanationView>, Problem> {
    may_view(&app, &caller)?;
    let at = question.at.as_deref().map(|at| moment(&app, at));
    let at = at.transpose()?;
    let about = app.callers.show(&question.caller).await?;
    let mut deed = deed(&app, &caller, &question).await?;
    let authority = &app.authority;
    let snapshot = match at {
        None => {
            authority.catch_up().await?;
            authority.now()
        }
        Some(at) => {
            let _turn = app.explaining.turn(caller.id).await;
            authority.as_of(at).await?.into()
        }
    };
    let is_past = at.is_some();
    let mut who = about.as_caller()?;
    let mut of_today = Vec::new();
    if is_past {
        match signers::caller_then(&snapshot, who.id)? {
            Some(then) => who = then,
            None => of_today.push("caller"),
        }
        if let Some(text) = &question.resource {
            match as_it_was(&snapshot, text)? {
                Some(then) => deed.resource = then.with_stake_of(&deed.resource),
                None => of_today.push("resource"),
            }
        }
    }
    let explained = app.rights.explain((&snapshot, is_past), &who, &deed)?;
    let until = at.unwrap_or_else(|| app.clock.now());
    Ok(Json(ExplanationView {
        policy: hex::encode(explained.policy),
        version: explained.version.map(Version::number),
        explanation: explained.explanation,
        halt: explained.halt,
        revoked: about
            .revoked_at
            .is_some_and(|revoked| !is_past || revoked <= until),
        made_later: is_past && about.created_at > until,
        of_today,
    }))
}

/// A wallet, client or key as it was.
fn as_it_was(then: &Snapshot, text: &str) -> Result<Option<Resource>, Problem> {
    let (kind, name) = text.split_once(':').unwrap_or_default();
    let Ok(name) = name.parse() else {
        return Ok(None);
    };
    Ok(signers::resource_then(then, kind, &name)?)
}

/// A moment that has come.
fn moment(app: &App, text: &str) -> Result<OffsetDateTime, Problem> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    at.filter(|at| *at <= app.clock.now()).ok_or_else(|| {
        let detail = "at: a moment that has come, as 2026-11-30T12:00:00Z";
        Problem::new(&problem::MALFORMED_QUERY, detail)
    })
}

/// What would be done.
async fn deed(app: &App, caller: &Caller, question: &Question) -> Result<Deed, Problem> {
    let wrong = |detail: String| Problem::new(&problem::MALFORMED_QUERY, detail);
    let action: Result<Action, _> = question.action.parse();
    let action = action.map_err(|error| wrong(format!("action: {error}")))?;
    let resource = resource(app, caller, question.resource.as_deref()).await?;
    let context = question.context.as_deref().unwrap_or("{}");
    let context: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(context).map_err(|error| wrong(format!("context: {error}")))?;
    let market = context.get("token_id").and_then(|it| it.as_str());
    let market = market.and_then(|it| U256::from_str_radix(it, 10).ok());
    let stake = Stake::from_json(context).map_err(|name| {
        wrong(format!(
            "context: {name} is no text, integer, boolean or list of texts"
        ))
    })?;
    Ok(Deed::new(action, resource.at(stake)).on_markets(market.into_iter().collect()))
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
