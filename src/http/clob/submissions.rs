//! What the relayer is asked to carry out: `/v1/wallets/{wallet}/operations/{operation}/submission`, `/deployment`,
//! `/submissions`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use time::OffsetDateTime;
use uuid::Uuid;

use super::wallets::{permitted, permitted_to_empty, visible};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::operation::deployment_stake;
use crate::clob::relayer::records::Kind;
use crate::clob::relayer::{Progress, Signed, State as How, Submission, SubmissionRequest};
use crate::clob::wallets::Wallet;
use crate::ethereum::eip712::Bytes32;
use crate::halts::Winding;
use crate::http::body::{Body, Named, NoDetails};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::id::IntentId;
use crate::idempotency::{Key, RequestDigest};
use crate::ledger::Gate;
use crate::name::Name;
use crate::policy::{Action, Deed, Permit};

/// Something that the relayer was asked to carry out.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubmissionView {
    /// The operation's id; the wallet's where that is what is made.
    id: Uuid,
    kind: Kind,
    nonce: Option<String>,
    /// How it stands: `refused` and `unclear` may be asked for again, which sends the same text.
    state: How,
    /// How often it was sent.
    tries: i32,
    /// What the relayer calls it.
    #[serde(rename = "transactionID")]
    transaction_id: Option<String>,
    /// How far that is.
    progress: Option<Progress>,
    #[schema(value_type = Option<String>)]
    transaction_hash: Option<Bytes32>,
    /// Why it was not taken, or is not over.
    trouble: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    changed_at: OffsetDateTime,
}

impl From<Submission> for SubmissionView {
    fn from(it: Submission) -> Self {
        Self {
            id: it.id,
            kind: it.kind,
            nonce: it.turn.map(|(_, nonce)| nonce.to_string()),
            state: it.state,
            tries: it.tries,
            transaction_id: it.transaction_id,
            progress: it.progress,
            transaction_hash: it.transaction_hash.map(Bytes32),
            trouble: it.trouble,
            changed_at: it.changed_at,
        }
    }
}

/// List what the relayer was asked for
///
/// Of a wallet, the newest first, 100 at most.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/submissions", tag = "operations",
    responses((status = 200, description = "What it was asked for", body = Vec<SubmissionView>)),
)]
pub(super) async fn list_submissions(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Vec<SubmissionView>>, Problem> {
    let wallet = visible(&app, &caller, &name).await?;
    app.ask(&caller, Action::ViewSignatures, &wallet.resource())
        .map(drop)?;
    let all = app.submissions.list(&wallet).await?;
    Ok(Json(all.into_iter().map(SubmissionView::from).collect()))
}

/// Submit an operation
///
/// Hands what was signed to the relayer, in the text in which it was released, or looks how far it is there. Nothing is
/// signed anew: after a lost answer the relayer is asked first whether it has it. It is followed by itself afterwards.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/operations/{operation}/submission", tag = "operations",
    request_body = NoDetails,
    responses((status = 201, description = "How it stands", body = SubmissionView)),
)]
pub(super) async fn submit_operation(
    State(app): State<App>,
    caller: Caller,
    Path((wallet, operation)): Path<(String, String)>,
    RequiredKey(key): RequiredKey,
    Body(NoDetails {}, request): Body<NoDetails>,
) -> Result<Response, Problem> {
    let name: Name = wallet.parse().map_err(|_| Problem::not_found("wallet"))?;
    let wallet = permitted_to_empty(&app, &caller, Action::SubmitOperation, &name).await?;
    let wallet = app.wallets.now(&wallet).await?; // no door looks at it again
    let id: IntentId = operation
        .parse()
        .map_err(|_| Problem::not_found("operation"))?;
    let signed = app.submissions.released(&caller, &wallet, id).await?;
    let winds = signed.is_rescue.then_some(Winding::Empty);
    let deed = Deed::new(Action::SubmitOperation, wallet.resource()).winding(winds);
    let permit = app.rights.permit(&caller, deed)?;
    let wallet = (*wallet).clone();
    submit(app, caller, (key, request), (wallet, permit), signed).await
}

/// Have a deposit wallet made
///
/// Asks the relayer, on the word of the builder's API key: nothing is signed for it. Where the wallet is there already
/// the relayer says so.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/deployment", tag = "operations",
    request_body = NoDetails,
    responses((status = 201, description = "How it stands", body = SubmissionView)),
)]
pub(super) async fn deploy_wallet(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(key): RequiredKey,
    Body(NoDetails {}, request): Body<NoDetails>,
) -> Result<Response, Problem> {
    let (wallet, permit) = permitted(&app, &caller, Action::SubmitOperation, &name).await?;
    let resource = wallet.resource().at(deployment_stake());
    app.ask(&caller, Action::DeployWallet, &resource)
        .map(drop)?;
    let signed = Signed::deployment(&wallet)?;
    submit(app, caller, (key, request), (wallet, permit), signed).await
}

async fn submit(
    app: App,
    caller: Caller,
    (key, request): (Key, RequestDigest),
    (wallet, permit): (Wallet, Permit),
    signed: Signed,
) -> Result<Response, Problem> {
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &key, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let wish = SubmissionRequest {
            caller: caller.clone(),
            permit: permit.clone(),
            request,
            wallet,
            signed,
        };
        let done = SubmissionView::from(app.submissions.submit(&wish).await?);
        write
            .conclude(&permit, Gate::Shared, async |_| Ok(done))
            .await
    })
    .await
}
