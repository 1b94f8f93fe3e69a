//! `/v1/limits`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use axum::http::Method;
use axum::response::Response;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, Params};
use super::caller::RequiredKey;
use super::page::{Page, Paged};
use super::problem::{self, Problem};
use super::write::Write;
use crate::app::App;
use crate::callers::Caller;
use crate::id::{CallerId, KeyId, WalletId};
use crate::idempotency::RequestDigest;
use crate::ledger::Gate;
use crate::limits::{LimitError, Limits, Said, Scope, ScopeKind, Token, Used};
use crate::name::Name;
use crate::policy::{Action, Resource};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_limits))
        .routes(routes!(show_limits, set_limits, remove_limits))
        .routes(routes!(show_usage))
}

/// The limits of something.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct LimitsView {
    scope: ScopeKind,
    /// Its id, a token's id, or `all`; of a caller and a key both, with a comma.
    id: String,
    /// As people call it, where it has a name.
    name: Option<String>,
    limits: Said,
}

/// How much of something's limits is used.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct LimitUsage {
    scope: ScopeKind,
    id: String,
    /// What is counted, on all replicas together.
    used: Vec<Used>,
}

/// What was removed.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RemovedLimits {
    /// Of what.
    #[schema(value_type = String, example = "global:all")]
    removed: Scope,
}

/// What is limited, by the words of a path.
type Named = Path<(String, String)>;

/// List limits
#[utoipa::path(get, path = "/v1/limits", tag = "limits", params(Page),
    responses((status = 200, description = "All that is limited", body = Vec<LimitsView>)),
)]
pub(super) async fn list_limits(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<LimitsView>, Problem> {
    app.ask(&caller, Action::ViewLimits, &Resource::service())
        .map(drop)?;
    let names = Names::load(&app).await?;
    let book = app.limits.newest().await?;
    let all = book.all().into_iter();
    let views = all.map(|(scope, limits)| names.view(&scope, limits));
    page.of("/v1/limits", views.collect(), |it| {
        format!("{}:{}", it.scope, it.id)
    })
}

/// Show limits
#[utoipa::path(get, path = "/v1/limits/{scope}/{id}", tag = "limits",
    responses((status = 200, description = "Its limits", body = LimitsView)),
)]
pub(super) async fn show_limits(
    State(app): State<App>,
    caller: Caller,
    Path(path): Named,
) -> Result<Json<LimitsView>, Problem> {
    app.ask(&caller, Action::ViewLimits, &Resource::service())
        .map(drop)?;
    let names = Names::load(&app).await?;
    let scope = names.scope(&path)?;
    let book = app.limits.newest().await?;
    let limits = book.of(&scope).ok_or(LimitError::NotFound)?;
    Ok(Json(names.view(&scope, limits)))
}

/// Set limits
///
/// The whole document takes the place of the one before. What allows less holds on all replicas once this is
/// answered; what allows more takes whoever has to agree. Counting begins when something is first limited.
#[utoipa::path(put, path = "/v1/limits/{scope}/{id}", tag = "limits",
    request_body = Said,
    responses((status = 201, description = "Its limits now", body = LimitsView)),
)]
pub(super) async fn set_limits(
    State(app): State<App>,
    caller: Caller,
    Path(path): Named,
    RequiredKey(key): RequiredKey,
    Body(limits, request): Body<Limits>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::ManageLimits, &Resource::service())?;
    let names = Names::load(&app).await?;
    let scope = names.scope(&path)?;
    let write = Write::new(&app, &caller, &key, request);
    let answer = write
        .run(&permit, Gate::Exclusive, async |change| {
            app.limits.set(scope, limits.clone(), change).await?;
            Ok(names.view(&scope, &limits))
        })
        .await;
    drop(app.limits.newest().await); // elsewhere the gate sees to it
    answer
}

/// Remove limits
#[utoipa::path(delete, path = "/v1/limits/{scope}/{id}", tag = "limits",
    responses((status = 201, description = "Removed", body = RemovedLimits)),
)]
pub(super) async fn remove_limits(
    State(app): State<App>,
    caller: Caller,
    Path(path): Named,
    OriginalUri(uri): OriginalUri,
    RequiredKey(key): RequiredKey,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::ManageLimits, &Resource::service())?;
    let names = Names::load(&app).await?;
    let scope = names.scope(&path)?;
    let request = RequestDigest::of(Method::DELETE.as_str(), uri.path(), &Value::Null);
    let write = Write::new(&app, &caller, &key, request);
    let answer = write
        .run(&permit, Gate::Exclusive, async |change| {
            app.limits.remove(scope, change).await?;
            Ok(RemovedLimits { removed: scope })
        })
        .await;
    drop(app.limits.newest().await);
    answer
}

/// Show how much is used
#[utoipa::path(get, path = "/v1/limits/{scope}/{id}/usage", tag = "limits",
    responses((status = 200, description = "What is counted, and what is left", body = LimitUsage)),
)]
pub(super) async fn show_usage(
    State(app): State<App>,
    caller: Caller,
    Path(path): Named,
) -> Result<Json<LimitUsage>, Problem> {
    app.ask(&caller, Action::ViewLimits, &Resource::service())
        .map(drop)?;
    let scope = Names::load(&app).await?.scope(&path)?;
    Ok(Json(LimitUsage {
        scope: scope.kind(),
        id: scope.subject(),
        used: app.limits.usage(scope).await?,
    }))
}

/// What is called how.
struct Names {
    callers: HashMap<CallerId, String>,
    keys: HashMap<KeyId, String>,
    wallets: HashMap<WalletId, String>,
}

impl Names {
    async fn load(app: &App) -> Result<Self, Problem> {
        let callers = app.callers.list().await?.into_iter();
        let keys = app.keys.list().await?.into_iter();
        let wallets = app.wallets.list().await?.into_iter();
        Ok(Self {
            callers: callers.map(|it| (it.id, it.name)).collect(),
            keys: keys.map(|it| (it.id, it.name.to_string())).collect(),
            wallets: wallets.map(|it| (it.id, it.name.to_string())).collect(),
        })
    }

    fn scope(&self, (kind, id): &(String, String)) -> Result<Scope, Problem> {
        let kind = ScopeKind::from_name(kind).ok_or_else(|| Problem::not_found("scope"))?;
        let caller =
            |id: &str| found(&self.callers, id).ok_or_else(|| Problem::not_found("caller"));
        let key = |id: &str| found(&self.keys, id).ok_or_else(|| Problem::not_found("key"));
        Ok(match kind {
            ScopeKind::Global if id == "all" => Scope::Global,
            ScopeKind::Global => return Err(Problem::not_found("scope")),
            ScopeKind::Caller => Scope::Caller(caller(id)?),
            ScopeKind::Key => Scope::Key(key(id)?),
            ScopeKind::CallerKey => {
                let both = id.split_once(',');
                let (one, other) = both.ok_or_else(|| {
                    let detail = "a caller and a key are wanted, with a comma between them";
                    Problem::new(&problem::NOT_FOUND, detail)
                })?;
                Scope::CallerKey(caller(one)?, key(other)?)
            }
            ScopeKind::Wallet => {
                let wallet = found(&self.wallets, id);
                Scope::Wallet(wallet.ok_or_else(|| Problem::not_found("wallet"))?)
            }
            ScopeKind::Market => {
                let token = Token::try_from(id.clone());
                Scope::Market(token.map_err(|error| Problem::new(&problem::NOT_FOUND, error))?)
            }
        })
    }

    fn view(&self, scope: &Scope, limits: &Limits) -> LimitsView {
        let name = match scope {
            Scope::Global | Scope::Market(_) => None,
            Scope::Caller(id) => self.callers.get(id).cloned(),
            Scope::Key(id) => self.keys.get(id).cloned(),
            Scope::CallerKey(caller, key) => {
                let both = self.callers.get(caller).zip(self.keys.get(key));
                both.map(|(caller, key)| format!("{caller},{key}"))
            }
            Scope::Wallet(id) => self.wallets.get(id).cloned(),
        };
        LimitsView {
            scope: scope.kind(),
            id: scope.subject(),
            name,
            limits: limits.said().clone(),
        }
    }
}

/// What has this name or id.
fn found<T: Copy + ToString>(names: &HashMap<T, String>, text: &str) -> Option<T> {
    let is_name = text.parse::<Name>().is_ok();
    let mut all = names.iter();
    let found = all.find(|(id, name)| is_name && (name.as_str() == text || id.to_string() == text));
    found.map(|(id, _)| *id)
}
