//! A certificate besides, where it is asked for: a cookie that was stolen is worth nothing without it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::cookies::secret;
use crate::app::App;
use crate::callers::certificate::Presented;
use crate::http::problem::{self, Problem};
use crate::id::CallerId;

/// Whose certificate was shown.
#[derive(Clone, Copy)]
pub(super) struct Certified(pub(super) CallerId);

/// Lets nobody further without a certificate of a caller's, or with a session of another one's.
pub(super) async fn certified(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let shown = request.extensions().get::<Arc<Presented>>().cloned();
    let Some(shown) = shown else {
        return missing().into_response();
    };
    let whose = match app.callers.recognise_certificate(&shown).await {
        Ok(whose) => whose.caller.id,
        Err(error) => return Problem::from(error).into_response(),
    };
    if let Some(secret) = secret(request.headers())
        && let Ok(who) = app.sessions.glance(&secret).await
        && who.caller.id != whose
    {
        let detail = "the certificate is one caller's, the session another's";
        return Problem::new(&problem::CREDENTIALS_DISAGREE, detail).into_response();
    }
    request.extensions_mut().insert(Certified(whose));
    next.run(request).await
}

/// Somebody comes without a certificate.
pub(in crate::http) fn missing() -> Problem {
    let detail = "people show a certificate besides here: [console] client_certificates";
    Problem::new(&problem::NOT_AUTHENTICATED, detail)
}
