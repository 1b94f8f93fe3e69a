//! One span and one event for each request.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// One span and one event for each request; its id goes out with the answer.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    use tracing::Instrument;

    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let id = uuid::Uuid::now_v7().to_string();
    let operation = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %request.method(),
        operation,
        caller.id = tracing::field::Empty,
    );
    let start = std::time::Instant::now();
    async move {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        headers.insert(
            REQUEST_ID,
            HeaderValue::from_str(&id).expect("a UUID is plain text"),
        );
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        let duration_ms = start.elapsed().as_millis();
        tracing::info!(status = response.status().as_u16(), duration_ms, "answered");
        response
    }
    .instrument(span)
    .await
}
