//! `chancery people`

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::client::Service;
use super::list::List;
use super::{ConfigFile, remark};
use crate::app::App;
use crate::callers::Callers;
use crate::clock::Clock;
use crate::config::Config;
use crate::id::ApproverKeyId;
use crate::keys::Justification;
use crate::name::Name;
use crate::people::{
    AssignedCaller, First, NewApproverKey, NewPerson, OFFICER, People, PersonRoles,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register the first people who approve, once, straight in the database
    Bootstrap {
        /// Somebody, and the .pub file of the key that they approve with. Several times: two at least.
        #[arg(long = "person", value_name = "NAME=FILE", required = true)]
        people: Vec<Pair<PathBuf>>,
        /// Whose a caller is. Several times for several.
        #[arg(long = "caller", value_name = "CALLER=PERSON")]
        callers: Vec<Pair<Name>>,
        /// What quorums count them as.
        #[arg(long = "role", default_value = OFFICER)]
        roles: Vec<Name>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List people, their callers and keys
    List {
        #[command(flatten)]
        list: List,
    },
    /// Show a person, their callers and keys
    Show {
        /// The person's name.
        name: Name,
        #[command(flatten)]
        service: Service,
    },
    /// Register a person
    Register {
        #[command(flatten)]
        new: NewPerson,
        #[command(flatten)]
        service: Service,
    },
    /// Change what quorums count a person as
    Roles {
        /// The person's name.
        name: Name,
        #[command(flatten)]
        roles: PersonRoles,
        #[command(flatten)]
        service: Service,
    },
    /// Make a caller a person's, for ever
    Assign {
        /// The person's name.
        name: Name,
        #[command(flatten)]
        assigned: AssignedCaller,
        #[command(flatten)]
        service: Service,
    },
    /// Register a key that a person approves with
    AddKey {
        /// The person's name.
        name: Name,
        /// The .pub file: ssh-ed25519, ecdsa-sha2-nistp256, or one of their sk- kinds.
        #[arg(long, value_name = "FILE")]
        ssh: PathBuf,
        /// What its owner calls it.
        #[arg(long)]
        key_name: Name,
        #[command(flatten)]
        service: Service,
    },
    /// Revoke a key that a person approves with, at once
    RevokeKey {
        /// The person's name.
        name: Name,
        /// The key's id.
        key: ApproverKeyId,
        #[command(flatten)]
        service: Service,
    },
    /// End a person: nothing that they have signed counts any more
    End {
        /// The person's name.
        name: Name,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
}

/// `NAME=SOMETHING`
#[derive(Debug, Clone)]
pub(super) struct Pair<T>(Name, T);

impl<T: FromStr<Err: std::fmt::Display>> FromStr for Pair<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, of) = text.split_once('=').ok_or("there is no = in it")?;
        let name = name.parse().map_err(|error| format!("{name}: {error}"))?;
        let of = of.parse().map_err(|error| format!("{of}: {error}"))?;
        Ok(Self(name, of))
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (service, path, body) = match command {
        Command::Bootstrap {
            people,
            callers,
            roles,
            config,
        } => return bootstrap(&config.load()?, &people, &callers, &roles).await,
        Command::List { list } => {
            let members = ["name", "roles", "callers", "ended_at"];
            return list.print("/v1/people", &members).await;
        }
        Command::Show { name, service } => {
            let path = format!("/v1/people/{name}");
            return service.show(&path).await;
        }
        Command::Register { new, service } => (service, "/v1/people".to_owned(), json!(new)),
        Command::Roles {
            name,
            roles,
            service,
        } => (service, format!("/v1/people/{name}/roles"), json!(roles)),
        Command::Assign {
            name,
            assigned,
            service,
        } => {
            let path = format!("/v1/people/{name}/callers");
            (service, path, json!(assigned))
        }
        Command::AddKey {
            name,
            ssh,
            key_name,
            service,
        } => {
            let key = NewApproverKey {
                name: key_name,
                ssh: Some(line(&ssh)?),
                passkey: None,
            };
            (service, format!("/v1/people/{name}/keys"), json!(key))
        }
        Command::RevokeKey { name, key, service } => (
            service,
            format!("/v1/people/{name}/keys/{key}/revoke"),
            json!({}),
        ),
        Command::End { name, why, service } => {
            (service, format!("/v1/people/{name}/end"), json!(why))
        }
    };
    service.ask(&path, &body).await
}

fn line(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// Registers the first people.
async fn bootstrap(
    config: &Config,
    people: &[Pair<PathBuf>],
    callers: &[Pair<Name>],
    roles: &[Name],
) -> anyhow::Result<()> {
    let first = people.iter().map(|Pair(name, file)| {
        let theirs = callers.iter().filter(|it| it.1 == *name);
        Ok(First {
            person: NewPerson {
                name: name.clone(),
                roles: roles.to_vec(),
            },
            ssh: line(file)?,
            callers: theirs.map(|it| it.0.clone()).collect(),
        })
    });
    let first = first.collect::<anyhow::Result<Vec<_>>>()?;
    for Pair(caller, person) in callers {
        let known = people.iter().any(|it| it.0 == *person);
        anyhow::ensure!(known, "--caller {caller}={person}: no --person {person}");
    }
    let ledger = App::ledger(config)?;
    ledger.check_schema().await?;
    let log = App::log(config, ledger, Clock::system()).await?;
    let authority = log.authority();
    let all = People::new(authority.clone(), Callers::new(authority.clone()));
    all.bootstrap(&first, &log).await?;
    remark(
        "They are on record. Set [approvals] single_operator = false and start the service anew.",
    );
    Ok(())
}
