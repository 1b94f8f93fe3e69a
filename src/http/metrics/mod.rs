//! `/metrics`, on a listener of its own: what Prometheus reads. Beside it the two questions about health, for
//! whoever has no certificate to show at the other one.
//!
//! It shows names of keys and devices and how much is signed, and no secret; whoever reaches the listener reads
//! it. So there is none unless it is configured, and off loopback only where that is accepted in so many words.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::serve::{ListenError, Listener};
use super::site::Names;
use super::traffic::TRAFFIC;
use super::{health, serve};
use crate::app::{App, LookedUp};
use crate::metrics;
use crate::within::Within;

/// `[metrics]`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen; nowhere unless it is set.
    pub listen: Option<SocketAddr>,
    /// Whether that may be another address than loopback's, in clear text and for whoever reaches it.
    pub accept_clear_text: bool,
    /// How often it is looked up what is not counted: devices, keys, limits, rotations.
    pub look_every_s: Within<1, 3_600>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: None,
            accept_clear_text: false,
            look_every_s: Within::of(15),
        }
    }
}

impl Settings {
    /// Where to listen, if that may be.
    fn address(&self) -> Result<Option<SocketAddr>, ListenError> {
        match self.listen {
            Some(address) if !address.ip().is_loopback() && !self.accept_clear_text => {
                Err(ListenError::MetricsNotLoopback(address))
            }
            address => Ok(address),
        }
    }
}

/// Whether metrics could be shown so, as far as that can be told without doing it.
pub fn check_metrics(settings: &Settings) -> Result<(), ListenError> {
    settings.address().map(drop)
}

/// Opens the listener, if there is to be one.
pub async fn listen_for_metrics(settings: &Settings) -> Result<Option<Listener>, ListenError> {
    match settings.address()? {
        Some(address) => Listener::in_clear_text(address).await.map(Some),
        None => Ok(None),
    }
}

/// What the page is made of.
#[derive(Clone)]
struct Shown {
    app: App,
    looked_up: LookedUp,
}

/// Shows metrics until `stop`.
pub async fn serve_metrics(
    listener: Listener,
    app: App,
    (settings, http): (Settings, super::Settings),
    stop: CancellationToken,
) {
    let every = Duration::from_secs(settings.look_every_s.get());
    let looked_up = app.look_up_every(every);
    let tasks = app.tasks.clone();
    // Few ask, and none of them needs long.
    let settings = super::Settings {
        listen: settings.listen.unwrap_or(http.listen),
        connections: 64,
        tls: None,
        ..http
    };
    let names = Names::new(&settings);
    let health = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(app.clone());
    let router = Router::new()
        .route("/metrics", get(show))
        .with_state(Shown { app, looked_up })
        .merge(health)
        .layer(middleware::from_fn_with_state(names, for_us));
    serve::serve(listener, router, &settings, &tasks, stop).await;
}

/// Keeps out pages of other sites, which reach this machine by a name of theirs. An address is no name, and
/// who watches asks by it.
async fn for_us(State(names): State<Names>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let is_address = host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    let (parts, body) = request.into_parts();
    if !is_address && let Err(problem) = names.check(&parts) {
        return problem.into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn show(State(shown): State<Shown>) -> Response {
    let mut families = metrics::counted();
    families.extend(TRAFFIC.families());
    families.extend(shown.app.signer.measured());
    families.extend(shown.app.at_once());
    families.extend(shown.looked_up.families());
    let content = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    (content, metrics::text(families)).into_response()
}

#[cfg(test)]
mod tests;
