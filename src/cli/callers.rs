//! `chancery callers`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::client::{Service, keep_secret};
use super::{ConfigFile, print_json};
use crate::app::App;
use crate::audit::Log;
use crate::callers::{Callers, NewCaller};
use crate::clock::Clock;
use crate::config::Config;
use crate::name::Name;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the first operator, once, straight in the database; the token is shown once
    Bootstrap {
        /// The operator's name.
        #[arg(default_value = "operator")]
        name: Name,
        /// The desk or team.
        #[arg(long, default_value = "operations")]
        owner: Name,
        /// How many days the token lives, 1 to 90.
        #[arg(long, default_value_t = 30)]
        token_days: u16,
        /// Write the token to this new file, for its owner only, instead of standard output.
        #[arg(long, value_name = "FILE")]
        token_out: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List callers; never a token
    List {
        #[command(flatten)]
        service: Service,
    },
    /// Show a caller; never a token
    Show {
        /// The caller's name.
        name: Name,
        #[command(flatten)]
        service: Service,
    },
    /// Make a caller; the token is shown once
    Create {
        /// A name that no other caller has.
        name: Name,
        /// The desk or team.
        #[arg(long)]
        owner: Name,
        /// What the policy knows the caller as: operator, trader, auditor. Several times for several.
        #[arg(long = "role", required = true)]
        roles: Vec<Name>,
        /// How many days the token lives, 1 to 90.
        #[arg(long, default_value_t = 30)]
        token_days: u16,
        /// Write the token to this new file, for its owner only, instead of standard output.
        #[arg(long, value_name = "FILE")]
        token_out: Option<PathBuf>,
        #[command(flatten)]
        service: Service,
    },
    /// Issue another token; the older ones live until they expire
    Token {
        /// The caller's name.
        name: Name,
        /// How many days the token lives, 1 to 90.
        #[arg(long, default_value_t = 30)]
        token_days: u16,
        /// Write the token to this new file, for its owner only, instead of standard output.
        #[arg(long, value_name = "FILE")]
        token_out: Option<PathBuf>,
        #[command(flatten)]
        service: Service,
    },
    /// Revoke a caller with all their tokens, at once
    Revoke {
        /// The caller's name.
        name: Name,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Bootstrap {
            name,
            owner,
            token_days,
            token_out,
            config,
        } => {
            let new = NewCaller {
                name,
                owner,
                roles: vec!["operator".parse()?],
                token_days,
            };
            let token = bootstrap(&config.load()?, &new).await?;
            keep_secret(&token, token_out.as_ref())
        }
        Command::List { service } => print_json(&service.client()?.get("/v1/callers").await?),
        Command::Show { name, service } => print_json(
            &service
                .client()?
                .get(&format!("/v1/callers/{name}"))
                .await?,
        ),
        Command::Create {
            name,
            owner,
            roles,
            token_days,
            token_out,
            service,
        } => {
            let body =
                json!({ "name": name, "owner": owner, "roles": roles, "token_days": token_days });
            let answer = service.client()?.post("/v1/callers", &body).await?;
            keep_secret(
                answer["token"].as_str().unwrap_or_default(),
                token_out.as_ref(),
            )
        }
        Command::Token {
            name,
            token_days,
            token_out,
            service,
        } => {
            let body = json!({ "token_days": token_days });
            let path = format!("/v1/callers/{name}/tokens");
            let answer = service.client()?.post(&path, &body).await?;
            keep_secret(
                answer["token"].as_str().unwrap_or_default(),
                token_out.as_ref(),
            )
        }
        Command::Revoke { name, service } => {
            let path = format!("/v1/callers/{name}/revoke");
            print_json(&service.client()?.post(&path, &json!({})).await?)
        }
    }
}

/// Makes the first operator; gives back the token.
pub(super) async fn bootstrap(config: &Config, new: &NewCaller) -> anyhow::Result<String> {
    let ledger = App::ledger(config)?;
    ledger.check_schema().await?;
    let log = Log::open(ledger.clone(), &App::writer(config), Clock::system()).await?;
    let token = Callers::new(ledger, Clock::system())
        .bootstrap(new, &log)
        .await?;
    Ok(token.expose().to_owned())
}
