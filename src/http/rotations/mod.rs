//! `/v1/rotations`: how the key of a client, and the wallet of an account, is replaced.

mod stepping;
mod views;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::callers::Caller;
use crate::clob::wallets::Wallet;
use crate::http::body::{Body, Params};
use crate::http::caller::RequiredKey;
use crate::http::page::{Page, Paged};
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::http::{clob, oauth};
use crate::id::{ClientId, RotationId, WalletId};
use crate::ledger::Gate;
use crate::oauth::clients::Client;
use crate::policy::{Action, Permit, Resource};
use crate::rotations::{Kind, NewRotation, Replaced, Rotation};
use views::{AlarmView, RotationPosition, RotationView, WholeView, views};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_rotations, open_rotation))
        .routes(routes!(show_rotation))
        .routes(routes!(stepping::step_rotation))
}

/// Which rotations are wanted.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RotationQuery {
    /// Those that are open, or those that are not.
    open: Option<bool>,
    /// Those that are late, or those that are not.
    overdue: Option<bool>,
    /// How many at most, 1 to 1,000. All of them unless it is said.
    limit: Option<u16>,
    /// Those that come after the one with this id. The answer's `Link` header has the next page's.
    after: Option<String>,
}

impl RotationQuery {
    /// The list, without the page.
    fn path(&self) -> String {
        let wanted = [("open", self.open), ("overdue", self.overdue)];
        let wanted = wanted
            .iter()
            .filter_map(|(name, value)| Some((name, (*value)?)));
        let query: Vec<_> = wanted
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match query.as_slice() {
            [] => "/v1/rotations".to_owned(),
            query => format!("/v1/rotations?{}", query.join("&")),
        }
    }
}

/// The id in the path. What cannot be one is not there.
pub(super) struct Identified(pub(super) RotationId);

impl<S: Send + Sync> FromRequestParts<S> for Identified {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || Problem::not_found("rotation");
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

/// What a rotation is of.
enum Subject {
    Client(Box<Client>),
    Wallet(Box<Wallet>),
}

impl Subject {
    /// As policies see it.
    fn resource(&self) -> Resource {
        match self {
            Self::Client(client) => client.resource(),
            Self::Wallet(wallet) => wallet.resource(),
        }
    }
}

async fn subject(app: &App, rotation: &Rotation) -> Result<Option<Subject>, Problem> {
    Ok(match rotation.kind {
        Kind::Client => {
            let client = app.clients.by_id(ClientId::from(rotation.subject)).await?;
            client.map(|it| Subject::Client(Box::new(it)))
        }
        Kind::Wallet => {
            let wallet = app.wallets.by_id(WalletId::from(rotation.subject)).await?;
            wallet.map(|it| Subject::Wallet(Box::new(it)))
        }
    })
}

/// A rotation that the caller may see.
async fn visible(
    app: &App,
    caller: &Caller,
    id: RotationId,
) -> Result<(Rotation, Subject), Problem> {
    let missing = || Problem::not_found("rotation");
    let rotation = app.rotations.show(id).await?;
    let subject = subject(app, &rotation).await?.ok_or_else(missing)?;
    if !app.would(caller, Action::View, &subject.resource()) {
        return Err(missing());
    }
    Ok((rotation, subject))
}

/// A rotation, and that the caller may do this with what it is of.
async fn permitted(
    app: &App,
    caller: &Caller,
    action: Action,
    id: RotationId,
) -> Result<(Rotation, Subject, Permit), Problem> {
    let missing = || Problem::not_found("rotation");
    let rotation = app.rotations.show(id).await?;
    let subject = subject(app, &rotation).await?.ok_or_else(missing)?;
    let asked = app.ask(caller, action, &subject.resource());
    let permit = asked.map_err(|denied| match denied.hides {
        Some(_) => missing(),
        None => denied.into(),
    })?;
    Ok((rotation, subject, permit))
}

/// List rotations
///
/// Newest first.
#[utoipa::path(get, path = "/v1/rotations", tag = "rotations",
    params(RotationQuery),
    responses((status = 200, description = "The rotations that you may see", body = Vec<RotationView>)),
)]
pub(super) async fn list_rotations(
    State(app): State<App>,
    caller: Caller,
    Params(wanted): Params<RotationQuery>,
) -> Result<Paged<RotationView>, Problem> {
    let mut seen = Vec::new();
    for rotation in app.rotations.list().await? {
        if wanted
            .open
            .is_some_and(|open| open != rotation.state.is_open())
        {
            continue;
        }
        let Some(subject) = subject(&app, &rotation).await? else {
            continue;
        };
        if app.would(&caller, Action::View, &subject.resource()) {
            seen.push((rotation, subject));
        }
    }
    let mut views = views(&app, seen).await?;
    if let Some(overdue) = wanted.overdue {
        views.retain(|it| it.status.overdue == overdue);
    }
    let path = wanted.path();
    Page::new(wanted.limit, wanted.after).of(&path, views, |it| it.id.to_string())
}

/// Show a rotation
///
/// Where it stands, what is next, who waits for whom, and every step with its evidence.
#[utoipa::path(get, path = "/v1/rotations/{rotation}", tag = "rotations",
    responses((status = 200, description = "The rotation", body = WholeView)),
)]
pub(super) async fn show_rotation(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
) -> Result<Json<WholeView>, Problem> {
    let (rotation, subject) = visible(&app, &caller, id).await?;
    let (new_wallet, open_orders) = match &subject {
        Subject::Client(_) => (None, None),
        Subject::Wallet(wallet) => {
            let successor = app.wallet_rotations.successor(&rotation).await?;
            let open = app.drains.open_orders(&wallet.key).await?;
            let open = open.iter().map(|it| it.count).sum();
            (successor.map(|it| it.name.to_string()), Some(open))
        }
    };
    let rotation = views(&app, vec![(rotation, subject)]).await?.pop();
    let rotation = rotation.ok_or_else(|| Problem::not_found("rotation"))?;
    let alarms = app.rotations.alarms(id).await?;
    let view = |(alarm, at)| AlarmView { alarm, at };
    Ok(Json(WholeView {
        rotation,
        alarms: alarms.into_iter().map(view).collect(),
        new_wallet,
        open_orders,
    }))
}

/// Open a rotation
///
/// One at a time for a client. In an emergency the old key is taken out of service at once.
#[utoipa::path(post, path = "/v1/rotations", tag = "rotations",
    request_body = NewRotation,
    responses((status = 201, description = "The rotation", body = RotationPosition)),
)]
pub(super) async fn open_rotation(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewRotation>,
) -> Result<Response, Problem> {
    let action = Action::RotateKey;
    let (subject, permit) = match new.replaced()? {
        Replaced::Client(name) => {
            let (it, permit) = oauth::clients::permitted(&app, &caller, action, name).await?;
            (Subject::Client(Box::new(it)), permit)
        }
        Replaced::Wallet(name) => {
            let (it, permit) = clob::wallets::permitted(&app, &caller, action, name).await?;
            (Subject::Wallet(Box::new(it)), permit)
        }
    };
    let gate = match new.emergency {
        Some(_) => Gate::Exclusive,
        None => Gate::Shared,
    };
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, gate, async |change| {
            let opened = match &subject {
                Subject::Client(client) => {
                    let all = &app.rotations;
                    all.open_client(client, new, change).await?
                }
                Subject::Wallet(wallet) => {
                    let all = &app.wallet_rotations;
                    all.open(wallet, &new, change).await?
                }
            };
            Ok(RotationPosition::from(&opened))
        })
        .await
}
