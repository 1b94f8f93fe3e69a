//! What it takes to run a request once more: its body, and under which proposal it runs then.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;

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

/// Under which proposal a request runs.
#[derive(Clone, Copy)]
pub(super) struct Under(pub(super) ProposalId);
