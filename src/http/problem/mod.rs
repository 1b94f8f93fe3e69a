//! Every refusal as a problem document (RFC 9457): a stable type, what is wrong, what to do (P10).
//!
//! The `match`es name every variant, so that a new error makes the compiler ask what callers may
//! see. Causes and context go to the log, under the same request id.

mod approvals;
mod catalogue;
mod clob;
mod door;
mod keys;
mod oauth;
mod operations;
mod recipients;
mod relayer;
mod rotations;

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::clob::wallets::Wallet;
use crate::limits::Exceeded;
use crate::name::Name;
use crate::oauth::broker::{Diagnosis, Rejected};
use crate::signing::{SameRequest, SigningError};
pub(super) use catalogue::*;
pub use catalogue::{CATALOGUE, ProblemKind};

/// A problem with this request.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: &'static ProblemKind,
    detail: String,
    retry_after_s: Option<u32>,
    with_error: bool,
    exchange: Option<Arc<Rejected>>,
    limit: Option<Arc<Exceeded>>,
    same: Option<Arc<SameRequest>>,
    /// What others have to agree to.
    effects: Arc<serde_json::Value>,
}

/// A wallet that was replaced, and by which.
pub(super) struct Replaced {
    wallet: Name,
    by: Name,
}

impl Replaced {
    /// Whether this wallet was.
    pub(super) fn is(wallet: &Wallet) -> Option<Self> {
        let (wallet, by) = (wallet.name.clone(), wallet.successor.clone()?);
        Some(Self { wallet, by })
    }
}

/// The document (RFC 9457, section 3).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// A reference to the kind's description, relative to the service.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong, in a few words; the same for all problems of this type.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: &'a str,
    /// What to do.
    pub action: &'a str,
    /// The detail once more, for clients of the remote builder-signing protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// What was sent to the authorization server, where that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<&'a Diagnosis>,
    /// The limit that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'a Exceeded>,
    /// The request that this one is the same as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same: Option<&'a SameRequest>,
}

/// Texts that came in are told again in a detail, but not all of a long one.
fn bounded(mut detail: String) -> String {
    const LONGEST: usize = 2_000;
    if detail.len() > LONGEST {
        detail.truncate(detail.floor_char_boundary(LONGEST));
        detail.push('…');
    }
    detail
}

impl Problem {
    pub(super) fn new(kind: &'static ProblemKind, detail: impl std::fmt::Display) -> Self {
        Self {
            kind,
            detail: bounded(detail.to_string()),
            retry_after_s: None,
            with_error: false,
            exchange: None,
            limit: None,
            same: None,
            effects: Arc::default(),
        }
    }

    fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// With a member `error`.
    pub(super) fn with_error(self) -> Self {
        Self {
            with_error: true,
            ..self
        }
    }

    /// What is not there, and what may not be seen: the same bytes.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            &catalogue::NOT_FOUND,
            format!("no such {what}, or it is not for you"),
        )
    }

    /// Why nothing was signed with a wallet: where another one has taken its place, that is said.
    pub(super) fn of_wallet(error: SigningError, replaced: Option<&Replaced>) -> Self {
        match (&error, replaced) {
            (SigningError::KeyNotActive(state), Some(Replaced { wallet, by })) => {
                let detail =
                    format!("{wallet}, whose key is {state}, was replaced: {by} signs now");
                Self::new(&catalogue::WALLET_REPLACED, detail)
            }
            _ => error.into(),
        }
    }

    pub(super) fn too_much(detail: String) -> Self {
        Self::new(&catalogue::TOO_MUCH_AT_ONCE, detail).retry_after(1)
    }

    pub(super) fn busy() -> Self {
        Self::new(
            &catalogue::BUSY,
            "the service is at its limit of concurrent requests",
        )
        .retry_after(1)
    }

    /// That others have to agree to this first.
    fn awaiting(effects: Arc<serde_json::Value>, needed: impl std::fmt::Display) -> Self {
        Self {
            effects,
            ..Self::new(&catalogue::APPROVAL_NEEDED, needed)
        }
    }

    /// What others have to agree to: what would have been put on record, as far as that is known.
    pub(super) fn effects(&self) -> &serde_json::Value {
        &self.effects
    }

    /// Whether it says when to come back.
    pub(super) fn says_when(&self) -> bool {
        self.retry_after_s.is_some()
    }

    pub(super) fn kind(&self) -> &'static ProblemKind {
        self.kind
    }

    /// What the caller reads of it.
    pub(super) fn document(&self) -> Document<'_> {
        Document {
            kind: format!("/problems/{}", self.kind.name),
            title: self.kind.title,
            status: self.kind.status,
            detail: &self.detail,
            action: self.kind.action,
            error: self.with_error.then_some(self.detail.as_str()),
            exchange: self.exchange.as_ref().map(|it| &it.diagnosis),
            limit: self.limit.as_deref(),
            same: self.same.as_deref(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Arc::new(self)); // where it is to be said in another form
        response
    }
}
