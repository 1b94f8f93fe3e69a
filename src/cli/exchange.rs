//! `chancery exchange`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Service;
use super::{print_json, print_line, table};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the scopes that the Exchange API documents
    Scopes {
        #[command(flatten)]
        asked: Asked,
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
        asked: Asked,
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
        asked: Asked,
    },
}

/// Which service, and in which form the answer is printed.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) service: Service,
}

impl Asked {
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

fn endpoints(list: &Value) {
    let mut rows = table::rows(list, &["method", "endpoint", "required_scope", "note"]);
    for (row, endpoint) in rows.iter_mut().zip(list.as_array().into_iter().flatten()) {
        if endpoint["required_scope"].is_null() {
            "(none)".clone_into(&mut row[2]);
        }
        if endpoint["available"] == false {
            "(not in this environment)".clone_into(&mut row[3]);
        }
    }
    table::print(&["method", "endpoint", "scope", "note"], &rows);
}

fn token_scopes(answer: &Value) {
    for (title, member) in [
        ("for", "client_id"),
        ("audience", "audiences"),
        ("environment", "environment"),
        ("expires", "expires_at"),
        ("grants", "granted"),
        ("also", "undocumented"),
    ] {
        print_line(&format!("{title:<12} {}", table::cell(&answer[member])));
    }
    if answer["expired"] == true {
        print_line("It has expired.");
    }
    print_line("Nobody has checked the token's signature.");
    print_line("");
    endpoints(&answer["opens"]);
    let missing = table::rows(&answer["missing"], &["path", "scope", "detail"]);
    if !missing.is_empty() {
        print_line("");
        table::print(&["wanted", "missing scope", "why"], &missing);
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
