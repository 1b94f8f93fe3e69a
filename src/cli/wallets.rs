//! `chancery wallets`

use clap::Subcommand;
use serde_json::json;

use super::client::Service;
use super::compromised::{self, Compromised};
use super::list::List;
use super::{print_json, remark};

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
        /// A name that no other wallet has.
        name: String,
        /// The key that signs for it.
        #[arg(long)]
        key: String,
        /// The desk or team.
        #[arg(long)]
        owner: String,
        /// 137 (Polygon) or 80002 (Amoy).
        #[arg(long)]
        chain_id: u64,
        /// 0 EOA, 1 `POLY_PROXY`, 2 `POLY_GNOSIS_SAFE`, 3 `POLY_1271`.
        #[arg(long, default_value_t = 0)]
        signature_type: u8,
        /// Who pays; unless it is said, what follows from the key.
        #[arg(long)]
        funder: Option<String>,
        /// The key is a session key of the funder (`POLY_1271` only).
        #[arg(long)]
        session_key: bool,
        /// Take a funder that does not follow from the key.
        #[arg(long)]
        funder_unverified: bool,
        /// Let a raw `ClobAuth` replace the wallet's live credential.
        #[arg(long)]
        allow_replace: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Cancel all orders of a wallet that takes no new ones, and see that the CLOB lists none
    Drain {
        /// The wallet's name.
        name: String,
        /// Instead: why no order is open.
        #[arg(long)]
        said: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Say that nothing is left of a wallet: no balance, position or allowance
    Close {
        /// The wallet's name.
        name: String,
        /// Who looked, and where.
        #[arg(long)]
        reason: String,
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
        Command::Show { name, service } => print_json(
            &service
                .client()?
                .get(&format!("/v1/wallets/{name}"))
                .await?,
        ),
        Command::Ready { name, service } => {
            let path = format!("/v1/wallets/{name}/readiness");
            print_json(&service.client()?.get(&path).await?)
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
        Command::Create {
            name,
            key,
            owner,
            chain_id,
            signature_type,
            funder,
            session_key,
            funder_unverified,
            allow_replace,
            service,
        } => {
            let body = json!({
                "name": name, "key": key, "owner": owner, "chainId": chain_id,
                "signatureType": signature_type, "funder": funder, "session_key": session_key,
                "funder_unverified": funder_unverified, "allow_replace": allow_replace,
            });
            let wallet = service.client()?.post("/v1/wallets", &body).await?;
            for warning in wallet["warnings"].as_array().into_iter().flatten() {
                remark(&format!(
                    "warning: {}",
                    warning["text"].as_str().unwrap_or_default()
                ));
            }
            print_json(&wallet)
        }
        Command::Drain {
            name,
            said,
            service,
        } => {
            let path = format!("/v1/wallets/{name}/drain");
            let body = json!({ "said": said });
            print_json(&service.client()?.post(&path, &body).await?)
        }
        Command::Close {
            name,
            reason,
            service,
        } => {
            let path = format!("/v1/wallets/{name}/close");
            let body = json!({ "reason": reason });
            print_json(&service.client()?.post(&path, &body).await?)
        }
    }
}
