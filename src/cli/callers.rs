//! `chancery callers`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Service;
use super::destination::Destination;
use super::known_by::KnownBy;
use super::list::List;
use super::{ConfigFile, remark};
use crate::app::App;
use crate::callers::{Callers, NewCaller, NewCallerToken, Token};
use crate::clock::Clock;
use crate::config::Config;
use crate::name::Name;
use crate::{administrators, custody, keys};

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
        #[command(flatten)]
        token_out: TokenOut,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Make a caller who manages callers for an hour, where nobody is left who can: raises an alarm
    BreakGlass {
        /// A name that no other caller has.
        name: Name,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        /// The device that is to open: the name of a [custody.NAME] section that holds keys.
        #[arg(long)]
        device: Name,
        /// The configuration with the way into the database of the schema's owner, as `migrate` has it.
        #[arg(long, value_name = "FILE")]
        owner_config: PathBuf,
        #[command(flatten)]
        token_out: TokenOut,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List callers; never a token
    List {
        #[command(flatten)]
        list: List,
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
        #[command(flatten)]
        new: NewCaller,
        #[command(flatten)]
        token_out: TokenOut,
        #[command(flatten)]
        service: Service,
    },
    /// Issue another token; the older ones live until they expire
    Token {
        /// The caller's name.
        name: Name,
        #[command(flatten)]
        new: NewCallerToken,
        #[command(flatten)]
        token_out: TokenOut,
        #[command(flatten)]
        service: Service,
    },
    /// Give a caller a credential that others vouch for: a SPIFFE ID, a certificate, an issuer's word
    Credential {
        /// The caller's name.
        name: Name,
        #[command(flatten)]
        known_by: KnownBy,
        #[command(flatten)]
        service: Service,
    },
    /// Revoke one credential of a caller, a token too, at once; `show` lists them
    #[command(alias = "revoke-token")]
    RevokeCredential {
        /// The caller's name.
        name: Name,
        /// The credential's id.
        credential: uuid::Uuid,
        #[command(flatten)]
        service: Service,
    },
    /// Revoke a caller with all their credentials, at once
    Revoke {
        /// The caller's name.
        name: Name,
        #[command(flatten)]
        service: Service,
    },
}

/// Where a token goes.
#[derive(Debug, Args)]
pub(super) struct TokenOut {
    /// Write the token to this new file, for its owner only, instead of standard output.
    #[arg(long = "token-out", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl TokenOut {
    fn open(&self) -> anyhow::Result<Destination> {
        Destination::open(self.file.as_deref())
    }
}

/// The configuration with devices that a command opens, if it does.
pub(super) fn devices_of(command: &Command) -> Option<&ConfigFile> {
    match command {
        Command::BreakGlass { config, .. } => Some(config),
        _ => None,
    }
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
                roles: vec!["operator".parse()?, "registrar".parse()?],
                token_days,
            };
            let (config, destination) = (config.load()?, token_out.open()?);
            let token = bootstrap(&config, &new).await?;
            destination.write(&token).with_context(|| {
                format!(
                    "{} is on record and the token is lost: see break-glass",
                    new.name
                )
            })
        }
        Command::BreakGlass {
            name,
            reason,
            device,
            owner_config,
            token_out,
            config,
        } => {
            let (config, owner) = (config.load()?, Config::load(&owner_config)?);
            let destination = token_out.open()?;
            let token = break_glass(&config, &owner, &device, &name, &reason).await?;
            remark(&format!(
                "{name} manages callers for an hour: make an operator, then chancery callers revoke {name}"
            ));
            destination.write(token.expose()).with_context(|| {
                format!("{name} is on record and the token is lost: again, under another name")
            })
        }
        Command::List { list } => {
            let members = ["name", "owner", "roles", "token_expires_at", "revoked_at"];
            list.print("/v1/callers", &members).await
        }
        Command::Show { name, service } => service.show(&format!("/v1/callers/{name}")).await,
        Command::Create {
            new,
            token_out,
            service,
        } => ask_for_token(&service, &token_out, "/v1/callers", &new, &new.name).await,
        Command::Token {
            name,
            new,
            token_out,
            service,
        } => {
            let path = format!("/v1/callers/{name}/tokens");
            ask_for_token(&service, &token_out, &path, &new, &name).await
        }
        Command::Credential {
            name,
            known_by,
            service,
        } => {
            let path = format!("/v1/callers/{name}/credentials");
            service.ask(&path, &known_by.credential()).await
        }
        Command::RevokeCredential {
            name,
            credential,
            service,
        } => {
            let path = format!("/v1/callers/{name}/credentials/{credential}/revoke");
            service.ask(&path, &json!({})).await
        }
        Command::Revoke { name, service } => {
            let path = format!("/v1/callers/{name}/revoke");
            service.ask(&path, &json!({})).await
        }
    }
}

/// Asks the service for a token, with its place made ready before.
async fn ask_for_token(
    service: &Service,
    token_out: &TokenOut,
    path: &str,
    body: &impl serde::Serialize,
    caller: &Name,
) -> anyhow::Result<()> {
    let client = service.client()?;
    let destination = token_out.open()?;
    let answer = client.post(path, body).await?;
    let token = answer["token"]
        .as_str()
        .context("the answer has no token")?;
    keep(destination, token, caller)
}

/// Puts a token in its place. It is shown once: where that fails, the next one is what helps.
fn keep(destination: Destination, token: &str, caller: &Name) -> anyhow::Result<()> {
    destination.write(token).with_context(|| {
        format!(
            "{caller} is on record and the token is lost; for another one: chancery callers token {caller}"
        )
    })
}

/// Makes the first operator; gives back the token.
pub(super) async fn bootstrap(config: &Config, new: &NewCaller) -> anyhow::Result<String> {
    let ledger = App::ledger(config)?;
    ledger.check_schema().await?;
    let log = App::log(config, ledger, Clock::system()).await?;
    let callers = Callers::new(log.authority().clone());
    let token = callers.bootstrap(new, &log).await?;
    Ok(token.expose().to_owned())
}

/// Makes a caller who manages callers, for who has both the schema's owner's way in and the device.
async fn break_glass(
    config: &Config,
    owner: &Config,
    device: &Name,
    name: &Name,
    reason: &str,
) -> anyhow::Result<Token> {
    let settings = config.custody.get(device);
    let settings = settings.with_context(|| format!("there is no section [custody.{device}]"))?;
    let ledger = App::ledger(owner)?;
    ledger.check_schema().await?;
    let opened = custody::open(device, settings, &ledger)?;
    let log = App::log(config, ledger, Clock::system()).await?;
    let (keys, writer) = (keys::list(log.authority()).await?, App::writer(config));
    let proof = administrators::prove(&*opened, device, &keys, &log, &writer).await?;
    let callers = Callers::new(log.authority().clone());
    Ok(callers.break_glass(name, reason, &proof, &log).await?)
}
