//! The API's client, for the commands that speak to a running service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::print_json;
use crate::environment;
use crate::guarded_file;
use crate::idempotency::Key;

/// Which service, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct Service {
    /// The service.
    #[arg(long, help = "The service; also CHANCERY_URL", default_value_t = super::from_environment("CHANCERY_URL", "http://127.0.0.1:7300"))]
    url: String,
    /// The file with your token.
    #[arg(long, help = "The file with your token; also CHANCERY_TOKEN_FILE", default_value_t = super::from_environment("CHANCERY_TOKEN_FILE", "/etc/chancery/token"))]
    token_file: String,
    /// The authority that signed for the service, in PEM, where it is your own.
    #[arg(
        long,
        value_name = "FILE",
        help = "The authority that signed for the service, in PEM; also CHANCERY_CA_FILE"
    )]
    ca_file: Option<PathBuf>,
    /// A certificate that says who you are, in place of the token: PEM, with what it was signed by, and its key.
    #[arg(
        long,
        value_name = "FILE",
        help = "A certificate, its chain and its key in PEM, in place of the token; also CHANCERY_CLIENT_CERT_FILE"
    )]
    client_cert_file: Option<PathBuf>,
    /// Repeat a command that failed under the key that it named: what was done is not done again.
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    idempotency_key: Option<String>,
    /// Do not wait where others have to approve it first: say under which key to repeat it then.
    #[arg(long)]
    no_wait: bool,
}

/// A key that leaves room for the number of a request.
fn parse_key(text: &str) -> Result<String, String> {
    let key = Key::try_from(text).map_err(|error| error.to_string())?;
    if text.len() > 240 {
        return Err("at most 240 characters".into());
    }
    Ok(key.to_string())
}

impl Service {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let given = || environment::variable("CHANCERY_CA_FILE").map(PathBuf::from);
        let ca_file = self.ca_file.clone().or_else(given);
        let given = || environment::variable("CHANCERY_CLIENT_CERT_FILE").map(PathBuf::from);
        let certificate = self.client_cert_file.clone().or_else(given);
        let who = match &certificate {
            Some(file) => Who::certified(file)?,
            None => Who::with_token(Path::new(&self.token_file))?,
        };
        let mut client = Client::trusting(ca_file.as_deref(), &self.url, who)?;
        if let Some(key) = &self.idempotency_key {
            client.key.clone_from(key);
        }
        client.waits = !self.no_wait;
        Ok(client)
    }

    /// Reads what has to be there, and prints it.
    pub(super) async fn show(&self, path: &str) -> anyhow::Result<()> {
        print_json(&self.client()?.get(path).await?)
    }

    /// Asks for something, and prints the answer.
    pub(super) async fn ask(&self, path: &str, body: &impl serde::Serialize) -> anyhow::Result<()> {
        print_json(&self.client()?.post(path, body).await?)
    }
}

const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// How a token travels without being read on its way.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// Under TLS.
    Encrypted,
    /// On this computer.
    Loopback,
}

impl Way {
    /// Refuses what would show a token to others.
    fn to(base: &str) -> anyhow::Result<Self> {
        let url = reqwest::Url::parse(base).with_context(|| format!("{base} is no URL"))?;
        let host = url.host_str().unwrap_or_default();
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        let is_local = host == "localhost" || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match url.scheme() {
            "https" | "http" if is_local => Ok(Self::Loopback),
            "https" => Ok(Self::Encrypted),
            "http" => bail!(
                "a token would go to {host} in clear text: say https, or 127.0.0.1 on the service's own host"
            ),
            other => bail!("{other}: the service speaks https, and http on its own host"),
        }
    }
}

/// The authorities in a file. Whoever could write it could be the service.
fn authorities(file: &Path) -> anyhow::Result<Vec<reqwest::Certificate>> {
    let failed = || format!("cannot read the authority {}", file.display());
    let text = guarded_file::read_secret(file).with_context(failed)?;
    let all = reqwest::Certificate::from_pem_bundle(text.as_bytes()).with_context(failed)?;
    if all.is_empty() {
        bail!("{} holds no certificate", file.display());
    }
    Ok(all)
}

/// As whom one speaks to the service.
enum Who {
    Token(SecretString),
    Certificate(reqwest::Identity),
}

impl Who {
    fn with_token(file: &Path) -> anyhow::Result<Self> {
        let token = guarded_file::read_secret(file)
            .with_context(|| format!("cannot read the token file {}", file.display()))?;
        Ok(Self::Token(SecretString::from(token.trim())))
    }

    fn certified(file: &Path) -> anyhow::Result<Self> {
        let failed = || format!("cannot read the certificate {}", file.display());
        let text = guarded_file::read_private(file).with_context(failed)?;
        let identity = reqwest::Identity::from_pem(text.as_bytes());
        Ok(Self::Certificate(identity.with_context(|| {
            format!(
                "{}: the certificate, what it was signed by and its key are wanted, in PEM",
                file.display()
            )
        })?))
    }
}

/// Speaks to the service.
pub(super) struct Client {
    base: String,
    /// None where a certificate says who speaks.
    token: Option<SecretString>,
    http: reqwest::Client,
    /// The first write goes under it, each later one with its number behind.
    key: String,
    writes: AtomicU32,
    /// Whether it waits for others to approve.
    waits: bool,
}

impl Client {
    pub(super) fn new(base: &str, token_file: &Path) -> anyhow::Result<Self> {
        Self::trusting(None, base, Who::with_token(token_file)?)
    }

    /// One that takes this authority's word alone for who the service is.
    fn trusting(ca_file: Option<&Path>, base: &str, who: Who) -> anyhow::Result<Self> {
        let way = Way::to(base)?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_mins(2));
        // It alone counts then: who asks for their own authority means no other.
        let http = match ca_file {
            None => http,
            Some(file) => http.tls_certs_only(authorities(file)?),
        };
        let http = match way {
            Way::Encrypted => http,
            // A proxy would be handed the token in the clear, and its loopback is another one.
            Way::Loopback => http
                .no_proxy()
                .resolve_to_addrs("localhost", &LOCALHOST.map(|ip| (ip, 0).into())),
        };
        let (http, token) = match who {
            Who::Token(token) => (http, Some(token)),
            Who::Certificate(identity) => {
                if !base.starts_with("https:") {
                    bail!(
                        "{base}: a certificate is shown under TLS only, so the service's URL is https"
                    );
                }
                (http.identity(identity), None)
            }
        };
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self {
            base,
            http: http.build()?,
            token,
            key: uuid::Uuid::new_v4().to_string(),
            writes: AtomicU32::new(0),
            waits: true,
        })
    }

    /// Reads a resource; `None` where there is none.
    pub(super) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let request = self.http.get(format!("{}{path}", self.base));
        match self.send(request).await? {
            (404, _) => Ok(None),
            (status, body) => accept(status, body).map(Some),
        }
    }

    /// Reads a resource that has to be there.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base));
        let (status, body) = self.send(request).await?;
        accept(status, body)
    }

    /// Reads a part of a list, and says where the next one is.
    pub(super) async fn page(&self, path: &str) -> anyhow::Result<(Value, Option<String>)> {
        let answer = self.answer(self.http.get(format!("{}{path}", self.base)));
        let answer = answer.await?;
        let next = crate::http::next_of(answer.headers());
        let (status, body) = read(answer).await?;
        Ok((accept(status, body)?, next))
    }

    /// Under which key a command is repeated.
    pub(super) fn idempotency_key(&self) -> &str {
        &self.key
    }

    fn next_key(&self) -> String {
        match self.writes.fetch_add(1, Ordering::Relaxed) {
            0 => self.key.clone(),
            number => format!("{}.{number}", self.key),
        }
    }

    /// Writes, once: repeated after a lost answer under the same key. Where it may yet be done, or is,
    /// the key is named.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> anyhow::Result<Value> {
        let request = || self.http.post(format!("{}{path}", self.base)).json(body);
        self.write(request).await
    }

    /// The same under a key of its own, which follows from what is wanted: it is done once, whoever asks again.
    pub(super) async fn post_under(
        &self,
        key: &str,
        path: &str,
        body: &impl serde::Serialize,
    ) -> anyhow::Result<Value> {
        let request = || self.http.post(format!("{}{path}", self.base)).json(body);
        self.write_under(key, request).await
    }

    /// The same for a document that takes the place of the one before.
    pub(super) async fn put(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> anyhow::Result<Value> {
        let request = || self.http.put(format!("{}{path}", self.base)).json(body);
        self.write(request).await
    }

    /// The same for one that is to be gone.
    pub(super) async fn remove(&self, path: &str) -> anyhow::Result<Value> {
        let request = || self.http.delete(format!("{}{path}", self.base));
        self.write(request).await
    }

    async fn write(&self, request: impl Fn() -> reqwest::RequestBuilder) -> anyhow::Result<Value> {
        self.write_under(&self.next_key(), request).await
    }

    async fn write_under(
        &self,
        key: &str,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> anyhow::Result<Value> {
        let attempt = async || {
            let request = request().header("idempotency-key", key);
            self.send(request).await
        };
        let once = async || match attempt().await {
            Ok(answer) => Ok(answer),
            Err(_) => attempt().await,
        };
        let mut answer = once().await;
        if let Ok((202, view)) = &answer {
            self.approved(view).await?;
            answer = once().await;
        }
        // A refusal for good is the same under any key.
        let is_open = match &answer {
            Err(_) => true,
            Ok((status, body)) => *status >= 500 || body["action"].to_string().contains("Repeat"),
        };
        let done = answer.and_then(|(status, body)| accept(status, body));
        if is_open {
            return done.map_err(|error| {
                anyhow!(
                    "{error:#}\nTo repeat it: the same command with --idempotency-key {}",
                    self.key
                )
            });
        }
        done
    }

    /// Waits until a proposal is approved, or over.
    async fn approved(&self, view: &Value) -> anyhow::Result<()> {
        say_waiting(view);
        let path = format!("/v1/approvals/{}", view["id"].as_str().unwrap_or_default());
        if !self.waits {
            bail!(
                "To do it when it is approved: the same command with --idempotency-key {}",
                self.key
            );
        }
        // Where it is over, the request itself says why.
        while self.get(&path).await?["state"] == "waiting" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Deletes, once: a second time has the same effect.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.delete(format!("{}{path}", self.base));
        let (status, body) = self.send(request).await?;
        accept(status, body)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
        read(self.answer(request).await?).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let answer = request.send().await;
        answer.with_context(|| format!("no answer from {}", self.base))
    }
}

async fn read(answer: reqwest::Response) -> anyhow::Result<(u16, Value)> {
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    ))
}

/// Says what a request waits for.
fn say_waiting(view: &Value) {
    let text = |name: &str| view[name].as_str().unwrap_or_default();
    super::remark(&format!(
        "This waits for approval: {}\n{}; expires {}\n  chancery approvals approve {} --ssh-key FILE",
        text("sentence"),
        text("missing"),
        text("expires_at"),
        text("id"),
    ));
}

/// An answer, or the problem in words.
fn accept(status: u16, body: Value) -> anyhow::Result<Value> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let member = |name: &str| body[name].as_str().unwrap_or_default();
    if member("title").is_empty() {
        bail!("the service answered {status}");
    }
    bail!(
        "{}: {}\n{}",
        member("title"),
        member("detail"),
        member("action")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_nowhere_in_clear_text_but_to_this_computer() {
        for (url, way) in [
            ("https://chancery.example", Way::Encrypted),
            ("https://10.0.0.7:8443/base", Way::Encrypted),
            ("http://127.0.0.1:7300", Way::Loopback),
            ("http://127.8.8.8", Way::Loopback),
            ("http://[::1]:7300/", Way::Loopback),
            ("HTTP://LocalHost:7300", Way::Loopback),
            ("https://localhost:7301", Way::Loopback),
        ] {
            assert_eq!(Way::to(url).unwrap(), way, "{url}");
        }
        for url in [
            "http://chancery.example",
            "http://127.0.0.1.example:7300",
            "http://localhost.example",
            "http://127.0.0.1@chancery.example",
            "http://10.0.0.7",
            "http://0.0.0.0:7300",
            "http://[::ffff:10.0.0.7]",
            "ftp://127.0.0.1",
            "127.0.0.1:7300",
            "",
        ] {
            assert!(Way::to(url).is_err(), "{url}");
        }
    }
}
