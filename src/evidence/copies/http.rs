//! A copy at an HTTP server: lines of JSON, posted. Any 2xx is a receipt for all of them, and nothing else is.

use std::path::Path;

use reqwest::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use super::{PATIENCE, Placed, told};
use crate::counterparty::{self, Counterparty};
use crate::guarded_file;

/// A server that takes leaves.
pub(super) struct Server {
    host: String,
    port: u16,
    receiver: Counterparty,
    token: Option<Zeroizing<String>>,
}

impl Server {
    pub(super) fn open(
        url: &str,
        token: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> Result<Self, String> {
        let receiver = Counterparty::open_trusting(url, PATIENCE, ca_file);
        let receiver = receiver.map_err(|error| error.to_string())?;
        let url = counterparty::checked(url).map_err(|error| error.to_string())?;
        let read = |file: &Path| {
            let token = guarded_file::read_secret(file);
            token.map_err(|error| format!("token_file {}: {error}", file.display()))
        };
        Ok(Self {
            host: super::host(&url),
            port: url.port_or_known_default().unwrap_or(443),
            receiver,
            token: token.map(read).transpose()?,
        })
    }

    /// Whether there is somebody at its address.
    pub(super) async fn reach(&self) -> Result<(), String> {
        super::reach(&self.host, self.port).await.map(drop)
    }

    pub(super) async fn post(&self, origin: &str, leaves: &[Placed]) -> Result<(), String> {
        let lines = leaves.iter().map(|it| format!("{}\n", told(it)));
        let mut request = self
            .receiver
            .post()
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header("chancery-log", origin)
            .body(lines.collect::<String>());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.trim());
        }
        let reply = counterparty::send(request).await;
        match reply.map_err(|why| why.to_string())?.status {
            200..300 => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }
}
