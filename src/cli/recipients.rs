//! `chancery recipients`

use clap::Subcommand;

use super::client::Service;
use super::list::List;
use super::print_json;
use crate::name::Name;
use crate::recipients::NewRecipient;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List to whom wallets may send, and who waits still
    List {
        #[command(flatten)]
        list: List,
    },
    /// Let wallets send to somebody more: others have to approve it, and then it waits
    Add {
        #[command(flatten)]
        new: NewRecipient,
        #[command(flatten)]
        service: Service,
    },
    /// Let them do so no more, at once
    Remove {
        /// What it is called.
        name: Name,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { list } => {
            let members = [
                "name",
                "chainId",
                "address",
                "owner",
                "refuge",
                "stands",
                "stands_from",
            ];
            list.print("/v1/recipients", &members).await
        }
        Command::Add { new, service } => service.ask("/v1/recipients", &new).await,
        Command::Remove { name, service } => {
            let path = format!("/v1/recipients/{name}");
            print_json(&service.client()?.remove(&path).await?)
        }
    }
}
