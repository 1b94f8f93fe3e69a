//! `chancery notices`

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tokio::net::TcpListener;

use super::client::Service;
use super::list::List;
use super::{print_json, print_line, remark};
use crate::clock::Clock;
use crate::http;
use crate::notices::State;
use crate::notices::signature::{NotVerified, Secret};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what somebody was or is to be told, and whether it arrived
    List {
        /// Only what has a delivery that stands like this: waiting, delivered, dead.
        #[arg(long)]
        state: Option<State>,
        #[command(flatten)]
        list: List,
    },
    /// Send a test notice to each destination, and say what came of it
    Test {
        #[command(flatten)]
        service: Service,
    },
    /// Receive notices, to try them: verify each, and print it as a line of JSON
    Receive(Receive),
}

/// Where, and what is taken.
#[derive(Debug, Args)]
pub(super) struct Receive {
    /// An address of this machine.
    #[arg(long, default_value = "127.0.0.1:7310", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A file with the secret, as a webhook's in the configuration. Several times while one takes the place of
    /// another.
    #[arg(long = "secret-file", required = true, value_name = "FILE")]
    secret_files: Vec<PathBuf>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { state, list } => {
            let path = state.map_or_else(
                || "/v1/notices".to_owned(),
                |state| format!("/v1/notices?state={state}"),
            );
            list.print(&path, &["id", "kind", "at", "sentence"]).await
        }
        Command::Test { service } => {
            let client = service.client()?;
            let tried = client.post("/v1/notices/test", &json!({})).await?;
            print_json(&tried)?;
            let all = tried.as_array().map(Vec::as_slice).unwrap_or_default();
            if all.is_empty() {
                bail!(
                    "nobody is to be told: the configuration has no [[notices.webhooks]] and no [notices.mail]"
                );
            }
            let failed = all.iter().filter(|it| !it["trouble"].is_null()).count();
            if failed > 0 {
                bail!("{failed} of {} destinations took nothing", all.len());
            }
            Ok(())
        }
        Command::Receive(options) => receive(options).await,
    }
}

async fn receive(options: Receive) -> anyhow::Result<()> {
    if !options.listen.ip().is_loopback() {
        bail!("notices come here in the clear: listen on 127.0.0.1 or [::1]");
    }
    let secrets = options.secret_files.iter().map(|file| Secret::read(file));
    let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
    let failed = || format!("cannot listen on {}", options.listen);
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(failed)?;
    remark(&format!("receiving on http://{}/", listener.local_addr()?));
    http::receive(listener, secrets, Clock::system(), show).await?;
    Ok(())
}

fn show(received: Result<&str, NotVerified>) {
    match received {
        Ok(body) => print_line(body),
        Err(why) => remark(&format!("not taken: {why}")),
    }
}
