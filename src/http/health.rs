//! `/healthz` and `/readyz`, which anybody asks, and `/v1/health`, which says to whom it may concern what is wrong.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use crate::app::App;
use crate::callers::Caller;
use crate::policy::{Action, Resource};

/// What watches the service asks these, without a token, and gets an answer however busy it is.
pub(super) fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
}

/// What is at the API's path for it.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show_health))
}

/// What works and what does not, for anybody: nothing that has a name.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct Readiness {
    /// Whether orders and assertions can be signed, with one device at least.
    ready: bool,
    /// `ok` or `unavailable`, for `ledger`, `writer`, `clock`, `evidence` and `custody`; the last is `partly`
    /// where some devices answer.
    checks: BTreeMap<&'static str, &'static str>,
}

/// What works and what does not, with what it is called and why.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct HealthView {
    /// Whether orders and assertions can be signed, with one device at least.
    ready: bool,
    checks: Vec<HealthCheck>,
}

/// One thing that has to work.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct HealthCheck {
    /// `ledger`, `writer`, `clock`, `evidence`, or `custody.` and the device's name.
    #[schema(example = "custody.hsm")]
    what: String,
    /// What is wrong; none where nothing is.
    trouble: Option<String>,
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
/// one device answers, the clock is near the database's, and what was written is published in time. Which of
/// these is not as it has to be is said; what exactly, and of which device, `/v1/health` says.
#[utoipa::path(get, path = "/readyz", tag = "health",
    security(()),
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "It cannot", body = Readiness),
    ),
)]
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let found = Found::now(&app).await;
    let mut checks = BTreeMap::new();
    for (what, trouble) in &found.basis {
        let word = if trouble.is_none() {
            "ok"
        } else {
            "unavailable"
        };
        checks.insert(*what, word);
    }
    checks.insert("custody", found.devices_answer());
    let ready = found.is_ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness { ready, checks }))
}

/// Show how the service is
///
/// What `/readyz` looks at, each device by its name, with what is wrong.
#[utoipa::path(get, path = "/v1/health", tag = "health",
    responses((status = 200, description = "How it is, ready or not", body = HealthView)),
)]
pub(super) async fn show_health(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<HealthView>, Problem> {
    app.ask(&caller, Action::ViewCustody, &Resource::service())
        .map(drop)?;
    let found = Found::now(&app).await;
    let ready = found.is_ready();
    let basis = found.basis.into_iter();
    let basis = basis.map(|(what, trouble)| (what.to_owned(), trouble));
    let devices = found.devices.into_iter();
    let checks = basis
        .chain(devices)
        .map(|(what, trouble)| HealthCheck { what, trouble })
        .collect();
    Ok(Json(HealthView { ready, checks }))
}

/// What was found wrong, if anything, of each thing that has to work.
struct Found {
    /// Nothing is signed without these.
    basis: [(&'static str, Option<String>); 4],
    /// One of them is enough.
    devices: Vec<(String, Option<String>)>,
}

impl Found {
    async fn now(app: &App) -> Self {
        fn trouble<T, E: ToString>(it: Result<T, E>) -> Option<String> {
            it.err().map(|error| error.to_string())
        }
        let ledger = app.log.is_writable().await;
        if let Err(error) = &ledger {
            tracing::warn!(%error, "nothing can be written down, so nothing is signed");
        }
        let writer =
            (!app.signer.is_alive()).then(|| "it has ended; start the replica anew".to_owned());
        let clock = app.clock.off_by_ms().map(|ahead| {
            format!("it is {ahead} ms from the database's: nothing is signed that says the time")
        });
        let devices = app.vault.health().await.into_iter();
        Self {
            basis: [
                ("ledger", trouble(ledger)),
                ("writer", writer),
                ("clock", clock),
                ("evidence", trouble(app.evidence.is_current())),
            ],
            devices: devices
                .map(|(name, health)| (format!("custody.{name}"), trouble(health)))
                .collect(),
        }
    }

    fn is_ready(&self) -> bool {
        let basis = self.basis.iter().all(|it| it.1.is_none());
        basis && self.devices_answer() != "unavailable"
    }

    fn devices_answer(&self) -> &'static str {
        let answers = self.devices.iter().filter(|it| it.1.is_none()).count();
        match answers {
            0 => "unavailable",
            it if it == self.devices.len() => "ok",
            _ => "partly",
        }
    }
}
