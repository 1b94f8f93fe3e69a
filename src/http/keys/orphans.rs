//! `/v1/orphans` and `/v1/keys/{key}/recover`: keys that were begun and never finished.

use axum::extract::State;
use axum::response::Response;

use super::{KeyView, visible};
use crate::app::App;
use crate::callers::Caller;
use crate::custody::PublicKey;
use crate::http::body::{Body, Named, Params};
use crate::http::caller::RequiredKey;
use crate::http::page::{Page, Paged};
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::keys::{InDevice, Justification, Orphan};
use crate::ledger::Gate;
use crate::policy::{Action, Resource};

/// A key on record without its public half.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OrphanView {
    key: KeyView,
    /// `made`: it can be recovered. `nothing`: asked for again in the same words it is made.
    /// `unknown`: see `trouble`.
    in_device: &'static str,
    /// The address of what the device holds, to compare before it is recovered.
    address: Option<String>,
    /// The fingerprint of what the device holds.
    fingerprint: Option<String>,
    /// What the device calls it, where it does not go by the id.
    device_ref: Option<String>,
    trouble: Option<String>,
}

impl From<Orphan> for OrphanView {
    fn from(orphan: Orphan) -> Self {
        let mut view = Self {
            key: KeyView::from(&orphan.key),
            in_device: "nothing",
            address: None,
            fingerprint: None,
            device_ref: None,
            trouble: None,
        };
        match orphan.in_device {
            InDevice::Nothing => {}
            InDevice::Unknown(error) => {
                view.in_device = "unknown";
                view.trouble = Some(error.to_string());
            }
            InDevice::Made(found) => {
                view.in_device = "made";
                view.address = PublicKey::address(&found.public_key).map(|it| it.to_string());
                view.fingerprint = Some(hex::encode(found.public_key.fingerprint()));
                view.device_ref = found.device_ref.map(|it| it.to_string());
            }
        }
        view
    }
}

/// List keys that were never finished
///
/// On record by their id, without a public half: the process that had them made died, or the device did
/// not answer. Each device is asked what it holds, which may take long.
#[utoipa::path(get, path = "/v1/orphans", tag = "keys", params(Page),
    responses((status = 200, description = "The orphans that you may see", body = Vec<OrphanView>)),
)]
pub(super) async fn list_orphans(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Paged<OrphanView>, Problem> {
    app.ask(&caller, Action::ViewCustody, &Resource::service())
        .map(drop)?;
    let mut orphans = app.keys.orphans().await?;
    orphans.retain(|orphan| {
        let resource = orphan.key.resource();
        app.would(&caller, Action::View, &resource)
    });
    let views = orphans.into_iter().map(OrphanView::from).collect();
    page.of("/v1/orphans", views, |it: &OrphanView| it.key.name.clone())
}

/// Recover a key
///
/// Puts on record what a device made for a process that then died. It signs nothing before it is
/// activated.
#[utoipa::path(post, path = "/v1/keys/{key}/recover", tag = "keys",
    request_body = Justification,
    responses((status = 201, description = "The key, in pre-activation", body = KeyView)),
)]
pub(super) async fn recover_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(recovery, request): Body<Justification>,
) -> Result<Response, Problem> {
    app.rights
        .could(&caller, Action::CreateKey, &Resource::service())?;
    let orphan = visible(&app, &caller, &name).await?;
    let to_come = Resource::service().at(orphan.stake());
    let permit = app.ask(&caller, Action::CreateKey, &to_come)?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let found = app.keys.recover(&orphan, &permit).await?;
        write
            .conclude(&permit, Gate::Shared, async |change| {
                let (id, reason) = (orphan.id, recovery.reason.as_str());
                let keys = &app.keys;
                let key = keys.recovered(id, &found, reason, change).await?;
                Ok(KeyView::from(&key))
            })
            .await
    })
    .await
}
