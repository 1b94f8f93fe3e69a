//! Administrative writes: one transaction for the change, its leaf and its answer, so that a
//! repeated request gets the answer and never a second change (P3).

use std::time::Instant;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::admit::passed_gate;
use super::problem::{self, Problem};
use crate::app::App;
use crate::audit::Change;
use crate::authority::Version;
use crate::callers::Caller;
use crate::fail_point;
use crate::idempotency::{Key, RequestDigest, records};
use crate::ledger::{Gate, LedgerError};
use crate::policy::{Again, Deed, Permit};
use crate::signing::Signed;
use crate::standing::Look;

/// How often it is decided again whether somebody may do or be told something.
const AGAIN: u32 = 4;

/// Marks an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An administrative write by somebody who may do it.
pub(super) struct Write<'a> {
    pub(super) app: &'a App,
    pub(super) caller: &'a Caller,
    key: &'a Key,
    pub(super) request: RequestDigest,
}

impl<'a> Write<'a> {
    pub(super) fn new(
        app: &'a App,
        caller: &'a Caller,
        key: &'a Key,
        request: RequestDigest,
    ) -> Self {
        Self {
            app,
            caller,
            key,
            request,
        }
    }

    /// The answer that was given to this request before, if it was: to a caller who still stands, and whose
    /// permit does.
    pub(super) async fn earlier(&self, permit: &Permit) -> Result<Option<Response>, Problem> {
        let held = records::find(self.caller.id, self.key, &self.app.ledger).await?;
        let Some(held) = held else {
            return Ok(None);
        };
        if held.request != self.request {
            let detail = "this Idempotency-Key came with another request before";
            return Err(Problem::new(&problem::IDEMPOTENCY_KEY_REUSED, detail));
        }
        let since = self.still(permit).await?;
        let sealed = held.answer.unwrap_or_default();
        let body = self
            .app
            .sealing
            .open(self.aad().as_slice(), &sealed)
            .map_err(|error| LedgerError::Corrupt("idempotency_keys", error.to_string()))?;
        let mut response = passed_gate(json(StatusCode::CREATED, body.to_vec()), since);
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(Some(response))
    }

    /// Since when it is certain that the caller may be told what they were answered. What was done then may have
    /// tightened what decides, and changed the thing it is about: that is decided again.
    async fn still(&self, permit: &Permit) -> Result<Instant, Problem> {
        let (credential, mut decided) = (self.caller.credential, permit.decided());
        for _ in 0..AGAIN {
            let since = Instant::now();
            let standing = self.app.log.vouch(Look::at(Some(credential), None)).await?;
            if !standing.is_live(credential) {
                return Err(LedgerError::CallerRevoked.into());
            }
            self.app.authority.confirm(standing.head()).await?;
            if standing.upholds(decided) {
                return Ok(since);
            }
            decided = self.decide_again(&permit.action().as_done()).await?;
        }
        Err(LedgerError::AuthorityChanged.into())
    }

    async fn decide_again(&self, deed: &Deed) -> Result<Version, Problem> {
        let decided = self.app.rights.again(self.caller, deed).await;
        decided.map_err(|error| match error {
            Again::Denied(denied) => denied.into(),
            Again::Ledger(error) => error.into(),
        })
    }

    /// Begins the change. What decides may be tightened meanwhile, by somebody and about something else: then it is
    /// decided again, unless its twin was why, whose answer that is.
    async fn begin(
        &self,
        permit: &Permit,
        gate: Gate,
    ) -> Result<Result<Change, Response>, Problem> {
        let mut author = permit.author().clone();
        for _ in 0..AGAIN {
            match self.app.log.begin(gate, &author).await {
                Err(LedgerError::AuthorityChanged) => {}
                begun => return Ok(Ok(begun?)),
            }
            if let Some(earlier) = self.earlier(permit).await? {
                return Ok(Err(earlier));
            }
            author = author.decided_again(self.decide_again(permit.action()).await?);
        }
        Err(LedgerError::AuthorityChanged.into())
    }

    /// Makes the change and commits it with its answer. Answers are sealed, for some hold a token.
    pub(super) async fn conclude<T: Serialize>(
        &self,
        permit: &Permit,
        gate: Gate,
        work: impl AsyncFnOnce(&mut Change) -> Result<T, Problem>,
    ) -> Result<Response, Problem> {
        let mut change = match self.begin(permit, gate).await? {
            Ok(change) => change,
            Err(earlier) => return Ok(earlier),
        };
        let answer = match work(&mut change).await {
            Ok(answer) => answer,
            Err(problem) => {
                change.abandon().await;
                // It may be refused because its twin has done it meanwhile: then that is the answer.
                return self.earlier(permit).await?.ok_or(problem);
            }
        };
        let body = serde_json::to_vec(&answer).expect("plain data serializes");
        let sealed = self.app.sealing.seal(self.aad().as_slice(), &body);
        let claimed = records::claim_answer(
            self.caller.id,
            self.key,
            self.request,
            &sealed,
            &self.app.idempotency,
            change.tx(),
        )
        .await?;
        if !claimed {
            change.abandon().await; // a twin was faster
            let twin = self.earlier(permit).await?;
            return twin.ok_or_else(|| Problem::new(&problem::IN_FLIGHT, "repeat the request"));
        }
        fail_point!("write-before-commit");
        let since = Instant::now();
        change.commit().await?;
        fail_point!("write-after-commit");
        // Elsewhere they are old for a moment, and the gate knows better.
        self.app.wallets.forget();
        self.app.clients.forget();
        Ok(passed_gate(json(StatusCode::CREATED, body), since))
    }

    /// [`earlier`](Self::earlier), else [`conclude`](Self::conclude).
    pub(super) async fn run<T: Serialize>(
        &self,
        permit: &Permit,
        gate: Gate,
        work: impl AsyncFnOnce(&mut Change) -> Result<T, Problem>,
    ) -> Result<Response, Problem> {
        match self.earlier(permit).await? {
            Some(earlier) => Ok(earlier),
            None => self.conclude(permit, gate, work).await,
        }
    }

    fn aad(&self) -> Vec<u8> {
        [
            self.caller.id.uuid().as_bytes(),
            self.key.as_str().as_bytes(),
        ]
        .concat()
    }
}

/// Sees work to its end though its caller may not wait for it: what was begun at a device or a
/// counterparty has to be put on record.
pub(super) async fn to_its_end(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    let cut_off = |_| Problem::new(&problem::INTERNAL, "the work was cut off");
    tasks.spawn(work.in_current_span()).await.map_err(cut_off)?
}

/// A body that was signed, as it was released.
pub(super) fn signed(done: Signed) -> Response {
    let mut response = passed_gate(json(StatusCode::OK, done.body), done.since);
    if done.replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A body that is JSON already.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// An answer that nobody on its way may keep.
pub(super) fn uncached(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
