//! Requests that are signed, or tried out.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;

use super::admit::passed_gate;
use super::write;
use crate::app::App;
use crate::callers::Caller;
use crate::signing::{Draft, DryRun, Signed, SigningError, SigningRequest};

/// What became of a request.
pub(super) enum Outcome {
    Signed(Signed),
    Tried(Box<DryRun>, Instant),
}

impl Outcome {
    /// Since when, at the earliest, it is certain that this may be told.
    pub(super) fn since(&self) -> Instant {
        match self {
            Self::Signed(signed) => signed.since,
            Self::Tried(_, since) => *since,
        }
    }

    /// As it is answered.
    pub(super) fn answer(self) -> Response {
        match self {
            Self::Signed(signed) => write::signed(signed),
            Self::Tried(run, since) => {
                let body = serde_json::to_vec(&run).expect("plain data serializes");
                passed_gate(write::json(StatusCode::OK, body), since)
            }
        }
    }
}

/// Has a draft signed, or says what would be.
pub(super) async fn sign(
    app: &App,
    caller: &Caller,
    draft: Box<dyn Draft>,
    asked: SigningRequest,
    dry_run: bool,
) -> Result<Outcome, SigningError> {
    if dry_run {
        let (run, since) = app.signer.try_out(caller, draft).await?;
        return Ok(Outcome::Tried(Box::new(run), since));
    }
    let signed = app.signer.sign(caller, draft, asked).await?;
    Ok(Outcome::Signed(signed))
}
