//! `chancery rotations`

mod checklist;
mod take;

use clap::{Args, Subcommand};

use super::client::{Client, Service};
use super::{due, print_json, print_line};
use crate::rotations::NewRotation;
use checklist::{checklist, probe_line, summary};
use take::Take;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what ends when: keys, API keys of the CLOB, tokens; and what to type
    Due(due::Options),
    /// Open the rotation of a client's key, or of a wallet
    Open {
        #[command(flatten)]
        new: NewRotation,
        #[command(flatten)]
        service: Service,
    },
    /// List rotations, newest first
    List {
        /// Only those that are open.
        #[arg(long)]
        open: bool,
        /// Only those that are late.
        #[arg(long)]
        overdue: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Show where a rotation stands, and what to type next
    Show {
        #[command(flatten)]
        of: Of,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Take(Take),
}

/// Which rotation, on which service.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The rotation's id.
    id: String,
    #[command(flatten)]
    service: Service,
}

async fn show(client: &Client, id: &str) -> anyhow::Result<()> {
    let rotation = client.get(&format!("/v1/rotations/{id}")).await?;
    for line in checklist(&rotation) {
        print_line(&line);
    }
    Ok(())
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Due(options) => due::run(options).await,
        Command::Open { new, service } => {
            let client = service.client()?;
            let opened = client.post("/v1/rotations", &new).await?;
            show(&client, opened["id"].as_str().unwrap_or_default()).await
        }
        Command::List {
            open,
            overdue,
            json,
            service,
        } => {
            let wanted = [(open, "open=true"), (overdue, "overdue=true")];
            let query: Vec<_> = wanted.iter().filter(|it| it.0).map(|it| it.1).collect();
            let path = format!("/v1/rotations?{}", query.join("&"));
            let found = service.client()?.get(&path).await?;
            if json {
                return print_json(&found);
            }
            for rotation in found.as_array().into_iter().flatten() {
                print_line(&summary(rotation));
            }
            Ok(())
        }
        Command::Show { of, json } => {
            let client = of.service.client()?;
            if json {
                return print_json(&client.get(&format!("/v1/rotations/{}", of.id)).await?);
            }
            show(&client, &of.id).await
        }
        Command::Take(Take { of, step }) => {
            let client = of.service.client()?;
            let path = format!("/v1/rotations/{}/steps", of.id);
            let answer = client.post(&path, &step).await?;
            if let Some(outcome) = answer.get("probe") {
                print_line(&probe_line(outcome));
            }
            show(&client, &of.id).await
        }
    }
}
