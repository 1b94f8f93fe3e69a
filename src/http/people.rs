//! `/v1/people`: who approves, with what, and whose callers are.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Named, NoDetails, Params};
use super::caller::RequiredKey;
use super::page::{Page, Paged};
use super::problem::Problem;
use super::write::Write;
use crate::app::App;
use crate::callers::Caller;
use crate::id::ApproverKeyId;
use crate::keys::Justification;
use crate::ledger::Gate;
use crate::name::Name;
use crate::people::{AssignedCaller, NewApproverKey, NewPerson, Person, PersonError, PersonRoles};
use crate::policy::{Action, Permit, Resource};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_people, register_person))
        .routes(routes!(show_person))
        .routes(routes!(set_roles))
        .routes(routes!(assign_caller))
        .routes(routes!(register_key))
        .routes(routes!(revoke_key))
        .routes(routes!(end_person))
}

/// Who was changed.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Changed {
    /// Who.
    person: String,
    /// The key that was registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key: Option<ApproverKeyId>,
}

impl Changed {
    fn of(person: &Name) -> Self {
        Self {
            person: person.to_string(),
            key: None,
        }
    }
}

fn may_manage(app: &App, caller: &Caller) -> Result<Permit, Problem> {
    Ok(app.ask(caller, Action::ManagePeople, &Resource::service())?)
}

/// List people
#[utoipa::path(get, path = "/v1/people", tag = "people", params(Page),
    responses((status = 200, description = "All people", body = Vec<Person>)),
)]
pub(super) async fn list_people(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<Person>, Problem> {
    app.ask(&caller, Action::ViewCallers, &Resource::service())
        .map(drop)?;
    page.of("/v1/people", app.people.list().await?, |it| it.name.clone())
}

/// Show a person
#[utoipa::path(get, path = "/v1/people/{person}", tag = "people",
    responses((status = 200, description = "The person", body = Person)),
)]
pub(super) async fn show_person(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Person>, Problem> {
    app.ask(&caller, Action::ViewCallers, &Resource::service())
        .map(drop)?;
    Ok(Json(app.people.show(&name).await?))
}

/// Register a person
#[utoipa::path(post, path = "/v1/people", tag = "people",
    request_body = NewPerson,
    responses((status = 201, description = "Registered", body = Changed)),
)]
pub(super) async fn register_person(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewPerson>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            app.people.register(&new, change).await?;
            Ok(Changed::of(&new.name))
        })
        .await
}

/// Change a person's roles
///
/// What quorums count them as. Fewer need nobody's approval.
#[utoipa::path(post, path = "/v1/people/{person}/roles", tag = "people",
    request_body = PersonRoles,
    responses((status = 201, description = "Changed", body = Changed)),
)]
pub(super) async fn set_roles(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(PersonRoles { roles }, request): Body<PersonRoles>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            app.people.set_roles(&name, &roles, change).await?;
            Ok(Changed::of(&name))
        })
        .await
}

/// Make a caller a person's
///
/// For ever: a caller who could become somebody else's could approve what they asked for themselves.
#[utoipa::path(post, path = "/v1/people/{person}/callers", tag = "people",
    request_body = AssignedCaller,
    responses((status = 201, description = "Assigned", body = Changed)),
)]
pub(super) async fn assign_caller(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(assigned, request): Body<AssignedCaller>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let whom = &assigned.caller;
            app.people.assign(&name, whom, change).await?;
            Ok(Changed::of(&name))
        })
        .await
}

/// Register a key that a person approves with
///
/// Anybody asks for keys of their own. Whoever approves this compares the fingerprint with the person.
#[utoipa::path(post, path = "/v1/people/{person}/keys", tag = "people",
    request_body = NewApproverKey,
    responses((status = 201, description = "Registered", body = Changed)),
)]
pub(super) async fn register_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewApproverKey>,
) -> Result<Response, Problem> {
    let is_own = app.people.of_caller(caller.id).await? == Some(name.clone());
    let permit = if is_own {
        app.ask(&caller, Action::Approve, &Resource::service())?
    } else {
        may_manage(&app, &caller)?
    };
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let rules = app.proposals.rules();
            let id = app.people.register_key(&name, &new, rules, change).await?;
            Ok(Changed {
                key: Some(id),
                ..Changed::of(&name)
            })
        })
        .await
}

/// Revoke a key that a person approves with
///
/// At once: nothing that it has signed counts any more, unless it is carried out already.
#[utoipa::path(post, path = "/v1/people/{person}/keys/{approver_key}/revoke", tag = "people",
    request_body = NoDetails,
    responses((status = 201, description = "Revoked", body = Changed)),
)]
pub(super) async fn revoke_key(
    State(app): State<App>,
    caller: Caller,
    Path((name, which)): Path<(String, String)>,
    RequiredKey(key): RequiredKey,
    Body(NoDetails {}, request): Body<NoDetails>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let name = Name::try_from(name).map_err(|_| PersonError::NotFound)?;
    let which = which.parse().map_err(|_| PersonError::NoSuchKey)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            app.people.revoke_key(&name, which, change).await?;
            Ok(Changed::of(&name))
        })
        .await
}

/// End a person
///
/// At once: nothing that they have signed counts any more, and nothing that they have asked for is done,
/// unless it is carried out already. Their callers are revoked by themselves.
#[utoipa::path(post, path = "/v1/people/{person}/end", tag = "people",
    request_body = Justification,
    responses((status = 201, description = "Ended", body = Changed)),
)]
pub(super) async fn end_person(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(Justification { reason }, request): Body<Justification>,
) -> Result<Response, Problem> {
    let permit = may_manage(&app, &caller)?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Exclusive, async |change| {
            app.people.end(&name, reason.as_str(), change).await?;
            Ok(Changed::of(&name))
        })
        .await
}
