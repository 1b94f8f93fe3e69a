//! `/v1/keys/{key}/attestation`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use time::OffsetDateTime;

use super::{permitted, visible};
use crate::app::App;
use crate::attestation::{Attestation, Finding, Verdict};
use crate::callers::Caller;
use crate::custody::{Attributes, Evidence};
use crate::http::body::{Body, Named, NoDetails};
use crate::http::caller::RequiredKey;
use crate::http::problem::Problem;
use crate::http::write::{Write, to_its_end};
use crate::id::{AttestationId, CallerId};
use crate::keys::Key;
use crate::ledger::Gate;
use crate::policy::Action;

/// A look at a key in its device.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct AttestationView {
    /// Its id.
    #[schema(value_type = String)]
    id: AttestationId,
    /// The key's name.
    key: String,
    /// When the device had answered.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// What the device's word is worth, the weakest honest word.
    evidence: Evidence,
    verdict: Verdict,
    /// What does not fit the record, or why nothing is known.
    findings: Vec<Finding>,
    /// As the device stated them.
    #[schema(value_type = Option<std::collections::BTreeMap<String, bool>>)]
    attributes: Option<Attributes>,
    /// A challenge and the key's signature of it, where a statement was asked for.
    #[schema(value_type = Option<Object>)]
    possession: Option<Value>,
    /// All of it, signed by a key for checkpoints: a flattened JWS (RFC 7515, 7.2.2).
    #[schema(value_type = Option<Object>)]
    statement: Option<Value>,
    /// Who asked; null: the service, by itself.
    #[schema(value_type = Option<String>)]
    asked_by: Option<CallerId>,
    /// Their name.
    asked_by_name: Option<String>,
}

impl AttestationView {
    fn of(key: &Key, it: Attestation, asked_by_name: Option<String>) -> Self {
        Self {
            id: it.id,
            key: key.name.to_string(),
            at: it.look.at,
            evidence: it.look.evidence,
            verdict: it.look.verdict,
            findings: it.look.findings,
            attributes: it.look.attributes,
            possession: it.possession,
            statement: it.statement,
            asked_by: it.actor,
            asked_by_name,
        }
    }
}

/// Show the latest look at a key
///
/// The service looks by itself, and puts on record what it had not seen before, and one look a day.
#[utoipa::path(get, path = "/v1/keys/{key}/attestation", tag = "keys",
    responses((status = 200, description = "The latest look that is on record", body = AttestationView)),
)]
pub(super) async fn show_attestation(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<AttestationView>, Problem> {
    let key = visible(&app, &caller, &name).await?;
    let latest = app.attestations.latest(&key).await?;
    let latest = latest.ok_or_else(|| Problem::not_found("attestation"))?;
    let names = app
        .callers
        .names(latest.actor.into_iter().collect())
        .await?;
    let asked_by = latest.actor.map(|it| names.of(it));
    Ok(Json(AttestationView::of(&key, latest, asked_by)))
}

/// Attest a key
///
/// The key is looked at in its device and signs a challenge, and the statement of both is signed by a key
/// for checkpoints. A key in use whose device says something else than the record is suspended; that is
/// stated as well.
#[utoipa::path(post, path = "/v1/keys/{key}/attestation", tag = "keys",
    request_body = NoDetails,
    responses((status = 201, description = "What was seen, and the statement", body = AttestationView)),
)]
pub(super) async fn attest_key(
    State(app): State<App>,
    caller: Caller,
    Named(name): Named,
    RequiredKey(idempotency): RequiredKey,
    Body(NoDetails {}, request): Body<NoDetails>,
) -> Result<Response, Problem> {
    let (key, permit) = permitted(&app, &caller, Action::AttestKey, &name).await?;
    let tasks = app.tasks.clone();
    to_its_end(&tasks, async move {
        let write = Write::new(&app, &caller, &idempotency, request);
        if let Some(earlier) = write.earlier(&permit).await? {
            return Ok(earlier);
        }
        let attested = app.attestations.attest(&key, &caller, request).await?;
        let drifted = attested.look.verdict == Verdict::Drift;
        let gate = if drifted {
            Gate::Exclusive
        } else {
            Gate::Shared
        };
        let mut suspended = false;
        let answer = write
            .conclude(&permit, gate, async |change| {
                suspended = app.attestations.record(&attested, &key, change).await?;
                let name = Some(caller.name.to_string());
                Ok(AttestationView::of(&key, attested.clone(), name))
            })
            .await?;
        if drifted {
            app.attestations.alarm(&key, &attested.look, suspended);
        }
        Ok(answer)
    })
    .await
}
