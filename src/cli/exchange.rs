//! `chancery exchange`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Service;
use super::exchange_shown::{endpoints, explained, token_scopes};
use super::{print_json, table};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the scopes that the Exchange API documents
    Scopes {
        #[command(flatten)]
        asked: AnswerOptions,
    },
    /// Say which scope a call needs; without a call, list all endpoints
    Endpoints {
        /// A path, a URL, or the name of a gRPC call.
        path: Option<String>,
        /// GET, POST or gRPC.
        #[arg(long)]
        method: Option<String>,
        /// As they are in this environment of the service.
        #[arg(long)]
        environment: Option<String>,
        #[command(flatten)]
        asked: AnswerOptions,
    },
    /// Say why the Exchange API, or its authorization server, refused
    Explain(Box<Refusal>),
    /// List the environments that the service is configured for
    Environments {
        #[command(flatten)]
        asked: AnswerOptions,
    },
    /// Look into an access token: what it grants and what that opens. Its signature is not checked
    Token {
        /// The file with the token; `-` is standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// A call that it should be good for, such as "GET /v1/positions"; may be repeated.
        #[arg(long, value_name = "CALL")]
        wanted: Vec<String>,
        #[command(flatten)]
        asked: AnswerOptions,
    },
}

/// What was refused, as far as you know.
#[derive(Debug, Args)]
pub(super) struct Refusal {
    /// The HTTP status of the answer.
    #[arg(long)]
    status: Option<u16>,
    /// The gRPC status of the answer, as a number.
    #[arg(long, allow_negative_numbers = true)]
    grpc_status: Option<i64>,
    /// The file with the answer's body; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A header of the answer, such as "Date: …"; may be repeated.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Who answered: api or token-endpoint.
    #[arg(long)]
    from: Option<String>,
    /// What came instead of an answer: timeout, reset or unreachable.
    #[arg(long)]
    failure: Option<String>,
    /// The call that was refused, such as "GET /v1/positions".
    #[arg(long)]
    call: Option<String>,
    /// The environment.
    #[arg(long)]
    environment: Option<String>,
    /// The client's name here.
    #[arg(long)]
    client: Option<String>,
    /// The file with the assertion that was sent. Its signature is not looked at.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["claims", "id"])]
    assertion: Option<PathBuf>,
    /// The file with the assertion's claims, as JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    claims: Option<PathBuf>,
    /// The assertion's id here.
    #[arg(long)]
    id: Option<String>,
    /// The file with the access token that the call was made with.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// When it was sent, in seconds since 1970.
    #[arg(long)]
    sent_at: Option<i64>,
    #[command(flatten)]
    asked: AnswerOptions,
}

impl Refusal {
    fn question(&self) -> anyhow::Result<Value> {
        let text = |file: &Option<PathBuf>| file.as_deref().map(read).transpose();
        let mut question = serde_json::Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                question.insert(name.to_owned(), value);
            }
        };
        let body = text(&self.body)?;
        if self.status.is_some() || self.grpc_status.is_some() || body.is_some() {
            let headers: serde_json::Map<_, _> = self
                .header
                .iter()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.trim().to_owned(), value.trim().into()))
                .collect();
            put(
                "answer",
                json!({
                    "status": self.status, "grpc_status": self.grpc_status, "body": body,
                    "from": self.from, "headers": headers,
                }),
            );
        }
        let claims = text(&self.claims)?;
        let claims = claims.map(|it| serde_json::from_str::<Value>(&it));
        let claims = claims.transpose().context("the claims are not JSON")?;
        put("failure", json!(self.failure));
        put("call", json!(self.call.as_deref().map(call)));
        put("environment", json!(self.environment));
        put("client", json!(self.client));
        put("assertion", json!(text(&self.assertion)?));
        put("claims", json!(claims));
        put("id", json!(self.id));
        put("token", json!(text(&self.token)?));
        put("sent_at", json!(self.sent_at));
        Ok(question.into())
    }
}

/// Which service, and in which form the answer is printed.
#[derive(Debug, Args)]
pub(super) struct AnswerOptions {
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) service: Service,
}

impl AnswerOptions {
    /// Prints an answer: as it came, or as `readable` does.
    pub(super) fn print(
        &self,
        answer: &Value,
        readable: impl FnOnce(&Value),
    ) -> anyhow::Result<()> {
        if self.json {
            return print_json(answer);
        }
        readable(answer);
        Ok(())
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Scopes { asked } => {
            let answer = asked.service.client()?.get("/v1/exchange/scopes").await?;
            asked.print(&answer, |answer| {
                let rows = table::rows(answer, &["scope", "description"]);
                table::print(&["scope", "what it is for"], &rows);
            })
        }
        Command::Endpoints {
            path,
            method,
            environment,
            asked,
        } => {
            let wanted = [
                ("path", path),
                ("method", method),
                ("environment", environment),
            ];
            let wanted = wanted
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            let query = reqwest::Url::parse_with_params("http://query/", wanted)?;
            let path = format!("/v1/exchange/endpoints?{}", query.query().unwrap_or(""));
            let answer = asked.service.client()?.get(&path).await?;
            asked.print(&answer, endpoints)
        }
        Command::Explain(refusal) => {
            let question = refusal.question()?;
            let client = refusal.asked.service.client()?;
            let answer = client.post("/v1/exchange/explain", &question).await?;
            refusal.asked.print(&answer, explained)
        }
        Command::Environments { asked } => {
            let answer = asked.service.client()?.get("/v1/environments").await?;
            asked.print(&answer, |answer| {
                let members = ["name", "api_url", "assertion_aud", "kid", "lifetime_s"];
                let rows = table::rows(answer, &members);
                table::print(&["name", "api", "aud", "kid", "life (s)"], &rows);
            })
        }
        Command::Token {
            file,
            wanted,
            asked,
        } => {
            let token = zeroize::Zeroizing::new(read(&file)?);
            let wanted: Vec<_> = wanted.iter().map(|it| call(it)).collect();
            let question = json!({ "token": token.trim(), "wanted": wanted });
            let client = asked.service.client()?;
            let answer = client.post("/v1/exchange/token-scopes", &question).await?;
            asked.print(&answer, token_scopes)
        }
    }
}

/// `GET /v1/positions`, or the path alone.
pub(super) fn call(text: &str) -> Value {
    match text.trim().split_once(' ') {
        Some((method, path)) => json!({ "method": method, "path": path.trim() }),
        None => json!({ "path": text.trim() }),
    }
}

/// A file, or standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
