//! One span and one event for each request, and refusals in the form that its protocol has.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::{Instrument as _, Span, field};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::problem::Problem;
use super::site::Names;
use super::traffic::TRAFFIC;
use super::{body, clob, oauth, rpc};
use crate::traces;

/// Says a problem, which the response is, in another form.
type Translate = fn(Response, &Problem) -> Response;

/// In which other form the problems of a path are said.
fn translation(path: &str) -> Option<Translate> {
    match path {
        rpc::PATH => Some(rpc::translate),
        oauth::token_endpoint::PATH => Some(oauth::token_endpoint::translate),
        _ if path.ends_with("/sign") => Some(clob::builders::translate),
        _ => None,
    }
}

/// A request that is for this service, and whose body can be read. Who watches the service knows it by
/// its address.
fn readable(names: &Names, request: Request) -> Result<Request, Problem> {
    if let Some(problem) = body::unreadable(&request) {
        return Err(problem);
    }
    let (parts, body) = request.into_parts();
    if !super::is_about_health(parts.uri.path()) {
        names.check(&parts)?;
    }
    Ok(Request::from_parts(parts, body))
}

/// The span of a request, in its trace if it is part of one.
fn span_of(request: &Request, id: Uuid) -> Span {
    let path = request.extensions().get::<MatchedPath>();
    let span = || {
        tracing::info_span!(
            "request",
            request_id = %id,
            trace.id = field::Empty,
            method = %request.method(),
            operation = path.map_or("", MatchedPath::as_str),
            caller.id = field::Empty,
        )
    };
    if super::is_about_health(request.uri().path()) {
        return span(); // every few seconds, for ever: nobody looks for it
    }
    let mut sent = request.headers().get_all(traces::TRACEPARENT).iter();
    let sent = sent.next().filter(|_| sent.next().is_none());
    let span = traces::begin(sent.and_then(|it| it.to_str().ok()), span);
    if let Some(trace) = span.in_scope(traces::trace_id) {
        span.record("trace.id", trace);
    }
    span
}

/// One span and one event for each request; its id goes out with the answer.
pub(super) async fn observe(State(names): State<Names>, request: Request, next: Next) -> Response {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let id = Uuid::now_v7();
    let span = span_of(&request, id);
    let translate = translation(request.uri().path());
    let start = std::time::Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    async move {
        let mut response = match readable(&names, request) {
            Err(problem) => problem.into_response(),
            Ok(request) => next.run(request).await,
        };
        let problem = response.extensions().get::<Arc<Problem>>().cloned();
        if let Some((translate, problem)) = translate.zip(problem.as_ref()) {
            response = translate(response, problem);
        }
        let (status, path) = (
            response.status(),
            path.as_ref().map_or("", MatchedPath::as_str),
        );
        let refusal = problem.as_ref().map(|it| it.kind());
        TRAFFIC.answered(&method, path, status, refusal, start.elapsed());
        traces::note("http.response.status_code", status.as_u16().into());
        if let Some(kind) = refusal {
            traces::note_word("error.type", kind.name);
        }
        if status.is_server_error() {
            traces::failed();
        }
        let headers = response.headers_mut();
        let mut text = [0; Hyphenated::LENGTH];
        let id: &str = id.hyphenated().encode_lower(&mut text);
        headers.insert(
            REQUEST_ID,
            HeaderValue::from_str(id).expect("a UUID is plain text"),
        );
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        let duration_ms = start.elapsed().as_millis();
        tracing::info!(status = status.as_u16(), duration_ms, "answered");
        response
    }
    .instrument(span)
    .await
}
