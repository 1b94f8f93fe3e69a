//! `GET /v1/environments`.

use axum::extract::State;

use crate::app::App;
use crate::callers::Caller;
use crate::http::body::Params;
use crate::http::page::{Page, Paged};
use crate::http::problem::Problem;
use crate::name::Name;
use crate::oauth::environment::{AssertionAud, Environment, Kid, TokenRequest};
use crate::oauth::scopes::{Table, documented_name};

/// An environment of the Exchange API, as it is configured.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct EnvironmentView {
    /// The `[oauth.environments.NAME]` section.
    name: String,
    /// The authorization server, as it names itself.
    issuer: String,
    /// Where assertions are exchanged for tokens.
    token_endpoint: String,
    /// `audience` of a token request.
    token_audience: String,
    /// Where the API is.
    api_url: String,
    /// Where its gRPC streams are, as documented.
    grpc_host: String,
    /// What `aud` of an assertion follows.
    aud_policy: AssertionAud,
    /// `aud` of an assertion.
    assertion_aud: String,
    /// `typ` of an assertion.
    typ: String,
    /// What `kid` of an assertion follows.
    kid: Kid,
    /// From `iat` to `exp`, in seconds.
    lifetime_s: i64,
    /// How the service asks for a token.
    token_request: TokenRequest,
    /// How long it waits for one.
    timeout_ms: u64,
}

impl EnvironmentView {
    fn of((name, environment): (&Name, &Environment)) -> Self {
        let documented = documented_name(name, &environment.api_url);
        Self {
            name: name.to_string(),
            issuer: environment.issuer.clone(),
            token_endpoint: environment.token_endpoint.clone(),
            token_audience: environment.token_audience.clone(),
            api_url: environment.api_url.clone(),
            grpc_host: Table::exchange().grpc_host(documented),
            aud_policy: environment.assertion_aud.clone(),
            assertion_aud: environment.aud().to_owned(),
            typ: environment.typ.clone(),
            kid: environment.kid.clone(),
            lifetime_s: environment.lifetime_s.seconds(),
            token_request: environment.token_request,
            timeout_ms: environment.timeout_ms,
        }
    }
}

/// List environments
///
/// Those of the Exchange API that the service is configured for. A client is of one of them.
#[utoipa::path(get, path = "/v1/environments", tag = "exchange", params(Page),
    responses((status = 200, description = "The environments", body = Vec<EnvironmentView>)),
)]
pub(super) async fn list_environments(
    State(app): State<App>,
    _: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<EnvironmentView>, Problem> {
    let all = app.clients.environments().iter();
    let views = all.map(EnvironmentView::of).collect();
    page.of("/v1/environments", views, |it: &EnvironmentView| {
        it.name.clone()
    })
}
