//! A copy at a syslog server: messages of RFC 5424, counted (RFC 6587), over TLS (RFC 5425), or without it to this
//! machine.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{PATIENCE, Placed, told};
use crate::audit::Leaf;
use crate::clock;
use crate::counterparty;

/// Facility 13, the log of audits; severity 6, informational.
const PRIORITY: u8 = 13 * 8 + 6;

/// So many leaves are sent again on a new connection: what the old one took last may be lost.
const REPEATED: u64 = 1_024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

/// A server that takes leaves.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    stream: Option<Box<dyn Stream>>,
}

impl Server {
    pub(super) fn open(to: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{to:?}: file:/path, syslog+tls://host:port, https://host/path is wanted; syslog+tcp and http only to this machine"
            )
        };
        // The same is asked of it as of other servers: a host, no user, and in the clear to this machine only.
        let (url, is_tls) = match to.split_once("://") {
            Some(("syslog+tls", rest)) => (format!("https://{rest}"), true),
            Some(("syslog+tcp", rest)) => (format!("http://{rest}"), false),
            _ => return Err(wrong()),
        };
        let url: Url = counterparty::checked(&url).map_err(|_| wrong())?;
        let tls = is_tls.then(|| counterparty::tls(ca_file)).transpose();
        Ok(Self {
            host: super::host(&url),
            port: url.port().unwrap_or(if is_tls { 6514 } else { 601 }),
            tls: tls.map_err(|error| error.to_string())?,
            stream: None,
        })
    }

    /// Makes a connection, if there is none that is still there; says how much is to be sent again on it.
    pub(super) async fn repeats(&mut self) -> Result<u64, String> {
        if let Some(stream) = &mut self.stream {
            // A server says nothing, but that it has gone.
            let mut byte = [0];
            let read = tokio::time::timeout(Duration::ZERO, stream.read(&mut byte)).await;
            if read.is_err() {
                return Ok(0);
            }
        }
        self.stream = None;
        let late = |_| "it does not shake hands".to_owned();
        let stream = tokio::time::timeout(PATIENCE, self.connect()).await;
        self.stream = Some(stream.map_err(late)??);
        Ok(REPEATED)
    }

    /// Whether there is somebody at its address.
    pub(super) async fn reach(&self) -> Result<(), String> {
        super::reach(&self.host, self.port).await.map(drop)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let failed = |error: std::io::Error| error.to_string();
        let stream = super::reach(&self.host, self.port).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|_| "its name is none for TLS".to_owned())?;
        let connector = TlsConnector::from(tls.clone());
        let stream = connector.connect(name, stream).await.map_err(failed)?;
        Ok(Box::new(stream))
    }

    /// Sends all, on the connection that there is.
    pub(super) async fn send(&mut self, leaves: &[Placed]) -> Result<(), String> {
        let mut stream = self.stream.take().ok_or("there is no connection")?;
        let text = frames(leaves);
        let sent = async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        };
        sent.await.map_err(|error| error.to_string())?;
        self.stream = Some(stream); // one that failed, or was given up, is not used again
        Ok(())
    }
}

/// Messages, each behind its length.
fn frames(leaves: &[Placed]) -> String {
    let mut text = String::new();
    for placed in leaves {
        let leaf = Leaf::from_bytes(&placed.1);
        let ms = leaf.as_ref().map_or(0, |leaf| leaf.at_ms);
        let at = clock::of_unix_ms(ms).map_or_else(|| "-".to_owned(), clock::timestamp);
        let kind = leaf.as_ref().map_or("unreadable", Leaf::kind);
        let message = format!("<{PRIORITY}>1 {at} - chancery - {kind} - {}", told(placed));
        let _ = write!(text, "{} {message}", message.len()); // writing to memory does not fail
    }
    text
}
