//! `/healthz` and `/readyz`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;

/// What works and what does not.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Readiness {
    /// Whether orders and assertions can be signed with every device.
    ready: bool,
    /// `ok` or `unavailable`, for `ledger`, `writer`, `clock`, `evidence` and each `custody.NAME`.
    checks: BTreeMap<String, String>,
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", tag = "health",
    security(()),
    responses((status = 200, description = "It is", body = String)),
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the service can sign
///
/// Ready while the database takes what is written to it, which is tried once a second at most, at least
/// one device answers, the clock is near the database's, and what was written is published in time. What is not
/// as it has to be is named.
#[utoipa::path(get, path = "/readyz", tag = "health",
    security(()),
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "It cannot", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let mut checks = BTreeMap::new();
    let ledger = app.log.is_writable().await;
    if let Err(error) = &ledger {
        tracing::warn!(%error, "nothing can be written down, so nothing is signed");
    }
    let devices = app.vault.health().await;
    let writer = app.signer.is_alive();
    let clock = app.clock.off_by_ms();
    let evidence = app.evidence.is_current();
    let ready = writer
        && clock.is_none()
        && evidence.is_ok()
        && ledger.is_ok()
        && devices.iter().any(|(_, health)| health.is_ok());
    let word = |ok: bool| if ok { "ok" } else { "unavailable" }.to_owned();
    checks.insert("ledger".to_owned(), word(ledger.is_ok()));
    checks.insert("writer".to_owned(), word(writer));
    checks.insert("clock".to_owned(), word(clock.is_none()));
    checks.insert("evidence".to_owned(), word(evidence.is_ok()));
    for (name, health) in devices {
        checks.insert(format!("custody.{name}"), word(health.is_ok()));
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness { ready, checks }))
}
