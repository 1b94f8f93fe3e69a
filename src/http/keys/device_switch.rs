//! `/v1/keys/{key}/device-switch`: whether a device itself uses a key.

use axum::extract::State;
use axum::response::Response;

use super::{may_step, permitted};
use crate::app::App;
use crate::callers::Caller;
use crate::http::body::{Body, Named};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::keys::{DeviceSwitch, KeyError, KeyState};
use crate::ledger::Gate;
use crate::policy::Action;

/// What a device was told of a key.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DeviceSwitchView {
    name: String,
    /// The `[custody.NAME]` section of its device.
    backend: String,
    /// The key's state here, which does not change by this.
    state: KeyState,
    /// Whether the device uses the key.
    enabled: bool,
}

/// Disable or enable a key in its device
///
/// For devices with such a switch (AWS KMS). A key that is suspended, deactivated or compromised is
/// disabled by whoever may suspend keys; enabling one loosens, and takes the right to activate it. The
/// key's state here stays.
#[utoipa::path(post, path = "/v1/keys/{key}/device-switch", tag = "keys",
    request_body = DeviceSwitch,
    responses((status = 201, description = "What the device was told", body = DeviceSwitchView)),
)]
pub(super) async fn switch_in_device(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(switch, request): Body<DeviceSwitch>,
) -> Result<Response, Problem> {
    let (seen, view) = permitted(&app, &caller, Action::View, &name).await?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&view).await? {
            return Ok(earlier);
        }
        let (from, enabled) = (seen.state, switch.enabled);
        let like = from.switched(enabled);
        let like = like.ok_or(KeyError::NotSwitched { from, enabled })?;
        let permit = may_step(&app, &caller, &seen, like)?;
        let told = app.keys.switch(&seen, &switch, &permit).await?;
        write
            .conclude(&permit, Gate::Shared, async |change| {
                app.keys.switched(&seen, &switch, &told, change)?;
                Ok(DeviceSwitchView {
                    name: seen.name.to_string(),
                    backend: seen.backend.to_string(),
                    state: seen.state,
                    enabled,
                })
            })
            .await
    })
    .await
}
