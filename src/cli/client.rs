//! The API's client, for the commands that speak to a running service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Which service, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct Service {
    /// The service.
    #[arg(long, help = "The service; also CHANCERY_URL", default_value_t = super::from_environment("CHANCERY_URL", "http://127.0.0.1:7300"))]
    url: String,
    /// The file with your token.
    #[arg(long, help = "The file with your token; also CHANCERY_TOKEN_FILE", default_value_t = super::from_environment("CHANCERY_TOKEN_FILE", "/etc/chancery/token"))]
    token_file: String,
}

impl Service {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url, Path::new(&self.token_file))
    }
}

/// Speaks to the service.
pub(super) struct Client {
    base: String,
    token: SecretString,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(base: &str, token_file: &Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(token_file)
            .with_context(|| format!("cannot read the token file {}", token_file.display()))?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_mins(2))
            .build()?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self {
            base,
            token: SecretString::from(token.trim()),
            http,
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

    /// Writes, once: repeated after a lost answer under the same key.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> anyhow::Result<Value> {
        let key = uuid::Uuid::new_v4().to_string();
        let attempt = async || {
            let request = self.http.post(format!("{}{path}", self.base));
            self.send(request.header("idempotency-key", &key).json(body))
                .await
        };
        let (status, body) = match attempt().await {
            Ok(answer) => answer,
            Err(_) => attempt().await?,
        };
        accept(status, body)
    }

    /// Deletes, once: a second time has the same effect.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.delete(format!("{}{path}", self.base));
        let (status, body) = self.send(request).await?;
        accept(status, body)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
        let answer = request
            .bearer_auth(self.token.expose_secret())
            .send()
            .await
            .with_context(|| format!("no answer from {}", self.base))?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }
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

/// Writes a secret where only its owner reads it, or to standard output where no file is named.
pub(super) fn keep_secret(secret: &str, file: Option<&PathBuf>) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let Some(file) = file else {
        super::print_line(secret);
        return Ok(());
    };
    let mut open = std::fs::OpenOptions::new();
    let mut opened = open
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(opened, "{secret}")?;
    Ok(())
}
