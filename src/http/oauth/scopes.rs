//! `/v1/exchange`: what the Exchange API's documentation says of scopes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use time::OffsetDateTime;

use super::clients::visible;
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::{Named, Params};
use crate::http::problem::Problem;
use crate::name::Name;
use crate::oauth::environment::Environment;
use crate::oauth::scopes::{ApiCall, Endpoint, Match, Method, Scope, Table, documented_name};
use crate::policy::Action;

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
    pub(super) fn of(endpoint: &Endpoint, at: Option<(&Name, &Environment)>) -> Self {
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
    Params(search): Params<Search>,
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
