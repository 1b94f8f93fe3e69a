//! Wallet operations on record: `GET /v1/wallets/{wallet}/operations`, and what became of one.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use time::OffsetDateTime;

use super::wallets::{permitted, visible};
use crate::app::App;
use crate::callers::Caller;
use crate::clob::wallets::Wallet;
use crate::ethereum::Address;
use crate::ethereum::eip712::Bytes32;
use crate::http::body::{Body, Named, Params};
use crate::http::caller::RequiredKey;
use crate::http::problem::{self, Problem};
use crate::http::signatures::{SignatureView, find};
use crate::http::write::Write;
use crate::id::IntentId;
use crate::keys::Reason;
use crate::ledger::Gate;
use crate::name::Name;
use crate::operations::{Amount, Counter, PlanKind, State as OperationState, records};
use crate::policy::Action;
use crate::signing::signatures::By;

/// An operation on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationView {
    /// The signature's id, under which GET /v1/signatures/{signature} has it too.
    #[schema(value_type = String)]
    id: IntentId,
    kind: PlanKind,
    #[schema(value_type = u64)]
    chain_id: u64,
    /// What counts its nonce.
    #[schema(value_type = String)]
    counter: Counter,
    /// Whose nonce it is.
    #[schema(value_type = String)]
    counted: Address,
    nonce: String,
    /// What became of it.
    state: OperationState,
    /// Whom it pays.
    #[schema(value_type = Option<String>)]
    recipient: Option<Address>,
    /// What leaves, in units of 10⁻⁶.
    outflow: String,
    /// The one that it is to replace.
    #[schema(value_type = Option<String>)]
    replaces: Option<IntentId>,
    /// The transaction that carried it out.
    #[schema(value_type = Option<String>)]
    transaction_hash: Option<Bytes32>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    settled_at: Option<OffsetDateTime>,
}

impl From<records::Operation> for OperationView {
    fn from(it: records::Operation) -> Self {
        Self {
            id: it.id,
            kind: it.kind,
            chain_id: it.turn.chain_id,
            counter: it.turn.counter,
            counted: it.turn.address,
            nonce: it.turn.nonce.to_string(),
            state: it.state,
            recipient: it.recipient,
            outflow: it.outflow.to_string(),
            replaces: it.replaces,
            transaction_hash: it.transaction_hash.map(Bytes32),
            expires_at: it.expires_at,
            at: it.at,
            settled_at: it.settled_at,
        }
    }
}

/// Which operations; everything that is not said fits.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct OperationSearch {
    /// With this nonce.
    #[param(value_type = Option<String>)]
    nonce: Option<Amount>,
    /// Carried out by this transaction.
    #[param(value_type = Option<String>)]
    transaction_hash: Option<Bytes32>,
    /// Paying this address.
    #[param(value_type = Option<String>)]
    recipient: Option<Address>,
    /// In this state.
    #[param(inline)]
    state: Option<OperationState>,
    /// Older than the one with this id.
    #[param(value_type = Option<String>)]
    before: Option<IntentId>,
}

/// List a wallet's operations
///
/// The newest first, 100 at most: `before` has the rest.
#[utoipa::path(get, path = "/v1/wallets/{wallet}/operations", tag = "operations", params(OperationSearch),
    responses((status = 200, description = "Those that you may see", body = Vec<OperationView>)),
)]
pub(super) async fn list_operations(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    Params(search): Params<OperationSearch>,
) -> Result<Json<Vec<OperationView>>, Problem> {
    app.count_look_up(&caller, Action::ViewSignatures).await?;
    let wallet = visible(&app, &caller, &name).await?;
    let filter = records::Filter {
        wallet: Some(wallet.id),
        id: None,
        nonce: search.nonce.map(|it| it.0),
        transaction_hash: search.transaction_hash.map(|it| it.0),
        recipient: search.recipient,
        state: search.state,
        before: search.before.map(IntentId::uuid),
    };
    let mut found = records::find(&filter, &app.ledger).await?;
    if !app.would(&caller, Action::ViewSignatures, &wallet.resource()) {
        found.retain(|it| it.caller == caller.id);
    }
    Ok(Json(found.into_iter().map(OperationView::from).collect()))
}

/// An operation, and what was signed.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct OperationDetails {
    #[serde(flatten)]
    operation: OperationView,
    /// The decoded calls are in its record; its answer is what is sent.
    signature: SignatureView,
}

/// Show an operation
#[utoipa::path(get, path = "/v1/wallets/{wallet}/operations/{operation}", tag = "operations",
    responses((status = 200, description = "The operation", body = OperationDetails)),
)]
pub(super) async fn show_operation(
    State(app): State<App>,
    caller: Caller,
    Path((wallet, id)): Path<(String, String)>,
) -> Result<Json<OperationDetails>, Problem> {
    let wallet = visible(&app, &caller, &named(&wallet)?).await?;
    let operation = one(&app, &wallet, &id).await?;
    let signature = find(&app, &caller, &By::Id(operation.id)).await?;
    let signature = signature.into_iter().next().ok_or_else(missing)?;
    Ok(Json(OperationDetails {
        operation: operation.into(),
        signature,
    }))
}

fn missing() -> Problem {
    Problem::not_found("operation")
}

fn named(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|_| Problem::not_found("wallet"))
}

async fn one(app: &App, wallet: &Wallet, id: &str) -> Result<records::Operation, Problem> {
    let filter = records::Filter {
        wallet: Some(wallet.id),
        id: Some(id.parse().map_err(|_| missing())?),
        ..records::Filter::default()
    };
    let found = records::find(&filter, &app.ledger).await?;
    found.into_iter().next().ok_or_else(missing)
}

/// What became of an operation.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "callers call it that, too")]
pub(super) struct Outcome {
    /// `executed`, or `dead`: it can happen no more, which takes a second person.
    outcome: OperationState,
    /// Who looked, and where: 1 to 500 characters.
    #[schema(value_type = String, example = "receipt of 0x9792… in block 71234567, looked up by ann")]
    evidence: Reason,
    /// The transaction that carried it out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    transaction_hash: Option<Bytes32>,
    /// The nonce that is the next one by now.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    next_nonce: Option<Amount>,
}

/// Say what became of an operation
///
/// Until then nothing that pays the same is signed for another nonce. That it can happen no more is shown by a nonce that
/// something else spent, or by a deadline that is over while the nonce is not spent; the service cannot see the chain, so
/// a second person agrees.
#[utoipa::path(post, path = "/v1/wallets/{wallet}/operations/{operation}/outcome", tag = "operations",
    request_body = Outcome,
    responses((status = 201, description = "The operation", body = OperationView)),
)]
pub(super) async fn settle_operation(
    State(app): State<App>,
    caller: Caller,
    Path((wallet, id)): Path<(String, String)>,
    RequiredKey(key): RequiredKey,
    Body(said, request): Body<Outcome>,
) -> Result<Response, Problem> {
    let (wallet, permit) =
        permitted(&app, &caller, Action::SettleOperation, &named(&wallet)?).await?;
    let operation = one(&app, &wallet, &id).await?;
    let is_dead = match said.outcome {
        OperationState::Dead => true,
        OperationState::Executed => false,
        _ => {
            let why = "outcome: executed or dead";
            return Err(Problem::new(&problem::INVALID_FIELD, why));
        }
    };
    let settlement = records::Settlement {
        state: said.outcome,
        transaction_hash: said.transaction_hash.map(|it| it.0),
        next_nonce: said.next_nonce.map(|it| it.0),
    };
    let write = Write::new(&app, &caller, &key, request);
    write
        .run(&permit, Gate::Shared, async |change| {
            let details = json!({
                "wallet": wallet.name, "operation": operation.id, "nonce": operation.turn.nonce.to_string(),
                "outcome": said.outcome, "evidence": said.evidence, "transactionHash": said.transaction_hash,
                "nextNonce": said.next_nonce,
            });
            if is_dead {
                let approval = change.loosen();
                change.note_as(approval, "settle-operation", operation.id, &details);
            } else {
                change.note("settle-operation", operation.id, &details);
            }
            if !records::settle(operation.id, &settlement, change.tx()).await? {
                let why = format!("the operation is {}", operation.state);
                return Err(Problem::new(&problem::OPERATION_SETTLED, why));
            }
            Ok(OperationView {
                state: said.outcome,
                transaction_hash: said.transaction_hash,
                settled_at: Some(change.now()),
                ..OperationView::from(operation.clone())
            })
        })
        .await
}
