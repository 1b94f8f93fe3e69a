//! `/v1/halts`: what is stopped, by whom and why.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Body;
use super::caller::RequiredKey;
use super::problem::{self, Problem};
use super::write::Write;
use crate::app::App;
use crate::callers::{Caller, Names};
use crate::ethereum::condition::Condition;
use crate::halts::{Halt, NewHalt, On, Order, Winding};
use crate::id::{CallerId, HaltId};
use crate::keys::Justification;
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Resource};

/// What is at the API's paths for halts.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_halts, set_halt))
        .routes(routes!(lift_halt))
}

/// A halt in force.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct HaltView {
    #[schema(value_type = String)]
    id: HaltId,
    on: On,
    /// What it is on.
    name: String,
    /// The token ids of a market.
    tokens: Vec<String>,
    reason: String,
    /// What is still done.
    allow: Vec<Winding>,
    #[schema(value_type = String)]
    set_by: CallerId,
    set_by_name: String,
    #[serde(with = "time::serde::rfc3339")]
    set_at: OffsetDateTime,
    /// The version of what decides that set it.
    version: i64,
}

impl HaltView {
    fn new(halt: &Halt, name: String) -> Self {
        let order = halt.order.clone();
        Self {
            id: halt.id,
            on: order.on,
            name: order.name,
            tokens: order.tokens,
            reason: order.reason,
            allow: order.allow,
            set_by: halt.by,
            set_by_name: name,
            set_at: halt.at,
            version: halt.version.number(),
        }
    }

    fn named(halt: &Halt, names: &Names) -> Self {
        Self::new(halt, names.of(halt.by))
    }
}

/// List halts
///
/// Those in force, the oldest first.
#[utoipa::path(get, path = "/v1/halts", tag = "halts",
    responses((status = 200, description = "The halts", body = Vec<HaltView>)),
)]
pub(super) async fn list_halts(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Vec<HaltView>>, Problem> {
    app.ask(&caller, Action::ViewHalts, &Resource::service())
        .map(drop)?;
    let halts = app.rights.halts().list().await?;
    let names = app
        .callers
        .names(halts.iter().map(|halt| halt.by).collect())
        .await?;
    let views = halts.iter().map(|halt| HaltView::named(halt, &names));
    Ok(Json(views.collect()))
}

/// Halt
///
/// Once this is answered, no replica releases anything more that the halt is on: no signature, no replay, no
/// token, no header, no secret. One person does it; lifting it loosens.
#[utoipa::path(post, path = "/v1/halts", tag = "halts",
    request_body = NewHalt,
    responses((status = 201, description = "It is in force", body = HaltView)),
)]
pub(super) async fn set_halt(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewHalt>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::Halt, &Resource::service())?;
    let order = order(&app, new).await?;
    Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Exclusive, async |change| {
            let halt = app.rights.halts().set(order, change).await?;
            let view = HaltView::new(&halt, caller.name.to_string());
            change.once_durable(move || {
                tracing::error!(halt.id = %halt.id, halt.on = %halt.order.on, halt.name = halt.order.name,
                    halt.reason = halt.order.reason, "a halt is set");
            });
            Ok(view)
        })
        .await
}

/// Lift a halt
///
/// What it stopped is not repeated by itself.
#[utoipa::path(post, path = "/v1/halts/{halt}/lift", tag = "halts",
    request_body = Justification,
    responses((status = 201, description = "It is in force no more", body = HaltView)),
)]
pub(super) async fn lift_halt(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RequiredKey(key): RequiredKey,
    Body(Justification { reason }, request): Body<Justification>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::LiftHalt, &Resource::service())?;
    let id: HaltId = id.parse().map_err(|_| Problem::not_found("halt"))?;
    let names = app.rights.halts().list().await?;
    let names = names.iter().map(|halt| halt.by).collect();
    let names = app.callers.names(names).await?;
    Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Shared, async |change| {
            let halts = app.rights.halts();
            let halt = halts.lift(id, reason.as_str(), change).await?;
            let view = HaltView::named(&halt, &names);
            change.once_durable(move || {
                tracing::warn!(halt.id = %halt.id, halt.on = %halt.order.on, "a halt is lifted");
            });
            Ok(view)
        })
        .await
}

/// What a halt says, with the thing that it is on looked up.
async fn order(app: &App, new: NewHalt) -> Result<Order, Problem> {
    let wrong = |detail: &str| Problem::new(&problem::INVALID_FIELD, detail);
    let name = || {
        let name = new.name.as_deref().unwrap_or_default();
        let name = name.parse::<Name>();
        name.map_err(|_| wrong("name: the name of what the halt is on is wanted"))
    };
    let id = match new.on {
        On::Everything | On::Market => None,
        On::Key => Some(app.keys.show(&name()?).await?.id.uuid()),
        On::Wallet => Some(app.wallets.show(&name()?).await?.id.uuid()),
        On::Client => Some(app.clients.show(&name()?).await?.id.uuid()),
        On::Caller => Some(app.callers.show(&name()?).await?.id.uuid()),
    };
    let condition = new.condition;
    let name = new.name.clone().or(condition.map(String::from));
    let name = name.unwrap_or_default();
    if new.on == On::Everything && !name.is_empty() {
        return Err(wrong("name: a halt on everything has none"));
    }
    if name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(wrong(
            "name: at most 100 characters, none a control character",
        ));
    }
    let of_condition = condition.iter().flat_map(Condition::tokens);
    let tokens = new
        .tokens
        .into_iter()
        .chain(of_condition.map(|it| it.to_string()));
    let mut allow = new.allow;
    allow.sort_by_key(|it| it.name());
    allow.dedup();
    Ok(Order {
        on: new.on,
        id,
        name,
        tokens: tokens.collect(),
        reason: new.reason.as_str().to_owned(),
        allow,
    })
}
