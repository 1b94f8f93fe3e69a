//! How requests come in, and what becomes of them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::idempotency::{Key as IdempotencyKey, NotAKey, RequestDigest};

/// What is held as long as the work goes on, though nobody waits for it any more: a caller's place among those
/// who have something under way (P11).
#[derive(Clone, Default)]
pub struct Held(
    #[expect(dead_code, reason = "it holds by being there")] Option<Arc<dyn Send + Sync>>,
);

impl Held {
    /// Holds this until the work is over.
    pub fn new(what: Arc<dyn Send + Sync>) -> Self {
        Self(Some(what))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// How a request came in.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    /// SHA-256 over method, path and canonical body.
    pub digest: RequestDigest,
    /// The caller's key for it.
    pub idempotency: Option<IdempotencyKey>,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
    /// What is held meanwhile.
    pub held: Held,
}

impl SigningRequest {
    /// A request without an idempotency key, for which its caller waits as long as anybody.
    pub fn once(digest: RequestDigest) -> Self {
        Self {
            digest,
            idempotency: None,
            deadline: None,
            held: Held::default(),
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
    /// What lets it leave was not durable before this: an answer that comes much later is dropped.
    pub since: Instant,
}

/// The most drafts of one batch.
pub const LARGEST_BATCH: usize = 100;

/// How a batch came in.
#[derive(Clone, Debug)]
pub struct BatchRequest {
    /// Of the whole request.
    pub digest: RequestDigest,
    /// The caller's key for the whole.
    pub idempotency: IdempotencyKey,
    /// How long the caller still waits.
    pub deadline: Option<Duration>,
    /// What is held meanwhile.
    pub held: Held,
}

impl BatchRequest {
    /// How the request with this number came in.
    pub fn item(&self, number: usize) -> Result<SigningRequest, NotAKey> {
        Ok(SigningRequest {
            digest: self.digest.of_item(number),
            idempotency: Some(self.idempotency.of_item(number)?),
            deadline: self.deadline,
            held: self.held.clone(),
        })
    }
}
