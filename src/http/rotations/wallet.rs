//! `/v1/wallets/{wallet}/rotation`: how a wallet is replaced, and `/drain`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;

use crate::http::body::{Body, Named};
use crate::http::caller::Required;
use crate::http::write::{Write, to_its_end};

use crate::app::App;
use crate::audit::Batch;
use crate::callers::Caller;
use crate::clob::api_keys::KeyRequest;
use crate::clob::wallets::Wallet;
use crate::credentials::CredentialNonce;
use crate::http::clob::wallets::visible;
use crate::http::problem::Problem;
use crate::id::{CallerId, RotationId};
use crate::keys::{KeyState, Reason};
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::Action;
use crate::rotations::wallet::{Credentialed, NewProfile, Opening};
use crate::rotations::{Rotation, State as RotationState, Step, Taken};

/// A step of a wallet's rotation.
#[derive(Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum WalletStep {
    /// Have the device make the new key.
    Generate {},
    /// Put the new wallet on record, and activate its key.
    Profile {
        /// The new wallet.
        wallet: NewProfile,
        /// Why the key may be activated: 1 to 500 characters.
        #[schema(value_type = String)]
        reason: Reason,
    },
    /// Make the new wallet's API key.
    Credential {
        /// The nonce, 0 unless it is said.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        nonce: Option<CredentialNonce>,
        /// Do without, for this reason.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        without: Option<Reason>,
    },
    /// Take new orders with the new wallet only.
    CutOver {
        /// Other wallets of the old key, which takes no orders for them either.
        #[serde(default)]
        #[schema(value_type = Vec<String>)]
        stops: Vec<Name>,
        /// Why now: 1 to 500 characters.
        #[schema(value_type = String)]
        reason: Reason,
    },
    /// Cancel what is open at the CLOB, and see that nothing is left.
    Drain {
        /// Instead: why no order is open. It takes a second person.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        said: Option<Reason>,
    },
    /// Delete the old wallet's API key, once nothing is open still.
    DeleteCredential {},
    /// Deactivate the old key, and close the old wallet.
    Close {
        /// Who saw that it holds no balance, position or allowance: 1 to 500 characters.
        #[schema(value_type = String)]
        reason: Reason,
    },
    /// Give up, before the cut-over.
    Abandon {
        /// Why: 1 to 500 characters.
        #[schema(value_type = String)]
        reason: Reason,
    },
    /// Go back to the old wallet, before it is drained.
    RollBack {
        /// Why: 1 to 500 characters.
        #[schema(value_type = String)]
        reason: Reason,
    },
}

/// Where a wallet's rotation stands.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct WalletRotationView {
    #[schema(value_type = String)]
    id: RotationId,
    /// The wallet that is replaced.
    wallet: String,
    /// Its key's state.
    key_state: KeyState,
    /// The new key's name.
    new_key: String,
    /// The wallet that takes its place.
    new_wallet: Option<String>,
    state: RotationState,
    #[serde(with = "time::serde::rfc3339")]
    opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    target_at: OffsetDateTime,
    /// Whether it should have been done by now.
    overdue: bool,
    /// The orders of the old wallet's key that count as open.
    open_orders: i64,
    steps: Vec<WalletStepView>,
    /// The next step; none when it is over.
    next: Option<&'static str>,
    /// What it does, and who waits for whom.
    waits_for: &'static str,
}

/// A step that was taken.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct WalletStepView {
    step: Step,
    to: RotationState,
    #[schema(value_type = String)]
    actor: CallerId,
    actor_name: String,
    approval: String,
    #[schema(value_type = Object)]
    evidence: serde_json::Value,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

impl From<Taken> for WalletStepView {
    fn from(taken: Taken) -> Self {
        Self {
            step: taken.step,
            to: taken.to,
            actor: taken.actor,
            actor_name: taken.actor_name,
            approval: taken.approval,
            evidence: taken.evidence,
            at: taken.at,
        }
    }
}

/// What comes after a state.
fn next(state: RotationState) -> (Option<&'static str>, &'static str) {
    match state {
        RotationState::Requested => (Some("generate"), "the device, which makes the new key"),
        RotationState::Generated => (
            Some("profile"),
            "an operator: name the new wallet; its key is activated",
        ),
        RotationState::Profiled => (Some("credential"), "the CLOB, which makes an API key"),
        RotationState::Credentialed => (
            Some("cut-over"),
            "the treasurer: fund and approve the new wallet; try it with a small order; then cut over",
        ),
        RotationState::CutOver => (
            Some("drain"),
            "the CLOB: all orders of the old wallet are cancelled; or go back with roll-back",
        ),
        RotationState::Drained => (
            Some("delete-credential"),
            "the CLOB, which deletes the old wallet's API key",
        ),
        RotationState::CredentialDeleted => (
            Some("close"),
            "the treasurer: revoke allowances, move what is left, and say who looked",
        ),
        RotationState::Closed => (None, "nobody: it is done. Its key can be destroyed"),
        RotationState::Abandoned | RotationState::RolledBack => (
            None,
            "nobody: the old wallet stays. The new key can be destroyed",
        ),
        RotationState::Submitted
        | RotationState::Registered
        | RotationState::Switched
        | RotationState::RemovalAsked
        | RotationState::RemovalProved => (None, "nobody: a wallet's rotation is never here"),
    }
}

async fn view(
    app: &App,
    wallet: &Wallet,
    rotation: &Rotation,
    steps: Vec<Taken>,
) -> Result<WalletRotationView, Problem> {
    let key = app.keys.show(&wallet.key.name).await?;
    let successor = app.wallet_rotations.successor(rotation).await?;
    let open = app.drains.open_orders(&key).await?;
    let (next, waits_for) = next(rotation.state);
    Ok(WalletRotationView {
        id: rotation.id,
        wallet: wallet.name.to_string(),
        key_state: key.state,
        new_key: rotation.ordered.name.to_string(),
        new_wallet: successor.map(|it| it.name.to_string()),
        state: rotation.state,
        opened_at: rotation.opened_at,
        target_at: rotation.target_at,
        overdue: rotation.state.is_open() && rotation.target_at < app.clock.now(),
        open_orders: open.iter().map(|it| it.count).sum(),
        steps: steps.into_iter().map(WalletStepView::from).collect(),
        next,
        waits_for,
    })
}

/// Show a wallet's rotation
///
/// The latest one: where it stands, what is next, who waits for whom, and each step with its evidence.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/rotation", tag = "rotations",
    responses((status = 200, description = "Where it stands", body = WalletRotationView)),
)]
pub(super) async fn show_wallet_rotation(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<WalletRotationView>, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    let rotation = app.wallet_rotations.of(&wallet).await?;
    let steps = app.rotations.steps(rotation.id).await?;
    Ok(Json(view(&app, &wallet, &rotation, steps).await?))
}

/// Where a rotation is after a step.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct WalletMoved {
    #[schema(value_type = String)]
    id: RotationId,
    state: RotationState,
    /// The next step; none when it is over.
    next: Option<&'static str>,
    /// What it does, and who waits for whom.
    waits_for: &'static str,
}

impl From<Rotation> for WalletMoved {
    fn from(rotation: Rotation) -> Self {
        let (next, waits_for) = next(rotation.state);
        Self {
            id: rotation.id,
            state: rotation.state,
            next,
            waits_for,
        }
    }
}

/// Open a wallet's rotation
///
/// A new key is a new wallet: it is made, profiled and given an API key; then it takes the orders, and
/// the old one is drained and closed.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/rotation", tag = "rotations",
    request_body = Opening,
    responses((status = 201, description = "The rotation", body = WalletMoved)),
)]
pub(super) async fn open_wallet_rotation(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Required(key): Required,
    Body(opening, request): Body<Opening>,
) -> Result<Response, Problem> {
    let wallet = rotatable(&app, &caller, &name).await?;
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(Gate::Shared, async |batch| {
            let opened = app
                .wallet_rotations
                .open(&wallet, &opening, caller.id, batch);
            Ok(WalletMoved::from(opened.await?))
        })
        .await
}

/// Take a step of a wallet's rotation
///
/// Each step can be repeated after a crash: what the device or the CLOB did already is found, and not
/// done twice.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/rotation/steps", tag = "rotations",
    request_body = WalletStep,
    responses((status = 201, description = "Where it is now", body = WalletMoved)),
)]
pub(super) async fn step_wallet_rotation(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Required(key): Required,
    Body(step, request): Body<WalletStep>,
) -> Result<Response, Problem> {
    let wallet = rotatable(&app, &caller, &name).await?;
    let tasks = app.tasks.clone();
    // Devices and the CLOB may take longer than a caller waits: what was begun is recorded even so.
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier().await? {
            return Ok(earlier);
        }
        let rotation = app.wallet_rotations.of(&wallet).await?;
        take(&write, &wallet, &rotation, step).await
    })
    .await
}

async fn take(
    write: &Write<'_>,
    wallet: &Wallet,
    rotation: &Rotation,
    step: WalletStep,
) -> Result<Response, Problem> {
    let (app, actor) = (write.app, write.caller.id);
    let (id, all) = (rotation.id, &app.wallet_rotations);
    let taken = match step {
        WalletStep::Generate {} => {
            let made = all.generate(id, actor).await?;
            let record = async |batch: &mut Batch| {
                let moved = all.generated(id, &made, actor, batch).await?;
                Ok(WalletMoved::from(moved))
            };
            write.conclude(Gate::Shared, record).await
        }
        WalletStep::Profile {
            wallet: new,
            reason,
        } => {
            let change = async |batch: &mut Batch| {
                let moved = all.profile((id, wallet), &new, &reason, actor, batch);
                Ok(WalletMoved::from(moved.await?))
            };
            write.conclude(Gate::Exclusive, change).await
        }
        WalletStep::Credential { nonce, without } => {
            let credential = credential(write, rotation, nonce, without).await?;
            let record = async |batch: &mut Batch| {
                let moved = all.credentialed(id, &credential, actor, batch).await?;
                Ok(WalletMoved::from(moved))
            };
            write.conclude(Gate::Shared, record).await
        }
        WalletStep::CutOver { stops, reason } => {
            let change = async |batch: &mut Batch| {
                let moved = all.cut_over((id, wallet), &stops, &reason, actor, batch);
                Ok(WalletMoved::from(moved.await?))
            };
            write.conclude(Gate::Exclusive, change).await
        }
        WalletStep::Drain { said } => {
            takes(rotation, Step::Drain)?;
            let proven = all.prove_drained(&wish(write, wallet), said).await?;
            let record = async |batch: &mut Batch| {
                let moved = all.drained((id, wallet), &proven, actor, batch).await?;
                Ok(WalletMoved::from(moved))
            };
            write.conclude(Gate::Exclusive, record).await
        }
        WalletStep::DeleteCredential {} => {
            takes(rotation, Step::DeleteCredential)?;
            let wish = wish(write, wallet);
            let proven = all.delete_credentials(&wish).await?;
            let record = async |batch: &mut Batch| {
                let moved = all.credentials_deleted((id, &wish), proven.as_ref(), actor, batch);
                Ok(WalletMoved::from(moved.await?))
            };
            write.conclude(Gate::Shared, record).await
        }
        WalletStep::Close { reason } => {
            let change = async |batch: &mut Batch| {
                let moved = all.close((id, wallet), &reason, actor, batch).await?;
                Ok(WalletMoved::from(moved))
            };
            write.conclude(Gate::Exclusive, change).await
        }
        WalletStep::Abandon { reason } => {
            let change = async |batch: &mut Batch| {
                let moved = all.abandon(id, &reason, actor, batch).await?;
                Ok(WalletMoved::from(moved))
            };
            write.conclude(Gate::Exclusive, change).await
        }
        WalletStep::RollBack { reason } => {
            let change = async |batch: &mut Batch| {
                let moved = all.roll_back((id, wallet), &reason, actor, batch).await?;
                Ok(WalletMoved::from(moved))
            };
            write.conclude(Gate::Exclusive, change).await
        }
    };
    app.vault.forget_all(); // what is open for a key that was moved stays open nowhere here
    taken
}

/// Before the CLOB is asked for anything.
fn takes(rotation: &Rotation, step: Step) -> Result<(), Problem> {
    let takes = rotation.state.takes(rotation.kind, step);
    takes.map(drop).map_err(|error| {
        let error: crate::rotations::RotationError = error.into();
        error.into()
    })
}

async fn credential(
    write: &Write<'_>,
    rotation: &Rotation,
    nonce: Option<CredentialNonce>,
    without: Option<Reason>,
) -> Result<Credentialed, Problem> {
    takes(rotation, Step::Credential)?;
    if let Some(reason) = without {
        return Ok(Credentialed::Without(reason));
    }
    let all = &write.app.wallet_rotations;
    let new = all.successor(rotation).await?;
    let new = new.ok_or_else(|| Problem::not_found("wallet"))?;
    let nonce = nonce.unwrap_or(CredentialNonce(0));
    Ok(all.make_credential(&wish(write, &new), nonce).await?)
}

/// The calls to the CLOB come with the right to rotate.
fn wish(write: &Write<'_>, wallet: &Wallet) -> KeyRequest {
    KeyRequest {
        caller: write.caller.clone(),
        wallet: wallet.clone(),
        right: Action::RotateKey,
        request: write.request,
    }
}

/// The wallet of a path, for a caller who may rotate it.
async fn rotatable(app: &App, caller: &Caller, name: &Name) -> Result<Wallet, Problem> {
    let wallet = visible(app, caller, name).await?;
    app.signer
        .may(caller, Action::RotateKey, &wallet.resource())?;
    Ok(wallet)
}

/// That no order of a wallet is open.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainRequest {
    /// Why no order is open, where the CLOB cannot be asked: 1 to 500 characters. It takes a second
    /// person.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    said: Option<Reason>,
}

/// A drain on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DrainView {
    /// How it was shown, since when it holds, and on what it stands.
    #[schema(value_type = Object)]
    drain: serde_json::Value,
}

/// Drain a wallet
///
/// Cancels all orders of its address at the CLOB and sees that none is listed, twice; or takes your word
/// for it. For a key that signs no orders any more, whether it is being replaced or stopped.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/drain", tag = "wallets",
    request_body = DrainRequest,
    responses((status = 201, description = "What was seen", body = DrainView)),
)]
pub(super) async fn drain_wallet(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Required(key): Required,
    Body(wanted, request): Body<DrainRequest>,
) -> Result<Response, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    app.signer
        .may(&caller, Action::DrainWallet, &wallet.resource())?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier().await? {
            return Ok(earlier);
        }
        let wish = KeyRequest {
            right: Action::DrainWallet,
            ..wish(&write, &wallet)
        };
        let proven = app.drains.prove(&wish, wanted.said).await?;
        write
            .conclude(Gate::Shared, async |batch| {
                let recorded = app.drains.record(&wallet, &proven, caller.id, batch);
                let drain = recorded.await?;
                Ok(DrainView { drain })
            })
            .await
    })
    .await
}
