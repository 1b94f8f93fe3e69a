//! How requests come in, and what becomes of them.

use std::time::Duration;

use crate::idempotency::{Key as IdempotencyKey, NotAKey, RequestDigest};

/// How a request came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// SHA-256 over method, path and canonical body.
    pub digest: RequestDigest,
    /// The caller's key for it.
    pub idempotency: Option<IdempotencyKey>,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
}

impl Asked {
    /// A request without an idempotency key, for which its caller waits as long as anybody.
    pub fn once(digest: RequestDigest) -> Self {
        Self {
            digest,
            idempotency: None,
            deadline: None,
        }
    }
}

/// What the caller gets.
#[derive(Clone, Debug)]
pub struct Signed {
    /// JSON, the same bytes for the same idempotency key.
    pub body: Vec<u8>,
    /// Whether it was released earlier.
    pub replayed: bool,
}

/// The most drafts of one batch.
pub const LARGEST_BATCH: usize = 100;

/// How a batch came in.
#[derive(Clone, Debug)]
pub struct AskedTogether {
    /// Of the whole request.
    pub digest: RequestDigest,
    /// The caller's key for the whole.
    pub idempotency: IdempotencyKey,
    /// How long the caller still waits.
    pub deadline: Option<Duration>,
}

impl AskedTogether {
    /// How the request with this number came in.
    pub fn item(&self, number: usize) -> Result<Asked, NotAKey> {
        Ok(Asked {
            digest: self.digest.of_item(number),
            idempotency: Some(self.idempotency.of_item(number)?),
            deadline: self.deadline,
        })
    }
}
