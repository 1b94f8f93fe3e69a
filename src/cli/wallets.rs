//! `chancery wallets`

use clap::Subcommand;

use super::client::Service;
use super::compromised::{self, Compromised};
use super::list::List;
use super::{print_json, remark};
use crate::clob::drains::DrainRequest;
use crate::clob::wallets::NewWallet;
use crate::keys::Justification;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the wallets that you may see
    List {
        #[command(flatten)]
        list: List,
    },
    /// Show a wallet: key, chain, address, maker
    Show {
        /// The wallet's name.
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// Say what is missing before a wallet's first order, and which command does it
    Ready {
        /// The wallet's name.
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// Say what is left of a wallet that is to be empty, and which command does it
    Emptying {
        /// The wallet's name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Do at once what has to happen when its key may be in other hands: halt, cancel, delete, and sign what was prepared
    Compromised(Compromised),
    /// List the keys that trade for a deposit wallet, and what is missing to one
    SessionKeys {
        /// The wallet's name.
        name: String,
        #[command(flatten)]
        list: List,
    },
    /// Put chain, signature type and funder together with a key; warnings go to standard error
    Create {
        #[command(flatten)]
        new: NewWallet,
        #[command(flatten)]
        service: Service,
    },
    /// Cancel all orders of a wallet that takes no new ones, and see that the CLOB lists none
    Drain {
        /// The wallet's name.
        name: String,
        #[command(flatten)]
        how: DrainRequest,
        #[command(flatten)]
        service: Service,
    },
    /// Say that nothing is left of a wallet: no balance, position or allowance; and who looked, and where
    Close {
        /// The wallet's name.
        name: String,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { list } => {
            let members = [
                "name",
                "owner",
                "address",
                "maker",
                "chainId",
                "key",
                "key_state",
                "closed_at",
            ];
            list.print("/v1/wallets", &members).await
        }
        Command::Show { name, service } => service.show(&format!("/v1/wallets/{name}")).await,
        Command::Ready { name, service } => {
            let path = format!("/v1/wallets/{name}/readiness");
            service.show(&path).await
        }
        Command::Emptying {
            name,
            json,
            service,
        } => {
            let path = format!("/v1/wallets/{name}/emptying");
            let list = service.client()?.get(&path).await?;
            if json {
                return print_json(&list);
            }
            compromised::print_list(&list);
            Ok(())
        }
        Command::Compromised(compromised) => compromised.run().await,
        Command::SessionKeys { name, list } => {
            let members = ["address", "key", "wallets", "state", "validUntil", "next"];
            let path = format!("/v1/wallets/{name}/session-keys");
            list.print(&path, &members).await
        }
        Command::Create { new, service } => {
            let wallet = service.client()?.post("/v1/wallets", &new).await?;
            for warning in wallet["warnings"].as_array().into_iter().flatten() {
                remark(&format!(
                    "warning: {}",
                    warning["text"].as_str().unwrap_or_default()
                ));
            }
            print_json(&wallet)
        }
        Command::Drain { name, how, service } => {
            let path = format!("/v1/wallets/{name}/drain");
            service.ask(&path, &how).await
        }
        Command::Close { name, why, service } => {
            let path = format!("/v1/wallets/{name}/close");
            service.ask(&path, &why).await
        }
    }
}
