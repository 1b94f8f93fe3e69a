//! `POST /oauth/token`: the same tokens for tools that know nothing but OAuth (RFC 6749, section 4.4).
//!
//! Requests, answers and refusals have OAuth's form. Who is calling is said by the caller's own token;
//! `client_id` says which client it is for.

use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::app::App;
use crate::callers::Caller;
use crate::http::admit::passed_gate;
use crate::http::body::{self, BodyLimit};
use crate::http::caller::{BasicCaller, basic_user};
use crate::http::problem::{self, Problem};
use crate::http::write::{self, uncached};
use crate::idempotency::RequestDigest;
use crate::oauth::broker::{ScopeSet, TokenError, TokenNeed};
use crate::oauth::clients::Client;
use crate::policy::Action;

/// Where it is.
pub(in crate::http) const PATH: &str = "/oauth/token";

/// A token request. What is not known is left alone, as RFC 6749 wants it.
#[derive(serde::Deserialize, utoipa::ToSchema)]
pub(super) struct OAuthTokenRequest {
    /// `client_credentials`.
    grant_type: Option<String>,
    /// The client's name here, or its `client_id` at the authorization server. May also be the user of
    /// Basic authentication.
    client_id: Option<String>,
    /// Scopes, with one space between them.
    scope: Option<String>,
    /// The API that the token is for: tells clients apart that have the same `client_id`.
    audience: Option<String>,
    /// The audience as RFC 8707 names it.
    resource: Option<String>,
    /// The environment's name here, for the same purpose.
    environment: Option<String>,
}

/// An access token in OAuth's form.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OAuthToken<'a> {
    /// The token.
    access_token: &'a str,
    /// `Bearer`.
    token_type: &'a str,
    /// How many seconds it lives from now on.
    expires_in: u64,
    /// Its scopes; absent where neither the token nor the server says.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// An error in OAuth's form.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OAuthError<'a> {
    /// A word of RFC 6749.
    error: &'a str,
    /// What is wrong with this request.
    error_description: String,
    /// A reference to the problem's description, relative to the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_uri: Option<&'a str>,
}

/// Get an access token the OAuth way
///
/// The client credentials grant (RFC 6749), form-encoded or JSON. Authenticate with your own token, as
/// Bearer or as the password of Basic authentication. Errors have the form of RFC 6749, section 5.2;
/// `error_uri` leads to the problem.
#[utoipa::path(post, path = "/oauth/token", tag = "tokens",
    request_body(content(
        (OAuthTokenRequest = "application/x-www-form-urlencoded"),
        (OAuthTokenRequest = "application/json"),
    )),
    responses(
        (status = 200, description = "The token", body = OAuthToken<'_>),
        (status = "default", description = "An error", body = OAuthError<'_>),
    ),
)]
pub(super) async fn exchange_token(
    State(app): State<App>,
    headers: HeaderMap,
    BasicCaller(caller): BasicCaller,
    request: Request,
) -> Result<Response, Problem> {
    let (asked, request) = read(request).await?;
    match asked.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let what = "grant_type is client_credentials here";
            return Ok(error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                what,
                None,
            ));
        }
        None => {
            return Err(Problem::new(
                &problem::INVALID_FIELD,
                "grant_type is missing",
            ));
        }
    }
    let scope = asked.scope.as_deref().filter(|it| !it.is_empty());
    let scopes: Option<ScopeSet> = scope
        .map(str::parse)
        .transpose()
        .map_err(TokenError::from)?;
    let client = client(&app, &caller, &asked, basic_user(&headers)).await?;
    let wish = TokenNeed {
        caller,
        client,
        scopes,
        afresh: false,
        request,
        deadline: None,
    };
    let token = app.tokens.token(&wish).await?;
    let answer = OAuthToken {
        access_token: token.token().expose_secret(),
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope: token.granted.as_ref().map(ToString::to_string),
    };
    let body = serde_json::to_vec(&answer).expect("plain data serializes");
    let answer = uncached(write::json(StatusCode::OK, body));
    Ok(passed_gate(answer, token.since))
}

/// The request, and its digest. A parameter that comes twice is refused.
async fn read(request: Request) -> Result<(OAuthTokenRequest, RequestDigest), Problem> {
    let limit = request.extensions().get::<BodyLimit>().copied();
    let limit = limit.unwrap_or_default().0;
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let is_form = kind.as_ref().is_some_and(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        body::declared_as_json(&request)?;
    }
    let bytes = body::read(request, limit, 1).await?;
    let digest = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        RequestDigest::of("POST", PATH, &Value::from(text))
    };
    let digest = digest(&bytes);
    if !is_form {
        body::object(&bytes)?;
        return Ok((body::typed(&bytes)?, digest));
    }
    let mut form = Request::new(Body::from(bytes));
    *form.method_mut() = axum::http::Method::POST;
    if let Some(kind) = kind {
        form.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    let Form(asked) = Form::from_request(form, &())
        .await
        .map_err(|error| Problem::new(&problem::MALFORMED_BODY, error.body_text()))?;
    Ok((asked, digest))
}

/// The client that is meant: by its name here, else by its `client_id` in the environment that is
/// named, or in the only one that has it.
async fn client(
    app: &App,
    caller: &Caller,
    asked: &OAuthTokenRequest,
    user: Option<String>,
) -> Result<Client, Problem> {
    let id = asked.client_id.clone().or(user).filter(|it| !it.is_empty());
    let Some(id) = id else {
        return Err(Problem::new(
            &problem::INVALID_FIELD,
            "client_id is missing",
        ));
    };
    let api = asked.audience.as_ref().or(asked.resource.as_ref());
    let fits = |client: &Client| {
        let environment = app.clients.environment(client).ok();
        let named = asked.environment.as_ref();
        named.is_none_or(|it| it == client.environment.as_str())
            && api.is_none_or(|api| environment.is_some_and(|it| it.token_audience == *api))
    };
    let sees = |client: &Client| app.would(caller, Action::View, &client.resource());
    let mut all = app.clients.list().await?;
    all.retain(|it| fits(it) && (it.name.as_str() == id || it.client_id == id));
    let (mut visible, hidden): (Vec<_>, Vec<_>) = all.into_iter().partition(sees);
    if let (true, Some(hidden)) = (visible.is_empty(), hidden.first()) {
        // What there is and they may not know of goes on record.
        drop(app.ask(caller, Action::View, &hidden.resource()));
    }
    if let Some(at) = visible.iter().position(|it| it.name.as_str() == id) {
        return Ok(visible.swap_remove(at));
    }
    match visible.len() {
        0 => Err(Problem::not_found("client")),
        1 => Ok(visible.swap_remove(0)),
        _ => {
            let detail =
                "client_id: several environments have it; name one with audience or environment";
            Err(Problem::new(&problem::INVALID_FIELD, detail))
        }
    }
}

/// Says in OAuth's form what was refused.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the other forms take the response apart"
)]
pub(in crate::http) fn translate(response: Response, problem: &Problem) -> Response {
    let (status, code) = oauth_error(problem);
    let document = problem.document();
    let mut translated = error(status, code, document.detail, Some(&document.kind));
    let headers = translated.headers_mut();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        if let Some(value) = response.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if status == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"chancery\"");
        headers.append(header::WWW_AUTHENTICATE, basic);
    }
    translated
}

/// RFC 6749, section 5.2; a service that is away is called as section 4.1.2.1 does.
fn oauth_error(problem: &Problem) -> (StatusCode, &'static str) {
    let kind = problem.kind();
    let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match kind.name {
        "not-authenticated" => (status, "invalid_client"),
        "scope-denied" | "scope-not-granted" | "invalid-scope" => {
            (StatusCode::BAD_REQUEST, "invalid_scope")
        }
        "denied" | "not-found" => (StatusCode::BAD_REQUEST, "unauthorized_client"),
        _ if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::GATEWAY_TIMEOUT => {
            (status, "temporarily_unavailable")
        }
        _ if status.is_server_error() => (status, "server_error"),
        _ if matches!(kind.status, 405 | 409 | 413 | 415) => (status, "invalid_request"),
        _ => (StatusCode::BAD_REQUEST, "invalid_request"),
    }
}

fn error(status: StatusCode, code: &str, what: &str, about: Option<&str>) -> Response {
    // RFC 6749 allows printable ASCII without quotation marks and backslashes.
    let plain = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' {
            c
        } else {
            '\''
        }
    };
    let body = OAuthError {
        error: code,
        error_description: what.chars().map(plain).collect(),
        error_uri: about,
    };
    let body = serde_json::to_vec(&body).expect("plain data serializes");
    uncached(write::json(status, body)).into_response()
}
