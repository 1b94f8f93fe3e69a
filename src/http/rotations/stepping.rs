//! `POST /v1/rotations/{rotation}/steps`

use axum::extract::State;
use axum::response::Response;
use serde_json::value::RawValue;

use super::views::RotationPosition;
use super::{Identified, Subject, permitted};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::wallets::Wallet;
use crate::http::body::{Body, typed};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::id::RotationId;
use crate::policy::{Action, Permit};
use crate::rotations::Rotation;
use crate::rotations::steps::{ClientStep, NewStep, WalletStep};

/// Take a step of a rotation
///
/// Each step can be repeated after a lost answer or a crash: what the device, the counterparty or the CLOB
/// did already is found, and not done twice. The rotation's status says which step is next, and what is
/// missing before it.
#[utoipa::path(post, path = "/v1/rotations/{rotation}/steps", tag = "rotations",
    request_body = NewStep,
    responses((status = 201, description = "Where the rotation is", body = RotationPosition)),
)]
pub(super) async fn step_rotation(
    State(app): State<App>,
    caller: Caller,
    Identified(id): Identified,
    RequiredKey(key): RequiredKey,
    Body(step, request): Body<Box<RawValue>>,
) -> Result<Response, Problem> {
    let (rotation, subject, seen) = permitted(&app, &caller, Action::View, id).await?;
    let step = match subject {
        Subject::Client(_) => NewStep::Client(typed(step.get().as_bytes())?),
        Subject::Wallet(_) => NewStep::Wallet(typed(step.get().as_bytes())?),
    };
    // To probe takes a right of its own, which is looked at where the key is.
    let permit = match step {
        NewStep::Client(ClientStep::Probe { .. }) => seen,
        _ => app.ask(&caller, Action::RotateKey, &subject.resource())?,
    };
    // Devices and counterparties may take longer than a caller waits: what was begun is recorded even so.
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        match (subject, step) {
            (Subject::Wallet(wallet), NewStep::Wallet(step)) => {
                step_wallet(&write, &permit, (&rotation, &wallet), step).await
            }
            (_, NewStep::Client(step)) => step_client(&write, &permit, id, step).await,
            (Subject::Client(_), NewStep::Wallet(_)) => Err(Problem::not_found("step")),
        }
    })
    .await
}

async fn step_client(
    write: &Write<'_>,
    permit: &Permit,
    id: RotationId,
    step: ClientStep,
) -> Result<Response, Problem> {
    let (all, caller) = (&write.app.rotations, write.caller);
    let by = (caller, permit);
    let prepared = all.prepare(id, &step, by, write.request).await?;
    let advance = async |change: &mut _| {
        let advanced = all.advance(id, step.clone(), &prepared, change);
        Ok(RotationPosition::from(advanced.await?))
    };
    write.conclude(permit, step.gate(), advance).await
}

async fn step_wallet(
    write: &Write<'_>,
    permit: &Permit,
    (rotation, wallet): (&Rotation, &Wallet),
    step: WalletStep,
) -> Result<Response, Problem> {
    let (all, caller) = (&write.app.wallet_rotations, write.caller);
    let by = (caller, permit);
    let prepared = all
        .prepare(rotation, wallet, &step, by, write.request)
        .await?;
    let advance = async |change: &mut _| {
        let of = (rotation.id, wallet);
        let moved = all.advance(of, &step, &prepared, change).await?;
        Ok(RotationPosition::from(&moved))
    };
    let taken = write.conclude(permit, step.gate(), advance).await;
    write.app.vault.forget_all(); // what is open for a key that was moved stays open nowhere here
    taken
}
