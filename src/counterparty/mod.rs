//! HTTP to those outside: the CLOB, an environment's authorization server.
//!
//! It **trusts** nothing that comes back: no redirect is followed, for a request carries credentials,
//! and an answer has limits in size and time. What an answer means is the concern of whoever asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request, RequestBuilder, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;
use time::macros::format_description;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use crate::{guarded_file, traces};

/// The most that is read of an answer. A book of thousands of levels fits.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// How much of a counterparty's text callers are shown.
pub const QUOTE_LIMIT: usize = 300;

/// A server that is spoken to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Counterparty {
    http: reqwest::Client,
    url: Url,
}

/// Why a server cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum BadCounterparty {
    /// The URL is none, or would carry credentials in the clear.
    #[error("{0:?}: https://host is wanted, without user or query; http only to this machine")]
    Url(String),
    /// No TLS.
    #[error("the HTTP client: {0}")]
    Client(reqwest::Error),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The file of its authorities cannot be used.
    #[error("ca_file {0}: {1}")]
    Authorities(PathBuf, String),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// No connection was made: nothing was delivered.
    #[error("it cannot be reached")]
    Unreachable,
    /// The request may have been delivered; the answer was lost or did not come in time.
    #[error("it did not answer in time")]
    Lost,
    /// The answer is larger than any answer.
    #[error("its answer is too large")]
    TooLarge,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// A URL to which credentials may go.
pub fn checked(url: &str) -> Result<Url, BadCounterparty> {
    let wrong = || BadCounterparty::Url(url.to_owned());
    let url: Url = url.parse().map_err(|_| wrong())?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !plain || !(url.scheme() == "https" || (url.scheme() == "http" && local)) {
        return Err(wrong());
    }
    Ok(url)
}

/// The authorities in a file, in PEM. Whoever could write it could be the server.
pub fn authorities(file: &Path) -> Result<Zeroizing<String>, BadCounterparty> {
    let failed = |why: String| BadCounterparty::Authorities(file.to_owned(), why);
    let text = guarded_file::read_secret(file).map_err(|error| failed(error.to_string()))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        Ok(text)
    } else {
        Err(failed("it holds no certificate".into()))
    }
}

/// How TLS is spoken to a server by whoever sends no request: with the same certificates as those who do.
pub fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, BadCounterparty> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let failed = |error: &dyn std::fmt::Display| BadCounterparty::Tls(error.to_string());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let tls = match ca_file {
        None => tls
            .with_platform_verifier()
            .map_err(|error| failed(&error))?,
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(authorities(file)?.as_bytes()) {
                let authority = authority.map_err(|error| failed(&error))?;
                roots.add(authority).map_err(|error| failed(&error))?;
            }
            tls.with_root_certificates(roots)
        }
    };
    Ok(Arc::new(tls.with_no_client_auth()))
}

impl Counterparty {
    /// A client for the server at this URL, whose calls take no longer than `timeout`.
    pub fn open(url: &str, timeout: Duration) -> Result<Self, BadCounterparty> {
        Self::open_trusting(url, timeout, None)
    }

    /// The same for one whose certificates are by the authorities in this file, and by no other.
    pub fn open_trusting(
        url: &str,
        timeout: Duration,
        ca_file: Option<&Path>,
    ) -> Result<Self, BadCounterparty> {
        let url = checked(url)?;
        let http = reqwest::Client::builder();
        let http = match ca_file {
            Some(file) => {
                let all = reqwest::Certificate::from_pem_bundle(authorities(file)?.as_bytes());
                http.tls_certs_only(all.map_err(BadCounterparty::Client)?)
            }
            None => http,
        };
        // A proxy would be handed it in the clear, and its loopback is another one.
        let http = match url.scheme() {
            "http" => http.no_proxy(),
            _ => http,
        };
        let http = http
            .redirect(reqwest::redirect::Policy::none()) // credentials go where we sent them
            .http1_only()
            .connect_timeout(timeout / 2)
            .timeout(timeout)
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(BadCounterparty::Client)?;
        Ok(Self { http, url })
    }

    /// A request to a path below the server's URL.
    pub fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.url.clone();
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url)
    }

    /// A request to the server's URL itself.
    pub fn post(&self) -> RequestBuilder {
        self.http.post(self.url.clone())
    }
}

/// Sends a request, once.
pub async fn send(request: RequestBuilder) -> Result<Reply, NoReply> {
    let (http, request) = request.build_split();
    let request = request.map_err(no_reply)?;
    let span = tracing::info_span!(
        "call",
        server.address = request.url().host_str(),
        method = %request.method(),
    );
    exchange(&http, request).instrument(span).await
}

fn no_reply(error: reqwest::Error) -> NoReply {
    let unsent = error.is_connect() || error.is_builder();
    tracing::debug!(error = %error.without_url(), "a call failed");
    if unsent {
        NoReply::Unreachable
    } else {
        NoReply::Lost
    }
}

async fn exchange(http: &reqwest::Client, mut request: Request) -> Result<Reply, NoReply> {
    if let Some(Ok(trace)) = traces::outgoing().map(HeaderValue::try_from) {
        request.headers_mut().insert(traces::TRACEPARENT, trace);
    }
    let mut response = http.execute(request).await.map_err(no_reply)?;
    let status = response.status().as_u16();
    traces::note("http.response.status_code", status.into());
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| NoReply::Lost)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return Err(NoReply::TooLarge);
        }
    }
    Ok(Reply {
        status,
        headers,
        body,
    })
}

impl Reply {
    /// The body without the byte order mark and the white space around it.
    pub fn text(&self) -> &[u8] {
        let body = self.body.strip_prefix("\u{feff}".as_bytes());
        body.unwrap_or(&self.body).trim_ascii()
    }

    /// Whether it is HTML: no server that is spoken to here writes any, so something else answered.
    pub fn is_page(&self) -> bool {
        self.text().starts_with(b"<")
    }

    /// `Date`: the server's clock, in seconds since 1970.
    pub fn date(&self) -> Option<i64> {
        date(self.headers.get(DATE)?.to_str().ok()?)
    }

    /// `Retry-After`, where it is a number of seconds.
    pub fn retry_after_s(&self) -> Option<u32> {
        let value = self.headers.get(RETRY_AFTER)?;
        value.to_str().ok()?.trim().parse().ok()
    }
}

/// A header's date (RFC 9110, section 5.6.7, the form that is written today), in seconds since 1970.
pub fn date(text: &str) -> Option<i64> {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(text, form).ok()?;
    Some(date.assume_utc().unix_timestamp())
}

/// What may be shown of a counterparty's text.
pub fn quoted(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(QUOTE_LIMIT).collect()
}

#[cfg(test)]
mod tests;
