//! `chancery recipients`

use clap::Subcommand;
use serde_json::json;

use super::client::Service;
use super::list::List;
use super::print_json;
use crate::name::Name;
use crate::recipients::Checksummed;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List to whom wallets may send, and who waits still
    List {
        #[command(flatten)]
        list: List,
    },
    /// Let wallets send to somebody more: others have to approve it, and then it waits
    Add {
        /// What it is called from now on.
        name: Name,
        /// The address, with its checksum.
        #[arg(value_parser = address)]
        address: Checksummed,
        /// 137 (Polygon) or 80002 (Amoy).
        #[arg(long, default_value_t = 137)]
        chain_id: u64,
        /// The desk whose wallets may send there; every desk's unless it is said.
        #[arg(long)]
        owner: Option<Name>,
        /// The address is that of a key of this service which speaks for a contract wallet, and it is meant.
        #[arg(long)]
        signer_meant: bool,
        /// Somewhere safe: also a wallet that is halted, or whose key is suspended or compromised, may send there.
        #[arg(long)]
        refuge: bool,
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

fn address(text: &str) -> Result<Checksummed, String> {
    Checksummed::try_from(text.to_owned()).map_err(|error| error.to_string())
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
        Command::Add {
            name,
            address,
            chain_id,
            owner,
            signer_meant,
            refuge,
            service,
        } => {
            let body = json!({
                "name": name, "address": address, "chainId": chain_id, "owner": owner,
                "signer_meant": signer_meant, "refuge": refuge,
            });
            print_json(&service.client()?.post("/v1/recipients", &body).await?)
        }
        Command::Remove { name, service } => {
            let path = format!("/v1/recipients/{name}");
            print_json(&service.client()?.remove(&path).await?)
        }
    }
}
