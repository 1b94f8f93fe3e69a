//! `chancery halt`

use clap::Subcommand;

use super::client::Service;
use super::list::List;
use crate::halts::NewHalt;
use crate::id::HaltId;
use crate::keys::Justification;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Stop what is signed and handed out, on all replicas, at once
    Set {
        #[command(flatten)]
        new: NewHalt,
        /// Not even what winds something down.
        #[arg(long, conflicts_with = "allow")]
        allow_nothing: bool,
        #[command(flatten)]
        service: Service,
    },
    /// List the halts in force
    List {
        #[command(flatten)]
        list: List,
    },
    /// Lift a halt
    Lift {
        /// Its id.
        id: HaltId,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Set {
            mut new,
            allow_nothing,
            service,
        } => {
            if allow_nothing {
                new.allow.clear();
            }
            service.ask("/v1/halts", &new).await
        }
        Command::List { list } => {
            let members = ["id", "on", "name", "reason", "set_by_name", "set_at"];
            list.print("/v1/halts", &members).await
        }
        Command::Lift { id, why, service } => {
            let path = format!("/v1/halts/{id}/lift");
            service.ask(&path, &why).await
        }
    }
}
