//! `POST /v1/exchange/token-scopes`: what a token opens.

use axum::Json;
use axum::extract::State;
use time::OffsetDateTime;

use super::scopes::EndpointView;
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::Body;
use crate::http::problem::{self, Problem};
use crate::name::Name;
use crate::oauth::environment::Environment;
use crate::oauth::scopes::{ApiCall, Match, Table, TokenClaims, documented_name};

/// As many calls are looked up at a time.
const WANTED_LIMIT: usize = 100;

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
