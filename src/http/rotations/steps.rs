//! The steps of `/v1/rotations/{rotation}`, each one transaction.

use axum::extract::State;
use axum::response::Response;

use super::{Identified, Plain, RotationPosition, RotationReason, movable};
use crate::app::App;
use crate::audit::Batch;
use crate::callers::Caller;
use crate::http::body::Body;
use crate::http::caller::Required;
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::id::RotationId;
use crate::ledger::Gate;
use crate::rotations::client::{Confirmation, Submission};
use crate::rotations::removal::RemovalRequest;
use crate::rotations::{Rotation, RotationError};

/// Record what the counterparty confirmed
///
/// The fingerprint that they quote is compared with the new key's.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/confirm", tag = "rotations",
    request_body = Confirmation,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn confirm_registration(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(confirmation, request): Body<Confirmation>,
) -> Result<Response, Problem> {
    movable(&app, &caller, id).await?;
    let write = Write::new(&app, &caller, &key, request);
    if let Some(earlier) = write.earlier().await? {
        return Ok(earlier);
    }
    app.rotations
        .compare(id, &confirmation.fingerprint, caller.id)
        .await?;
    write
        .conclude(Gate::Shared, async |batch| {
            let rotations = &app.rotations;
            let moved = rotations
                .confirm(id, confirmation.clone(), caller.id, batch)
                .await?;
            Ok(RotationPosition::from(&moved))
        })
        .await
}

/// Record that the public half was sent
///
/// To the counterparty, to be registered for the existing client.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/submit", tag = "rotations",
    request_body = Submission,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn submit_key(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(said, request): Body<Submission>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.submit(id, said.clone(), caller.id, batch).await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Shared, step).await
}

/// Let the new key sign
///
/// In the place of the old one, on every replica, from the answer on.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/switch", tag = "rotations",
    request_body = RotationReason,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn switch_key(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(said, request): Body<RotationReason>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.switch(id, said.reason.clone(), caller.id, batch).await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Exclusive, step).await
}

/// Record that the removal was asked for
///
/// Of the old key; of the new one after a rotation was given up. Name both keys in the request.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/ask-removal", tag = "rotations",
    request_body = RemovalRequest,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn ask_removal(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(said, request): Body<RemovalRequest>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.ask_removal(id, said.clone(), caller.id, batch).await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Shared, step).await
}

/// Record that the removal is proved
///
/// By probes: the key that goes is refused, and after that the one that stays works.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/prove-removal", tag = "rotations",
    request_body = Plain,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn prove_removal(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(Plain {}, request): Body<Plain>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.prove_removal(id, caller.id, batch).await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Exclusive, step).await
}

/// Close a rotation
///
/// The old key is deactivated.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/close", tag = "rotations",
    request_body = RotationReason,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn close_rotation(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(said, request): Body<RotationReason>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.close(id, said.reason.clone(), caller.id, batch).await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Exclusive, step).await
}

/// Abandon a rotation
///
/// Before the switch. A key that was submitted has to be removed by the counterparty all the same.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/abandon", tag = "rotations",
    request_body = RotationReason,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn abandon_rotation(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(said, request): Body<RotationReason>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.abandon(id, said.reason.clone(), caller.id, batch).await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Shared, step).await
}

/// Roll a rotation back
///
/// After the switch, while a probe shows that the counterparty still takes the old key.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/roll-back", tag = "rotations",
    request_body = RotationReason,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn roll_back(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    Required(key): Required,
    Body(said, request): Body<RotationReason>,
) -> Result<Response, Problem> {
    let step = async |batch: &mut Batch| {
        let all = &app.rotations;
        all.roll_back(id, said.reason.clone(), caller.id, batch)
            .await
    };
    let write = Write::new(&app, &caller, &key, request);
    take(&write, id, Gate::Exclusive, step).await
}

/// Takes a step of a rotation that the caller may move.
async fn take(
    write: &Write<'_>,
    id: RotationId,
    gate: Gate,
    step: impl AsyncFnOnce(&mut Batch) -> Result<Rotation, RotationError>,
) -> Result<Response, Problem> {
    movable(write.app, write.caller, id).await?;
    write
        .run(gate, async |batch| {
            Ok(RotationPosition::from(&step(batch).await?))
        })
        .await
}
