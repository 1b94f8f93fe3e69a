//! `chancery relayer`

use clap::Subcommand;
use serde_json::json;

use super::client::Service;
use super::list::List;
use crate::id::IntentId;
use crate::name::Name;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have a deposit wallet made
    Deploy {
        /// The wallet's name.
        wallet: Name,
        #[command(flatten)]
        service: Service,
    },
    /// Hand over what was signed, or look how far it is; the same text again after a lost answer
    Submit {
        /// The wallet's name.
        wallet: Name,
        /// The operation's id.
        operation: IntentId,
        #[command(flatten)]
        service: Service,
    },
    /// List what was handed over for a wallet, and what became of it
    List {
        /// The wallet's name.
        wallet: Name,
        #[command(flatten)]
        list: List,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Deploy { wallet, service } => {
            let path = format!("/v1/wallets/{wallet}/deployment");
            service.ask(&path, &json!({})).await
        }
        Command::Submit {
            wallet,
            operation,
            service,
        } => {
            let path = format!("/v1/wallets/{wallet}/operations/{operation}/submission");
            service.ask(&path, &json!({})).await
        }
        Command::List { wallet, list } => {
            let path = format!("/v1/wallets/{wallet}/submissions");
            let members = [
                "id",
                "kind",
                "nonce",
                "state",
                "progress",
                "transactionHash",
                "trouble",
            ];
            list.print(&path, &members).await
        }
    }
}
