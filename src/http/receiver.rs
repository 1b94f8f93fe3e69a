//! A receiver of notices, to try them with: it takes what is signed by a secret that it knows.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::notices::signature::{NotVerified, Secret, verify};

/// Receives until the listener breaks, and shows each: the body as it came, or why it is not taken.
pub async fn receive(
    listener: TcpListener,
    secrets: Vec<Secret>,
    clock: Clock,
    show: fn(Result<&str, NotVerified>),
) -> std::io::Result<()> {
    let secrets = Arc::new(secrets);
    let take = async move |headers: HeaderMap, body: String| {
        let of = |name| headers.get(name).and_then(|it| it.to_str().ok());
        let headers = (
            of("webhook-id").unwrap_or_default(),
            of("webhook-timestamp").unwrap_or_default(),
            of("webhook-signature").unwrap_or_default(),
        );
        let verified = verify(&secrets, headers, &body, clock.unix_s());
        show(verified.map(|()| body.as_str()));
        match verified {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::UNAUTHORIZED,
        }
    };
    let router = Router::new().fallback(post(take));
    axum::serve(listener, router).await
}
