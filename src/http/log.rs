//! `/v1/log`: the tree over the audit log, for those who prove and verify.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Params;
use super::problem::{self, Problem};
use super::signatures::visible;
use crate::app::App;
use crate::audit::Leaf;
use crate::callers::Caller;
use crate::evidence::EvidenceError;
use crate::id::IntentId;
use crate::policy::{Action, Resource};
use crate::signing::signatures::By;
use crate::tlog::Checkpoint;

/// What is at the API's paths for it.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show_log))
        .routes(routes!(show_consistency))
        .routes(routes!(list_leaves))
        .routes(routes!(show_leaf))
        .routes(routes!(prove_signature))
}

/// The log, and how far it is published.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct LogView {
    /// Its name in checkpoints.
    origin: String,
    /// The key by which checkpoints are verified, as C2SP `signed-note` writes it. Keep a copy of your own.
    key: String,
    /// How many leaves the newest published checkpoint covers.
    size: Option<u64>,
    /// The newest published checkpoint: a signed note (C2SP `tlog-checkpoint`).
    checkpoint: Option<String>,
    /// Why what was written last has no published checkpoint in time; null while it has.
    late: Option<String>,
}

/// The hashes of a proof, in base64.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ConsistencyView {
    /// The proof of RFC 6962, 2.1.2.
    hashes: Vec<String>,
}

/// Two sizes of the log.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Sizes {
    /// The smaller one.
    from: u64,
    /// The larger one.
    to: u64,
}

/// A stretch of the log.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Stretch {
    /// The first index.
    #[serde(default)]
    from: u64,
    /// How many at most, 1 to 1,000; 1,000 unless it is said.
    limit: Option<u16>,
}

/// A leaf in its place.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct LeafView {
    /// Its place in the tree.
    index: u64,
    /// Its bytes, in base64: deterministic CBOR. `SHA-256(0x00 ‖ bytes)` is its hash in the tree.
    leaf: String,
}

/// A leaf, what it says, and its proof.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct LeafProofView {
    /// Its place in the tree.
    index: u64,
    /// `intent`, `released`, `refused`, `abandoned`, `denied`, `admin`, `token`, ….
    kind: &'static str,
    /// Its bytes, in base64: deterministic CBOR.
    leaf: String,
    /// The leaf as people read it; null where it was written by a version that this one does not know.
    #[schema(value_type = Object)]
    event: Option<Value>,
    /// A proof that the leaf is in the log (C2SP `tlog-proof`), with the leaf as its extra data; null until a
    /// checkpoint covers it, which takes seconds.
    proof: Option<String>,
    /// All leaves about the same signature, where it is about one.
    same_signature: Vec<PlaceView>,
}

/// Where a leaf is.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct PlaceView {
    /// Its place in the tree; null: it gets one in a moment.
    index: Option<u64>,
    /// What kind of leaf.
    kind: &'static str,
}

/// A leaf about a signature, and its proof.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ProofView {
    /// `intent`: what was to be signed; else how it ended: `released`, `refused` or `abandoned`.
    kind: &'static str,
    /// The leaf's bytes, in base64.
    leaf: String,
    /// A proof that the leaf is in the log (C2SP `tlog-proof`), with the leaf as its extra data; null until a
    /// checkpoint covers it, which takes seconds.
    proof: Option<String>,
}

fn may_view(app: &App, caller: &Caller) -> Result<(), Problem> {
    let _permit = app.ask(caller, Action::ViewLog, &Resource::service())?;
    Ok(())
}

/// Show the log
///
/// Its name, its key, and the newest checkpoint that is published.
#[utoipa::path(get, path = "/v1/log", tag = "log",
    responses((status = 200, description = "The log", body = LogView)),
)]
pub(super) async fn show_log(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<LogView>, Problem> {
    may_view(&app, &caller)?;
    let evidence = &app.evidence;
    let newest = evidence.newest();
    let checkpoint = newest
        .as_ref()
        .and_then(|note| Checkpoint::signed(note, evidence.key()).ok());
    Ok(Json(LogView {
        origin: evidence.key().name().to_owned(),
        key: evidence.key().to_string(),
        size: checkpoint.map(|it| it.size),
        checkpoint: newest.map(|note| note.to_string()),
        late: evidence.lateness().err().map(|late| late.to_string()),
    }))
}

/// Prove that the log grew
///
/// The hashes that show that the log at one size begins with the log at a smaller one.
#[utoipa::path(get, path = "/v1/log/consistency", tag = "log",
    params(Sizes),
    responses((status = 200, description = "The proof", body = ConsistencyView)),
)]
pub(super) async fn show_consistency(
    State(app): State<App>,
    caller: Caller,
    Params(Sizes { from, to }): Params<Sizes>,
) -> Result<Json<ConsistencyView>, Problem> {
    may_view(&app, &caller)?;
    let hashes = app.evidence.consistency(from, to).await?;
    let hashes = hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(Json(ConsistencyView { hashes }))
}

/// List leaves
///
/// In the order of the tree, a stretch at a time.
#[utoipa::path(get, path = "/v1/log/leaves", tag = "log",
    params(Stretch),
    responses((status = 200, description = "Those that have a place in the tree", body = Vec<LeafView>)),
)]
pub(super) async fn list_leaves(
    State(app): State<App>,
    caller: Caller,
    Params(Stretch { from, limit }): Params<Stretch>,
) -> Result<Json<Vec<LeafView>>, Problem> {
    may_view(&app, &caller)?;
    let limit = limit.unwrap_or(1_000);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::new(&problem::MALFORMED_QUERY, "limit: 1 to 1000"));
    }
    let leaves = app.evidence.leaves(from, limit).await?;
    let views = leaves.into_iter().map(|(index, leaf)| LeafView {
        index,
        leaf: STANDARD.encode(leaf),
    });
    Ok(Json(views.collect()))
}

/// Show a leaf
///
/// What it says, and a proof that it is in the log, which verifies offline, with the log's key, for ever.
#[utoipa::path(get, path = "/v1/log/leaves/{leaf}", tag = "log",
    responses((status = 200, description = "The leaf", body = LeafProofView)),
)]
pub(super) async fn show_leaf(
    State(app): State<App>,
    caller: Caller,
    Path(index): Path<String>,
) -> Result<Json<LeafProofView>, Problem> {
    may_view(&app, &caller)?;
    let missing = || Problem::not_found("leaf");
    let index: u64 = index.parse().map_err(|_| missing())?;
    let found = app.evidence.prove_leaf(index).await?;
    let found = found.ok_or_else(missing)?;
    let leaf = Leaf::from_bytes(&found.bytes);
    let signature = leaf.as_ref().and_then(Leaf::signature);
    let same = match signature {
        Some(signature) => app.evidence.prove(signature).await?,
        None => Vec::new(),
    };
    let same = same.into_iter().map(|it| PlaceView {
        index: it.index,
        kind: it.kind,
    });
    Ok(Json(LeafProofView {
        index,
        kind: found.kind,
        leaf: STANDARD.encode(&found.bytes),
        event: leaf.map(|it| it.for_people()),
        proof: found.proof.map(|proof| proof.to_string()),
        same_signature: same.collect(),
    }))
}

/// Prove a signature
///
/// That what was to be signed, and how it ended, is in the log: proofs that verify offline, with the log's
/// key, for ever.
#[utoipa::path(get, path = "/v1/signatures/{signature}/proofs", tag = "log",
    responses((status = 200, description = "The leaves, each with its proof", body = Vec<ProofView>)),
)]
pub(super) async fn prove_signature(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<ProofView>>, Problem> {
    let missing = || Problem::not_found("signature");
    let id: IntentId = id.parse().map_err(|_| missing())?;
    let seen = visible(&app, &caller, &By::Id(id)).await?;
    if seen.is_empty() {
        return Err(missing());
    }
    let proved = app.evidence.prove(id.uuid()).await?;
    let views = proved.into_iter().map(|it| ProofView {
        kind: it.kind,
        leaf: STANDARD.encode(&it.bytes),
        proof: it.proof.map(|proof| proof.to_string()),
    });
    Ok(Json(views.collect()))
}

impl From<EvidenceError> for Problem {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Beyond(_) => Self::new(&problem::MALFORMED_QUERY, error),
            EvidenceError::Ledger(error) => error.into(),
            EvidenceError::Tampered(_) => Self::new(&problem::EVIDENCE_BROKEN, error),
            EvidenceError::OtherOrigin(_)
            | EvidenceError::Key(_)
            | EvidenceError::Place(..)
            | EvidenceError::Overtaken
            | EvidenceError::Bucket(_)
            | EvidenceError::TwoPlaces
            | EvidenceError::WitnessPolicy(..)
            | EvidenceError::Witnesses(_)
            | EvidenceError::Copy(_) => {
                tracing::error!(%error, "the log's tree is of no use");
                Self::new(&problem::INTERNAL, "the log's tree is of no use")
            }
        }
    }
}
