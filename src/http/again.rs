//! What it takes to run a request once more: its body, and under which proposal it runs then.

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, request};
use axum::response::Response;

use crate::id::ProposalId;

/// What a request's body was, for whoever runs it once more.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<OnceLock<Bytes>>);

impl Kept {
    /// Keeps it.
    pub(super) fn keep(&self, body: Bytes) {
        let _ = self.0.set(body); // it is the same at each reading
    }

    /// The body, if anybody has read it.
    pub(super) fn body(&self) -> Option<Bytes> {
        self.0.get().cloned()
    }
}

/// A request that can be run again, by what was decided since.
pub(super) struct Repeatable {
    parts: request::Parts,
    kept: Kept,
}

impl Repeatable {
    /// This one, whose body is kept when somebody reads it.
    pub(super) fn new(parts: &mut request::Parts) -> Self {
        let kept = Kept::default();
        parts.extensions.insert(kept.clone());
        let parts = parts.clone();
        Self { parts, kept }
    }

    /// Whether what was decided since can make another answer of one that did not pass the gate, and nothing was
    /// done for it: it reads, or is refused.
    pub(super) fn may_end_otherwise(&self, answer: &Response) -> bool {
        let is_refused = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status());
        self.parts.method.is_safe() || is_refused
    }

    /// The request once more. It has had its turn, and its bytes are counted.
    pub(super) fn request(&self) -> Option<Request> {
        let body = match self.kept.body() {
            Some(body) => body.into(),
            None if self.parts.method.is_safe() => Body::empty(),
            None => return None,
        };
        Some(Request::from_parts(self.parts.clone(), body))
    }
}

/// Under which proposal a request runs.
#[derive(Clone, Copy)]
pub(super) struct Under(pub(super) ProposalId);
