//! `/v1/audit`: look-ups in the log, for those who may read all of it. Each is on record before it is answered.

mod events;
mod exports;
mod identify;
mod signers;

use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::problem::Problem;
use super::query::{moment, wrong};
use crate::app::App;
use crate::callers::Caller;
use crate::ledger::Gate;
use crate::lookups::{Named, Names, SEARCH};
use crate::policy::{Action, Resource};

/// What is at the API's paths for them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events::find_events))
        .routes(routes!(identify::identify))
        .routes(routes!(signers::list_signers))
        .routes(routes!(exports::show_range))
        .routes(routes!(exports::list_statements))
        .routes(routes!(exports::record_export))
        .routes(routes!(exports::prove_export))
}

/// Somebody or something, by id and by name where it has one.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct Party {
    id: Uuid,
    /// `caller`, `person`, `key`, `wallet`, `client` or `service`; null where it has no name.
    kind: Option<String>,
    name: Option<String>,
}

impl Party {
    fn of(id: Uuid, names: &Names) -> Self {
        let known: Option<&Named> = names.get(&id);
        let is_service = id.is_nil();
        let service = || is_service.then(|| "service".to_owned());
        Self {
            id,
            kind: known.map(|it| it.kind.clone()).or_else(service),
            name: known.map(|it| it.name.clone()).or_else(service),
        }
    }
}

/// That the caller may read the log, page by page.
fn may_view(app: &App, caller: &Caller) -> Result<(), Problem> {
    let permit = app.ask(caller, Action::ViewLog, &Resource::service());
    Ok(permit.map(drop)?)
}

/// That the caller may look, and that they do is on record: what was asked for, by which filters.
async fn look_up(app: &App, caller: &Caller, asked: &Value) -> Result<(), Problem> {
    let permit = app.ask(caller, Action::ViewLog, &Resource::service())?;
    app.count_look_up(caller, Action::ViewLog).await?;
    let mut change = app.log.begin(Gate::Shared, permit.author()).await?;
    change.note(SEARCH, change.author(), asked);
    change.commit().await?;
    Ok(())
}
