//! `/v1/exchange`: what the Exchange API's documentation says of scopes, and what a token opens.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use time::OffsetDateTime;

use super::clients::visible;
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::{Asked, Body, Named};
use crate::http::problem::{self, Problem};
use crate::name::Name;
use crate::oauth::environment::Environment;
use crate::oauth::scopes::{
    ApiCall, Endpoint, Match, Method, Scope, Table, TokenClaims, documented_name,
};
use crate::policy::Action;

/// As many calls are looked up at a time.
const WANTED_LIMIT: usize = 100;

/// An endpoint, and where it is in an environment.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct EndpointView {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// What stands in your path where this one has braces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, String>,
    /// Whether the environment that you named has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<bool>,
    /// Where it is in that environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
}

impl EndpointView {
    fn of(endpoint: &Endpoint, at: Option<(&Name, &Environment)>) -> Self {
        let place = at.map(|(name, environment)| {
            let api = environment.api_url.as_str();
            let documented = documented_name(name, api);
            let host = match endpoint.method {
                Method::Grpc => Table::exchange().grpc_host(documented),
                _ => api.to_owned(),
            };
            (endpoint.is_in(documented), host)
        });
        Self {
            endpoint: endpoint.clone(),
            parameters: BTreeMap::new(),
            available: place.as_ref().map(|(available, _)| *available),
            host: place.map(|(_, host)| host),
        }
    }

    fn matched(found: Match<'_>, at: Option<(&Name, &Environment)>) -> Self {
        Self {
            parameters: found.parameters,
            ..Self::of(found.endpoint, at)
        }
    }
}

/// List scopes
///
/// As the Exchange API documents them.
#[utoipa::path(get, path = "/v1/exchange/scopes", tag = "exchange",
    responses((status = 200, description = "The scopes", body = Vec<Scope>)),
)]
pub(super) async fn list_scopes(_: Caller) -> Json<&'static [Scope]> {
    Json(&Table::exchange().scopes)
}

/// Which endpoints.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Called like this.
    method: Option<Method>,
    /// This one: a path, a URL, or the name of a gRPC call. All of them unless you give it.
    path: Option<String>,
    /// As they are in this environment of the service.
    #[param(value_type = Option<String>)]
    environment: Option<Name>,
}

/// Find endpoints
///
/// Says which scope a call of the Exchange API needs, as it is documented. A call that is not
/// documented is refused with those that are near it.
#[utoipa::path(get, path = "/v1/exchange/endpoints", tag = "exchange",
    params(Search),
    responses((status = 200, description = "The endpoints", body = Vec<EndpointView>)),
)]
pub(super) async fn find_endpoints(
    State(app): State<App>,
    _: Caller,
    Asked(search): Asked<Search>,
) -> Result<Json<Vec<EndpointView>>, Problem> {
    let table = Table::exchange();
    let at = placed(&app, search.environment.as_ref())?;
    let Some(path) = search.path else {
        let all = table.endpoints.iter();
        let all = all.filter(|it| search.method.is_none_or(|method| method == it.method));
        return Ok(Json(all.map(|it| EndpointView::of(it, at)).collect()));
    };
    let wanted = ApiCall {
        method: search.method,
        path,
    };
    let found = table.find(&wanted)?;
    let views = found.into_iter().map(|it| EndpointView::matched(it, at));
    Ok(Json(views.collect()))
}

/// A token to be looked into, and what it is wanted for.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenQuestion {
    /// An access token. It is neither kept nor logged.
    token: String,
    /// Calls that it should be good for: at most 100.
    #[serde(default)]
    wanted: Vec<ApiCall>,
}

/// What a token says. Nobody has checked its signature.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct TokenScopes {
    /// Never true: only the API can tell whether a token is good.
    verified: bool,
    /// The scopes that it carries and that are documented.
    granted: Vec<String>,
    /// Scopes that the token carries and that are not documented.
    undocumented: Vec<String>,
    /// The documented endpoints that they open.
    opens: Vec<EndpointView>,
    /// Calls that it is not enough for.
    missing: Vec<Missing>,
    /// The environment of this service whose API it is for.
    #[schema(value_type = Option<String>)]
    environment: Option<Name>,
    /// Whom it is for, as it says.
    audiences: Vec<String>,
    /// Whom it was issued to, as it says.
    client_id: Option<String>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    /// Whether that is past.
    expired: Option<bool>,
}

/// A wanted call, and why the token is not enough for it.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct Missing {
    /// The call as you wrote it.
    path: String,
    /// The scope that it needs; null where the call is not documented or the environment has it not.
    scope: Option<String>,
    /// What is missing, in words.
    detail: String,
}

/// Read a token's scopes
///
/// Decodes an access token: what it grants, which endpoints that opens, and what is missing for the
/// calls that you want. Its signature is **not** checked.
#[utoipa::path(post, path = "/v1/exchange/token-scopes", tag = "exchange",
    request_body = TokenQuestion,
    responses((status = 200, description = "What it says", body = TokenScopes)),
)]
pub(super) async fn read_token_scopes(
    State(app): State<App>,
    _: Caller,
    Body(question, _): Body<TokenQuestion>,
) -> Result<Json<TokenScopes>, Problem> {
    let invalid = |why: String| Problem::new(&problem::INVALID_FIELD, why);
    let token = zeroize::Zeroizing::new(question.token);
    let claims = TokenClaims::read(&token).map_err(|error| invalid(format!("token: {error}")))?;
    if question.wanted.len() > WANTED_LIMIT {
        return Err(invalid(format!("wanted: at most {WANTED_LIMIT} calls")));
    }
    let table = Table::exchange();
    let at = app.clients.environments().iter().find(|(_, environment)| {
        let api = &environment.token_audience;
        claims.audiences.contains(api)
    });
    let missing = question
        .wanted
        .iter()
        .flat_map(|wanted| missing(wanted, &claims.scopes, at))
        .collect();
    let opens = table.opened_by(&claims.scopes);
    let opens = opens.map(|it| EndpointView::of(it, at)).collect();
    let expires_at = claims
        .expires_at
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let (granted, undocumented) = claims
        .scopes
        .into_iter()
        .partition(|it| table.scope(it).is_some());
    Ok(Json(TokenScopes {
        verified: false,
        granted,
        undocumented,
        opens,
        missing,
        environment: at.map(|(name, _)| name.clone()),
        audiences: claims.audiences,
        client_id: claims.client_id,
        expires_at,
        expired: claims.expires_at.map(|at| at <= app.clock.unix_s()),
    }))
}

/// What stands between these scopes and a call.
fn missing(
    wanted: &ApiCall,
    granted: &[String],
    at: Option<(&Name, &Environment)>,
) -> Vec<Missing> {
    let say = |scope: Option<String>, detail: String| Missing {
        path: wanted.path.clone(),
        scope,
        detail,
    };
    let found = match Table::exchange().find(wanted) {
        Ok(found) => found,
        Err(unknown) => return vec![say(None, unknown.to_string())],
    };
    let lacking = |it: Match<'_>| {
        let endpoint = it.endpoint;
        let call = format!("{} {}", endpoint.method.name(), endpoint.endpoint);
        if let Some((name, environment)) = at
            && !endpoint.is_in(documented_name(name, &environment.api_url))
        {
            return Some(say(None, format!("{name} does not have {call}")));
        }
        let scope = endpoint.required_scope.clone()?;
        let detail = format!("{call} needs {scope}");
        (!endpoint.is_opened_by(granted)).then(|| say(Some(scope), detail))
    };
    found.into_iter().filter_map(lacking).collect()
}

/// An environment that a caller names.
fn placed<'a>(
    app: &'a App,
    name: Option<&Name>,
) -> Result<Option<(&'a Name, &'a Environment)>, Problem> {
    let Some(name) = name else {
        return Ok(None);
    };
    let missing = || Problem::not_found("environment");
    let found = app.clients.environments().get_key_value(name);
    found.map(Some).ok_or_else(missing)
}

/// What a client's tokens may do, for you.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ClientScopes {
    /// The client.
    client: String,
    /// Its environment.
    environment: String,
    /// What its tokens carried last; null where none was fetched here yet.
    granted: Option<Vec<String>>,
    /// Whether the application has no more than that.
    granted_is_all: Option<bool>,
    /// When that was learned. A grant of later is not in it.
    #[serde(with = "time::serde::rfc3339::option")]
    granted_at: Option<OffsetDateTime>,
    /// The documented scopes with which you may have a token, each by itself.
    permitted: Vec<String>,
    /// Permitted, and not among the granted ones.
    not_granted: Vec<String>,
    /// The documented endpoints that are open to you with what is both granted and permitted.
    opens: Vec<EndpointView>,
}

/// Show a client's scopes
///
/// What its tokens may do: what the application was granted, as its last tokens told, and what the
/// policy permits you of that.
#[utoipa::path(get, path = "/v1/clients/{client}/scopes", tag = "clients",
    responses((status = 200, description = "The scopes", body = ClientScopes)),
)]
pub(super) async fn show_client_scopes(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<ClientScopes>, Problem> {
    let client = visible(&app, &caller, &name).await?;
    let at = placed(&app, Some(&client.environment))?;
    let table = Table::exchange();
    let may = |scope: &String| {
        let resource = client.resource().with_scopes(vec![scope.clone()]);
        app.would(&caller, Action::IssueToken, &resource)
    };
    let documented = table.scopes.iter().map(|it| it.scope.clone());
    let permitted: Vec<_> = documented.filter(may).collect();
    let last = app.tokens.last_granted(&client).await?;
    let granted = last.as_ref().map(|it| it.scopes.to_vec());
    let has = |scope: &String| granted.as_ref().is_some_and(|it| it.contains(scope));
    let (both, not_granted): (Vec<_>, Vec<_>) = permitted.iter().cloned().partition(has);
    let opens = table.opened_by(&both);
    Ok(Json(ClientScopes {
        client: client.name.to_string(),
        environment: client.environment.to_string(),
        not_granted: if granted.is_some() {
            not_granted
        } else {
            Vec::new()
        },
        granted_is_all: last.as_ref().map(|it| it.whole),
        granted_at: last.as_ref().map(|it| it.at),
        opens: opens.map(|it| EndpointView::of(it, at)).collect(),
        granted,
        permitted,
    }))
}
