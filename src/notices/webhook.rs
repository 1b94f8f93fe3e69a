//! A webhook: the message is posted, signed as the Standard Webhooks specification has it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::NotDelivered;
use super::message::Message;
use super::settings::{BadDestination, WebhookSettings};
use super::signature::{Secret, sign};
use crate::counterparty::{self, Counterparty, NoReply};

/// The longest that a receiver may put a notice off.
const LONGEST_WAIT_S: u32 = 3_600;

/// The receiver is gone, and says so.
const GONE: u16 = 410;

/// A receiver of notices.
pub(super) struct Webhook {
    receiver: Counterparty,
    secrets: Vec<Secret>,
    /// For looking whether it is there.
    url: Url,
    tls: Arc<tokio_rustls::rustls::ClientConfig>,
    timeout: Duration,
}

impl Webhook {
    pub(super) fn open(settings: &WebhookSettings) -> Result<Self, BadDestination> {
        let name = || settings.name.clone();
        let timeout = Duration::from_millis(settings.timeout_ms.get());
        let bad = |error| BadDestination::Webhook(name(), error);
        let ca_file = settings.ca_file.as_deref();
        let receiver = Counterparty::open_trusting(&settings.url, timeout, ca_file).map_err(bad)?;
        let secrets = settings.secret_files.iter().map(|file| Secret::read(file));
        let secrets: Result<Vec<_>, _> = secrets.collect();
        let secrets = secrets.map_err(|error| BadDestination::Secret(name(), error))?;
        if secrets.is_empty() {
            return Err(BadDestination::NoSecret(name()));
        }
        Ok(Self {
            receiver,
            secrets,
            url: counterparty::checked(&settings.url).map_err(bad)?,
            tls: counterparty::tls(ca_file).map_err(bad)?,
            timeout,
        })
    }

    /// Posts a message. Any 2xx is a receipt, and nothing else is.
    pub(super) async fn send(&self, message: &Message, now_s: i64) -> Result<(), NotDelivered> {
        let (id, body) = (message.id.to_string(), message.to_json());
        let request = self
            .receiver
            .post()
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", now_s)
            .header("webhook-signature", sign(&self.secrets, &id, now_s, &body))
            .body(body);
        let reply = match counterparty::send(request).await {
            Ok(reply) => reply,
            // What it says is of no interest, so it has said that it was taken or not by its status alone.
            Err(why @ (NoReply::Unreachable | NoReply::Lost | NoReply::TooLarge)) => {
                return Err(NotDelivered::new(why.to_string()));
            }
        };
        if (200..300).contains(&reply.status) {
            return Ok(());
        }
        let after = reply.retry_after_s().map(|it| it.min(LONGEST_WAIT_S));
        Err(NotDelivered {
            after: after.map(|s| Duration::from_secs(s.into())),
            is_final: reply.status == GONE,
            ..NotDelivered::new(format!("it answered {}", reply.status))
        })
    }

    /// Connects, and under TLS sees its certificate.
    pub(super) async fn reach(&self) -> Result<(), NotDelivered> {
        let connecting = tokio::time::timeout(self.timeout, self.connect());
        let late = |_| NotDelivered::new(NoReply::Unreachable.to_string());
        connecting.await.map_err(late)?
    }

    async fn connect(&self) -> Result<(), NotDelivered> {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.url.port_or_known_default().unwrap_or(443);
        let failed = |error: std::io::Error| NotDelivered::new(error.to_string());
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        if self.url.scheme() == "https" {
            let name = ServerName::try_from(host.to_owned());
            let name = name.map_err(|_| NotDelivered::new("its name is none for TLS"))?;
            let connector = TlsConnector::from(self.tls.clone());
            connector.connect(name, stream).await.map_err(failed)?;
        }
        Ok(())
    }
}
