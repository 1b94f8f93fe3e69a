//! What loosens and was agreed to by nobody is proposed; what was, goes on (P6).
//!
//! A request runs as it is. Where it comes to something that loosens, nothing of it is left but what it would
//! have put on record; that becomes a proposal, and the answer is 202 with it. The same request, once others
//! have approved, runs again under the proposal. So no operation knows of proposals, and none is left out.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::admission::Admitted;
use super::again::{Kept, Under};
use super::problem::{self, Problem};
use crate::app::App;
use crate::approvals::document::{self, Effects};
use crate::callers::Caller;
use crate::id::ProposalId;
use crate::idempotency::{Key, RequestDigest};
use crate::proposals::View;

/// What may loosen.
const WRITES: [Method; 3] = [Method::POST, Method::PUT, Method::DELETE];

/// Runs a request, and proposes what it would do where others have to agree to that.
pub(super) async fn run(app: &App, caller: &Caller, request: Request, next: Next) -> Response {
    let key = key(request.headers()).filter(|_| app.proposals.are_made());
    let key = key.filter(|_| WRITES.contains(request.method()));
    let Some(key) = key else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let kept = parts.extensions.get::<Kept>().cloned().unwrap_or_default();
    let again = parts.clone();
    let first = next.clone().run(Request::from_parts(parts, body)).await;
    let needed = first.extensions().get::<Arc<Problem>>();
    let Some(effects) = needed.and_then(|it| it.awaits()) else {
        return first;
    };
    let effects = Effects::of(effects);
    let nothing = || (again.method == Method::DELETE).then(Bytes::new);
    let Some(body) = kept.body().or_else(nothing) else {
        return first; // nothing was asked that could be asked again
    };
    let asked = Asked {
        app,
        caller,
        key: &key,
        parts: again,
        body,
    };
    match asked.go_on(effects, next).await {
        Ok(answer) => answer,
        Err(problem) => problem.into_response(),
    }
}

/// A request that loosens.
struct Asked<'a> {
    app: &'a App,
    caller: &'a Caller,
    key: &'a Key,
    parts: request::Parts,
    body: Bytes,
}

impl Asked<'_> {
    async fn go_on(self, effects: Effects, next: Next) -> Result<Response, Problem> {
        let request = self.request()?;
        let proposals = &self.app.proposals;
        let earlier = proposals.of_request(self.caller.id, self.key).await?;
        let Some(earlier) = earlier else {
            let rights = &self.app.rights;
            let (author, policy) = (rights.proposer(self.caller), rights.policy_digest());
            let made =
                proposals.propose(&author, self.caller, self.key, (request, effects, policy));
            return Ok(proposed(&made.await?));
        };
        if !earlier.lets(request.digest)? {
            return Ok(proposed(&earlier.view));
        }
        let id = earlier.view.id;
        let answer = next.run(self.under(id)).await;
        let needed = answer.extensions().get::<Arc<Problem>>();
        if needed.and_then(|it| it.awaits()).is_some() {
            // An approval does not count any more since it was looked at.
            return Ok(proposed(&proposals.show(id).await?));
        }
        Ok(answer)
    }

    fn request(&self) -> Result<document::Request, Problem> {
        let body = match self.parts.method {
            Method::DELETE => serde_json::Value::Null, // it has none
            _ => super::body::object(&self.body)?,
        };
        let (method, path) = (self.parts.method.as_str(), self.parts.uri.path());
        let template = self.parts.extensions.get::<MatchedPath>();
        let template = template.map_or(path, MatchedPath::as_str);
        Ok(document::Request {
            method: method.to_owned(),
            path: path.to_owned(),
            operation: format!("{method} {template}"),
            digest: RequestDigest::of(method, path, &body),
            body,
        })
    }

    /// The same request once more. It has had its turn, and its bytes are counted.
    fn under(self, proposal: ProposalId) -> Request {
        let mut parts = self.parts;
        parts.extensions.remove::<Admitted>();
        parts.extensions.insert(Under(proposal));
        Request::from_parts(parts, Body::from(self.body))
    }
}

fn key(headers: &HeaderMap) -> Option<Key> {
    let text = headers.get("idempotency-key")?.to_str().ok()?;
    Key::try_from(text).ok()
}

/// Nothing was done yet: this waits for others.
fn proposed(view: &View) -> Response {
    let mut answer = (StatusCode::ACCEPTED, Json(view)).into_response();
    let path = format!("/v1/approvals/{}", view.id);
    if let Ok(path) = HeaderValue::try_from(path) {
        answer.headers_mut().insert(header::LOCATION, path);
    }
    answer
}

impl Problem {
    /// What others have to agree to, where that is what is wrong.
    fn awaits(&self) -> Option<&serde_json::Value> {
        let is_awaited = self.kind() == &problem::APPROVAL_NEEDED;
        is_awaited.then(|| self.effects())
    }
}
