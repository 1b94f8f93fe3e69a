//! Connections: how many, how long, and how they end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::Settings;
use super::connections::{Connection, Connections, Length};
use super::problem::Problem;
use super::wire::Wire;

/// Why the service does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// What is sent in the clear must not leave the machine.
    #[error(
        "[http] listen = {0} is not a loopback address, and this version does not speak TLS: listen on 127.0.0.1 or [::1], behind a proxy that does"
    )]
    NotLoopback(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
}

/// Opens the listener.
pub async fn listen(settings: &Settings) -> Result<TcpListener, ListenError> {
    let address = settings.listen;
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|error| ListenError::Bind(address, error))
}

/// How often it is seen who sends or takes nothing.
const SWEEP: Duration = Duration::from_millis(250);

/// Serves until `stop`, then lets open requests end, at most for the shutdown time-out.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &Settings,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    raise_descriptors();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.idle_timeout_ms))
        .max_buf_size(64 * 1024);
    let connections = Connections::new(settings);
    let graceful = GracefulShutdown::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            now = sweep.tick() => {
                let ended = connections.end_the_slow(now);
                if ended > 0 {
                    tracing::warn!(ended, "connections ended that sent no whole head, or took no answer");
                }
                continue;
            }
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                connections.make_way(); // out of descriptors, most likely
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(listed) = connections.list() else {
            tracing::debug!("a connection was not taken: all others have requests under way");
            continue;
        };
        drop(stream.set_nodelay(true));
        let connection = listed.connection.clone();
        let wire = TokioIo::new(Wire::new(stream, connection.clone()));
        let (router, connections) = (router.clone(), connections.clone());
        let service =
            service_fn(move |request| answer(request, &router, &connections, connection.clone()));
        let served = graceful.watch(http.serve_connection(wire, service));
        tasks.spawn(async move {
            let end = listed.connection.end.clone();
            if let Some(Err(error)) = end.run_until_cancelled(served).await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(listed);
        });
    }
    drop(listener);
    let patience = Duration::from_millis(settings.shutdown_timeout_ms);
    if tokio::time::timeout(patience, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("open requests were cut off");
    }
}

/// Answers a request, and has the connection know of it.
fn answer(
    mut request: hyper::Request<Incoming>,
    router: &Router,
    connections: &Connections,
    connection: Arc<Connection>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let length = request.body().size_hint().exact();
    let length = length.map_or(Length::InChunks, Length::Known);
    connection.begins(length);
    let has_place = !connections.is_full() || super::is_about_health(request.uri().path());
    request.extensions_mut().insert(connection.clone());
    let answer = has_place.then(|| router.clone().oneshot(request.map(Body::new)));
    async move {
        let answer = match answer {
            Some(answer) => answer.await,
            None => Ok(([(header::CONNECTION, "close")], Problem::busy()).into_response()),
        };
        connection.ends();
        answer.map(|mut answer| {
            // Where its end is not known, nobody could tell what comes after it.
            if matches!(length, Length::InChunks) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            answer
        })
    }
}

/// A connection takes a descriptor, and many shells allow a process 1,024.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
