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
use hyper::server::conn::http1::Builder as Http;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::Settings;
use super::connections::{Connection, Connections, Length};
use super::problem::Problem;
use super::tls::{Tls, TlsError};
use super::wire::Wire;
use crate::callers::certificate::Presented;

/// Why the service does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// What is sent in the clear must not leave the machine.
    #[error(
        "[http] listen = {0} is not a loopback address: name a certificate and its key in [http.tls], or listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// What is shown in the clear must not leave the machine unless that is accepted.
    #[error(
        "[metrics] listen = {0} is not a loopback address: whoever reaches it would read names of keys and how much is signed; set accept_clear_text = true to accept that"
    )]
    MetricsNotLoopback(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
    /// There is no TLS.
    #[error("[http.tls] {0}")]
    Tls(#[from] TlsError),
}

/// Where the service listens, and how it speaks there.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
}

/// Has the files read again with which connections are begun. Cheap to clone.
#[derive(Clone)]
pub struct Renewal(Option<Arc<Tls>>);

impl Renewal {
    /// Reads them again.
    pub fn renew(&self) {
        if let Some(tls) = &self.0 {
            tls.reload();
        }
    }
}

impl Listener {
    /// One without TLS, at an address where that may be.
    pub(super) async fn in_clear_text(address: SocketAddr) -> Result<Self, ListenError> {
        let tcp = TcpListener::bind(address)
            .await
            .map_err(|error| ListenError::Bind(address, error))?;
        Ok(Self { tcp, tls: None })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// What has its files read again.
    pub fn renewal(&self) -> Renewal {
        Renewal(self.tls.clone())
    }
}

/// How it would be spoken there, if that may be.
fn way(settings: &Settings) -> Result<Option<Tls>, ListenError> {
    let address = settings.listen;
    let tls = settings.tls.as_ref().map(Tls::open).transpose()?;
    if tls.is_none() && !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    Ok(tls)
}

/// Whether the service could listen so, as far as that can be told without doing it.
pub fn check(settings: &Settings) -> Result<(), ListenError> {
    way(settings).map(drop)
}

/// Opens the listener.
pub async fn listen(settings: &Settings) -> Result<Listener, ListenError> {
    let tls = way(settings)?.map(Arc::new);
    let listener = Listener::in_clear_text(settings.listen).await?;
    Ok(Listener { tls, ..listener })
}

/// How often it is seen who sends or takes nothing.
const SWEEP: Duration = Duration::from_millis(250);

/// Serves until `stop`, then lets open requests end, at most for the shutdown time-out.
pub async fn serve(
    listener: Listener,
    router: Router,
    settings: &Settings,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    raise_descriptors();
    let mut http = Http::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.idle_timeout_ms))
        .max_buf_size(64 * 1024);
    let Listener { tcp, tls } = listener;
    let patience = Duration::from_millis(settings.head_timeout_ms);
    let connections = Connections::new(settings);
    let graceful = GracefulShutdown::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
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
        let guest = Guest {
            connection: listed.connection.clone(),
            connections: connections.clone(),
            router: router.clone(),
            presented: None,
            ends_at: None,
        };
        let (http, watcher, tls) = (http.clone(), graceful.watcher(), tls.clone());
        tasks.spawn(async move {
            let end = listed.connection.end.clone();
            let served = async {
                match tls {
                    None => guest.serve(stream, &http, watcher).await,
                    Some(tls) => {
                        if let Some(stream) = shake_hands(stream, &tls, patience).await {
                            let guest = guest.over(&stream, &tls);
                            guest.serve(stream, &http, watcher).await;
                        }
                    }
                }
            };
            end.run_until_cancelled(served).await;
            drop(listed);
        });
    }
    drop(tcp);
    let patience = Duration::from_millis(settings.shutdown_timeout_ms);
    if tokio::time::timeout(patience, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("open requests were cut off");
    }
}

/// Begins TLS, within the time that a head may take.
async fn shake_hands(
    stream: TcpStream,
    tls: &Tls,
    patience: Duration,
) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(patience, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no TLS came about on a connection");
            None
        }
        Err(_) => {
            tracing::debug!("no TLS came about on a connection in time");
            None
        }
    }
}

/// Whoever is on a connection.
#[derive(Clone)]
struct Guest {
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    router: Router,
    /// The certificate that was shown, if there was one.
    presented: Option<Arc<Presented>>,
    /// When the connection ends.
    ends_at: Option<Instant>,
}

impl Guest {
    /// With the certificate that was shown.
    fn over(self, stream: &TlsStream<TcpStream>, tls: &Tls) -> Self {
        let chain = stream.get_ref().1.peer_certificates();
        let chain = chain.filter(|it| !it.is_empty());
        Self {
            presented: chain.map(|chain| Arc::new(Presented::new(chain))),
            ends_at: Some(Instant::now() + tls.connection_age()),
            ..self
        }
    }

    async fn serve<S>(self, stream: S, http: &Http, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let wire = TokioIo::new(Wire::new(stream, self.connection.clone()));
        let service = service_fn(move |request| answer(request, &self));
        if let Err(error) = watcher.watch(http.serve_connection(wire, service)).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Answers a request, and has the connection know of it.
fn answer(
    mut request: hyper::Request<Incoming>,
    guest: &Guest,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let (connection, ends_at) = (guest.connection.clone(), guest.ends_at);
    let length = request.body().size_hint().exact();
    let length = length.map_or(Length::InChunks, Length::Known);
    connection.begins(length);
    let has_place = !guest.connections.is_full() || super::is_about_health(request.uri().path());
    request.extensions_mut().insert(connection.clone());
    if let Some(presented) = &guest.presented {
        request.extensions_mut().insert(presented.clone());
    }
    let answer = has_place.then(|| guest.router.clone().oneshot(request.map(Body::new)));
    async move {
        let answer = match answer {
            Some(answer) => answer.await,
            None => Ok(([(header::CONNECTION, "close")], Problem::busy()).into_response()),
        };
        connection.ends();
        answer.map(|mut answer| {
            // Where its end is not known, nobody could tell what comes after it.
            let is_over = ends_at.is_some_and(|at| Instant::now() >= at);
            if is_over || matches!(length, Length::InChunks) {
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
