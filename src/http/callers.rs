//! `/v1/callers`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::body::{Body, Named, NoDetails, Params};
use super::caller::RequiredKey;
use super::page::{Page, Paged};
use super::problem::{self, Problem};
use super::write::Write;
use crate::app::App;
use crate::callers::credential::NewCredential;
use crate::callers::{Caller, CallerError, Entry, NewCaller, NewCallerToken, Whole, break_glass};
use crate::id::CallerId;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Permit, Resource};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_callers, create_caller))
        .routes(routes!(show_caller))
        .routes(routes!(issue_token))
        .routes(routes!(revoke_caller))
        .routes(routes!(add_credential))
        .routes(routes!(revoke_credential))
}

/// A token, shown this once.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct NewToken {
    /// Whose it is.
    caller: String,
    /// The token. The service keeps its hash only.
    token: String,
}

/// What was revoked.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RevokedCaller {
    /// Who.
    revoked: String,
}

/// A credential that was given.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct AddedCredential {
    /// Whose it is.
    caller: String,
    /// Its id.
    credential: Uuid,
}

/// A credential that was revoked.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RevokedCredential {
    /// Whose it was.
    caller: String,
    /// Its id.
    revoked: Uuid,
}

/// List callers
#[utoipa::path(get, path = "/v1/callers", tag = "callers", params(Page),
    responses((status = 200, description = "All callers; never a token", body = Vec<Entry>)),
)]
pub(super) async fn list_callers(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<Entry>, Problem> {
    app.ask(&caller, Action::ViewCallers, &Resource::service())
        .map(drop)?;
    page.of("/v1/callers", app.callers.list().await?, |it| {
        it.name.clone()
    })
}

/// Show a caller
#[utoipa::path(get, path = "/v1/callers/{caller}", tag = "callers",
    responses((status = 200, description = "The caller and their credentials; never a token", body = Whole)),
)]
pub(super) async fn show_caller(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Whole>, Problem> {
    app.ask(&caller, Action::ViewCallers, &Resource::service())
        .map(drop)?;
    Ok(Json(app.callers.show_whole(&name).await?))
}

/// Create a caller
///
/// The token is in the answer, and nowhere else.
#[utoipa::path(post, path = "/v1/callers", tag = "callers",
    request_body = NewCaller,
    responses((status = 201, description = "The caller's token", body = NewToken)),
)]
pub(super) async fn create_caller(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewCaller>,
) -> Result<Response, Problem> {
    let wanted = Resource::of_caller(&new.name, &new.owner, &new.roles);
    let permit = app.ask(&caller, Action::CreateCaller, &wanted)?;
    let known = app.rights.roles();
    let is_unknown = |role: &&Name| !known.is_empty() && !known.contains(role.as_str());
    if let Some(role) = new.roles.iter().find(is_unknown)
        && role.as_str() != break_glass::ROLE
    {
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let detail = format!(
            "roles: no policy names {role}; they name {}",
            known.join(", ")
        );
        return Err(Problem::new(&problem::INVALID_FIELD, detail));
    }
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let id = CallerId::new();
            let token = app.callers.insert(id, &new, change).await?;
            Ok(NewToken {
                caller: new.name.to_string(),
                token: token.expose().to_owned(),
            })
        })
        .await
}

/// Issue another token
///
/// For a change of tokens without a gap: the older ones live until they expire.
#[utoipa::path(post, path = "/v1/callers/{caller}/tokens", tag = "callers",
    request_body = NewCallerToken,
    responses((status = 201, description = "The new token", body = NewToken)),
)]
pub(super) async fn issue_token(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(NewCallerToken { token_days }, request): Body<NewCallerToken>,
) -> Result<Response, Problem> {
    let permit = may(&app, &caller, Action::GrantCredential, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let issued = app.callers.issue_token(&name, token_days, change).await?;
            Ok(NewToken {
                caller: name.to_string(),
                token: issued.expose().to_owned(),
            })
        })
        .await
}

/// Revoke a caller
///
/// With all their tokens. Once this is answered, nothing more is released to them. The last who can manage
/// callers is not revoked.
#[utoipa::path(post, path = "/v1/callers/{caller}/revoke", tag = "callers",
    request_body = NoDetails,
    responses((status = 201, description = "Revoked", body = RevokedCaller)),
)]
pub(super) async fn revoke_caller(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(NoDetails {}, request): Body<NoDetails>,
) -> Result<Response, Problem> {
    let permit = may(&app, &caller, Action::RevokeCaller, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    let answer = write
        .run(&permit, Gate::Exclusive, async |change| {
            app.administrators.revoke(&name, change).await?;
            Ok(RevokedCaller {
                revoked: name.to_string(),
            })
        })
        .await;
    app.callers.forget();
    answer
}

/// Give a caller another credential
///
/// One that others vouch for: a name in a trust domain, a certificate, an issuer's word. For a token:
/// POST /v1/callers/{caller}/tokens.
#[utoipa::path(post, path = "/v1/callers/{caller}/credentials", tag = "callers",
    request_body = NewCredential,
    responses((status = 201, description = "The credential", body = AddedCredential)),
)]
pub(super) async fn add_credential(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewCredential>,
) -> Result<Response, Problem> {
    let permit = may(&app, &caller, Action::GrantCredential, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let credential = app.callers.add_credential(&name, &new, change).await?;
            Ok(AddedCredential {
                caller: name.to_string(),
                credential,
            })
        })
        .await
}

/// Revoke one credential of a caller
///
/// A token or another one; the others stay. Once this is answered, nothing more is released to who comes
/// with it. The last credential of the last who can manage callers is not revoked.
#[utoipa::path(post, path = "/v1/callers/{caller}/credentials/{credential}/revoke", tag = "callers",
    request_body = NoDetails,
    responses((status = 201, description = "Revoked", body = RevokedCredential)),
)]
pub(super) async fn revoke_credential(
    State(app): State<App>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
    RequiredKey(key): RequiredKey,
    Body(NoDetails {}, request): Body<NoDetails>,
) -> Result<Response, Problem> {
    let name: Name = name.parse().map_err(|_| CallerError::NoCredential)?;
    let permit = may(&app, &caller, Action::RevokeCaller, &name).await?;
    let id: Uuid = id.parse().map_err(|_| CallerError::NoCredential)?;
    let write = Write::new(&app, &caller, &key, request);
    let answer = write
        .run(&permit, Gate::Exclusive, async |change| {
            let administrators = &app.administrators;
            administrators.revoke_credential(&name, id, change).await?;
            Ok(RevokedCredential {
                caller: name.to_string(),
                revoked: id,
            })
        })
        .await;
    app.callers.forget();
    answer
}

/// Whether somebody may do this about a caller who is there. Where there is none, whoever could be permitted
/// is told.
async fn may(app: &App, caller: &Caller, action: Action, about: &Name) -> Result<Permit, Problem> {
    app.rights.could(caller, action, &Resource::service())?;
    let about = app.callers.show(about).await?;
    let about = Resource::of_caller(&about.name, &about.owner, &about.roles);
    Ok(app.ask(caller, action, &about)?)
}
