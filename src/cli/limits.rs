//! `chancery limits`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Service;
use super::list::List;
use super::print_json;
use crate::limits::ScopeKind;
use crate::name::Name;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all that is limited
    List {
        #[command(flatten)]
        list: List,
    },
    /// Show the limits of something, and how much of them is used
    Show {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        service: Service,
    },
    /// Set the limits of something: the whole document takes the place of the one before
    Set {
        #[command(flatten)]
        what: What,
        /// The document, as JSON: amounts as text in base units, 1 dollar being "1000000".
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        service: Service,
    },
    /// Ask the CLOB which orders of a wallet are over, and count those as open exposure no more
    Look {
        /// The wallet's name.
        wallet: Name,
        #[command(flatten)]
        service: Service,
    },
    /// Remove all limits of something
    Remove {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        service: Service,
    },
}

/// What is limited.
#[derive(Debug, Args)]
pub(super) struct What {
    /// global, caller, key, caller-key, wallet or market.
    scope: ScopeKind,
    /// The name of a caller, key or wallet; CALLER,KEY; the id of a token; all.
    #[arg(default_value = "all")]
    id: String,
}

impl What {
    fn path(&self) -> String {
        format!("/v1/limits/{}/{}", self.scope, self.id)
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { list } => list.print("/v1/limits", &["scope", "name", "id"]).await,
        Command::Show { what, service } => {
            let client = service.client()?;
            let mut shown = client.get(&what.path()).await?;
            let usage = client.get(&format!("{}/usage", what.path())).await?;
            shown["used"] = usage["used"].clone();
            print_json(&shown)
        }
        Command::Set {
            what,
            file,
            service,
        } => {
            let shown = file.display();
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("cannot read {shown}"))?;
            let limits: Value =
                serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
            print_json(&service.client()?.put(&what.path(), &limits).await?)
        }
        Command::Look { wallet, service } => {
            let path = format!("/v1/wallets/{wallet}/exposure");
            service.ask(&path, &json!({})).await
        }
        Command::Remove { what, service } => {
            print_json(&service.client()?.remove(&what.path()).await?)
        }
    }
}
