//! `/v1/audit/range`, `statements` and `exports`: what an evidence pack is made of, and its place in the log.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{look_up, may_view, moment, wrong};
use crate::app::App;
use crate::audit::{Event, Leaf};
use crate::authority::{Version, Written};
use crate::callers::Caller;
use crate::http::body::{Body, Params};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::Write;
use crate::ledger::Gate;
use crate::policy::{Action, Resource};

/// So long ago a moment has to be that a pack ends at: what was signed by then is on record by now.
const SETTLED: Duration = Duration::seconds(10);

/// What an export is called in its own leaf.
const EXPORT: &str = "export-log";

/// From when until when.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Times {
    /// The first moment, RFC 3339. From the beginning unless it is said.
    from: Option<String>,
    /// The last, at least ten seconds ago.
    until: String,
}

/// What was on record between two moments: leaves from one checkpoint to another, and statements.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct RangeView {
    /// The log's name.
    origin: String,
    /// How many leaves were covered by the last checkpoint before the first moment.
    from_size: u64,
    /// That checkpoint; null: from the beginning.
    from_checkpoint: Option<String>,
    /// The roots of perfect subtrees of the tree of that size, from left to right, in base64.
    frontier: Vec<String>,
    /// How many leaves were covered by the last checkpoint before the last moment.
    to_size: u64,
    /// That checkpoint.
    to_checkpoint: String,
    /// How far what decides had come by the last moment, which has proved itself.
    version: i64,
    /// What that version is chained with, in hexadecimal.
    link: String,
}

/// Show what was on record
///
/// Between two moments that are over: the checkpoints before each, so that the same moments have the same answer
/// whenever they are asked for. That somebody asked is on record.
#[utoipa::path(get, path = "/v1/audit/range", tag = "audit",
    params(Times),
    responses((status = 200, description = "The range", body = RangeView)),
)]
pub(super) async fn show_range(
    State(app): State<App>,
    caller: Caller,
    Params(times): Params<Times>,
) -> Result<Json<RangeView>, Problem> {
    let from = times.from.as_deref().map(|it| moment("from", it));
    let (from, until) = (from.transpose()?, moment("until", &times.until)?);
    if until > app.clock.now() - SETTLED {
        return Err(wrong("until", "a moment that was over ten seconds ago"));
    }
    if from.is_some_and(|from| from > until) {
        return Err(wrong("from", "not after the last moment"));
    }
    let asked = json!({ "export": { "from": times.from, "until": times.until } });
    look_up(&app, &caller, &asked).await?;
    let evidence = &app.evidence;
    let to = evidence.checkpoint_before(until).await?;
    let (to_size, to_checkpoint) =
        to.ok_or_else(|| wrong("until", "no checkpoint was signed by then"))?;
    let before = match from {
        Some(from) => evidence.checkpoint_before(from).await?,
        None => None,
    };
    let (from_size, from_checkpoint) = before.map_or((0, None), |(size, note)| (size, Some(note)));
    let frontier = evidence.frontier(from_size).await?;
    let _turn = app.explaining.turn(caller.id).await;
    let then = app.authority.as_of(until).await?;
    Ok(Json(RangeView {
        origin: evidence.key().name().to_owned(),
        from_size,
        from_checkpoint,
        frontier: frontier.iter().map(|it| STANDARD.encode(it)).collect(),
        to_size,
        to_checkpoint,
        version: then.version().number(),
        link: hex::encode(then.link()),
    }))
}

/// Which statements.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Statements {
    /// Those after this version.
    #[serde(default)]
    after: i64,
    /// How many at most, 1 to 1,000; 1,000 unless it is said.
    limit: Option<u16>,
}

/// A version of what decides.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct StatementView {
    /// Which: they count from 1.
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The caller's id; all zeros for the service.
    by: Uuid,
    /// Of what: `policy`, `halt`, `limit`, `caller`, `credential`, `person`, `approver`, `proposal`, `key`, `wallet`, `client`, ….
    kind: String,
    id: Uuid,
    /// Whether something that was allowed before may not be allowed any more.
    tightens: bool,
    /// What holds from here on, in its own form; null: it is gone.
    body: Option<String>,
    /// SHA-256 over this and the link before it, in hexadecimal.
    link: Option<String>,
}

impl From<Written> for StatementView {
    fn from(it: Written) -> Self {
        Self {
            version: it.version.number(),
            at: it.at,
            by: it.by.uuid(),
            kind: it.kind,
            id: it.id,
            tightens: it.tightens,
            body: it.body.map(|it| String::from_utf8_lossy(&it).into_owned()),
            link: it.link.map(hex::encode),
        }
    }
}

/// List statements
///
/// What was ever decided, version by version: what the keys, wallets, clients, callers, credentials, people, policies,
/// limits and halts were from then on. Nothing in them is secret: a credential is there by its hash.
#[utoipa::path(get, path = "/v1/audit/statements", tag = "audit",
    params(Statements),
    responses((status = 200, description = "The versions, in their order", body = Vec<StatementView>)),
)]
pub(super) async fn list_statements(
    State(app): State<App>,
    caller: Caller,
    Params(Statements { after, limit }): Params<Statements>,
) -> Result<Json<Vec<StatementView>>, Problem> {
    may_view(&app, &caller)?;
    let limit = limit.unwrap_or(1_000);
    if !(1..=1_000).contains(&limit) {
        return Err(wrong("limit", "1 to 1000"));
    }
    let after = Version::asked(after);
    let written = app.authority.written(after, limit.into()).await?;
    Ok(Json(written.into_iter().map(StatementView::from).collect()))
}

/// A pack that was made.
#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewExport {
    /// SHA-256 of its index, in hexadecimal.
    #[schema(example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    index: String,
    /// The first leaf in it.
    from_size: u64,
    /// The first leaf that is not in it.
    to_size: u64,
    /// The last statement in it.
    version: i64,
}

/// A pack that is on record.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ExportView {
    id: Uuid,
}

/// Record an export
///
/// That you made an evidence pack, with the hash of its index: the log's next checkpoint then signs it.
#[utoipa::path(post, path = "/v1/audit/exports", tag = "audit",
    request_body = NewExport,
    responses((status = 201, description = "It is on record", body = ExportView)),
)]
pub(super) async fn record_export(
    State(app): State<App>,
    caller: Caller,
    RequiredKey(key): RequiredKey,
    Body(new, request): Body<NewExport>,
) -> Result<Response, Problem> {
    let permit = app.ask(&caller, Action::ViewLog, &Resource::service())?;
    let is_hash = new.index.len() == 64 && hex::decode(&new.index).is_ok();
    if !is_hash {
        return Err(wrong("index", "64 hexadecimal digits"));
    }
    Write::new(&app, &caller, &key, request)
        .run(&permit, Gate::Shared, async |change| {
            let id = Uuid::now_v7();
            let details = serde_json::to_value(&new).unwrap_or(Value::Null);
            change.note(EXPORT, id, &details);
            Ok(ExportView { id })
        })
        .await
}

/// The leaf of an export, and its proof.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct ExportProof {
    /// The leaf's bytes, in base64.
    leaf: String,
    /// A proof that it is in the log (C2SP `tlog-proof`), with the leaf as its extra data; null until a checkpoint covers it,
    /// which takes seconds.
    proof: Option<String>,
}

/// Prove an export
#[utoipa::path(get, path = "/v1/audit/exports/{export}", tag = "audit",
    responses((status = 200, description = "The leaf, with its proof", body = ExportProof)),
)]
pub(super) async fn prove_export(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ExportProof>, Problem> {
    may_view(&app, &caller)?;
    let missing = || Problem::not_found("export");
    let id: Uuid = id.parse().map_err(|_| missing())?;
    let proved = app.evidence.prove_change(id).await?;
    let is_export = |bytes: &[u8]| {
        let leaf = Leaf::from_bytes(bytes).map(|it| it.event);
        matches!(leaf, Some(Event::Admin(it)) if it.action == EXPORT)
    };
    let proved = proved
        .filter(|it| is_export(&it.bytes))
        .ok_or_else(missing)?;
    Ok(Json(ExportProof {
        leaf: STANDARD.encode(&proved.bytes),
        proof: proved.proof.map(|it| it.to_string()),
    }))
}
