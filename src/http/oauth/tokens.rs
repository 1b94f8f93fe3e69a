//! `/v1/clients/{client}/tokens`: access tokens of the Exchange API.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret;
use time::OffsetDateTime;

use crate::app::App;
use crate::callers::Caller;
use crate::http::admit::passed_gate;
use crate::http::body::{Body, Named};
use crate::http::caller::Waits;
use crate::http::hidden::found;
use crate::http::problem::Problem;
use crate::http::write::{json, uncached};
use crate::id::IntentId;
use crate::name::Name;
use crate::oauth::broker::{AccessTokenRequest, HandedOut, ScopeSet, TokenError, TokenNeed};
use crate::oauth::clients::Client;
use crate::policy::{Action, Resource};

/// An access token.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct TokenView<'a> {
    /// Its id here: who is refused with the token reports it by this. It is also the id of the
    /// signature that was exchanged for it. The same for all who get the same token.
    #[schema(value_type = String)]
    id: IntentId,
    /// The token.
    access_token: &'a str,
    /// `Bearer`.
    token_type: &'a str,
    /// How many seconds it lives from now on; 30 less is a good time to ask again.
    expires_in: u64,
    /// When it ends, by the service's clock.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Its scopes; absent where neither the token nor the server says.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Scopes that you asked for and that it does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_scope: Vec<String>,
    /// The API that it is for.
    audience: &'a str,
    /// The environment.
    environment: &'a str,
}

/// Whether a report changed anything.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct InvalidatedView {
    /// Whether the token still counted. Either way the next one that you are given is another one.
    invalidated: bool,
}

/// Get an access token
///
/// Exchanges an assertion at the environment's authorization server, or answers with a token that is
/// remembered. `expires_in` is what is left of it. Ask whenever you need one, rather than keep it.
#[utoipa::path(post, path = "/v1/clients/{client}/tokens", tag = "tokens",
    request_body = AccessTokenRequest,
    responses((status = 200, description = "The token", body = TokenView<'_>)),
)]
pub(super) async fn get_token(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    waits: Waits,
    Body(AccessTokenRequest { scope, refresh }, request): Body<AccessTokenRequest>,
) -> Result<Response, Problem> {
    let client = permitted(&app, &caller, &name).await?;
    let scopes: Option<ScopeSet> = scope
        .map(|it| it.parse())
        .transpose()
        .map_err(TokenError::from)?;
    let wish = TokenNeed {
        caller,
        client,
        scopes,
        afresh: refresh,
        request,
        deadline: waits.deadline,
    };
    Ok(shown(&app.tokens.token(&wish).await?))
}

/// Report an access token that was refused
///
/// After a 401 of the API: the token counts no more, on any replica, and whoever asks next gets another
/// one. Repeat your call once with that, if it is safe to repeat; if it is refused too, the token is not
/// the cause. A token that was replaced meanwhile changes nothing.
#[utoipa::path(post, path = "/v1/clients/{client}/tokens/{token}/invalidate", tag = "tokens",
    responses((status = 200, description = "It counts no more", body = InvalidatedView)),
)]
pub(super) async fn invalidate_token(
    State(app): State<App>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let name: Name = name.parse().map_err(|_| Problem::not_found("client"))?;
    let id: IntentId = id.parse().map_err(|_| Problem::not_found("token"))?;
    let client = permitted(&app, &caller, &name).await?;
    let invalidated = app.tokens.invalidate(&caller, &client, id).await?;
    let body = serde_json::to_vec(&InvalidatedView { invalidated });
    Ok(uncached(json(
        StatusCode::OK,
        body.expect("plain data serializes"),
    )))
}

/// The client, for a caller who may at least see it: what they may have of it is asked later.
async fn permitted(app: &App, caller: &Caller, name: &Name) -> Result<Client, Problem> {
    let nothing = Resource::nothing("Client", name);
    let looked = app.clients.shown_to_many(name).await;
    let client = found(app, caller, &[Action::View; 2], &nothing, looked)?;
    app.ask(caller, Action::View, &client.resource())
        .map(drop)?;
    Ok(client)
}

fn shown(token: &HandedOut) -> Response {
    let view = TokenView {
        id: token.id(),
        access_token: token.token().expose_secret(),
        token_type: "Bearer",
        expires_in: token.expires_in,
        expires_at: token.expires_at,
        scope: token.granted.as_ref().map(ToString::to_string),
        missing_scope: token.missing.to_vec(),
        audience: &token.audience,
        environment: token.environment.as_str(),
    };
    let body = serde_json::to_vec(&view).expect("plain data serializes");
    passed_gate(uncached(json(StatusCode::OK, body)), token.since)
}
