//! `chancery halt`

use clap::Subcommand;
use serde_json::json;

use super::client::Service;
use super::list::List;
use super::print_json;
use crate::clob::condition::Condition;
use crate::halts::{On, Winding};
use crate::id::HaltId;
use crate::keys::Reason;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Stop what is signed and handed out, on all replicas, at once
    Set {
        /// On what: everything, key, wallet, client, caller, market.
        on: On,
        /// The name of the key, wallet, client or caller; of a market what people call it.
        name: Option<String>,
        /// A token id of a market. Several times, for all its outcomes.
        #[arg(long = "token", value_name = "TOKEN_ID")]
        tokens: Vec<String>,
        /// The condition id of a market, in place of its token ids (chain 137).
        #[arg(long, value_name = "CONDITION_ID")]
        condition: Option<Condition>,
        /// Why, for the record.
        #[arg(long)]
        reason: Reason,
        /// What is still done for whoever winds something down: cancel, read, empty. All of it unless it is said.
        #[arg(long, value_name = "WHAT", conflicts_with = "allow_nothing")]
        allow: Vec<Winding>,
        /// Not even that.
        #[arg(long)]
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
        /// Why, for the record.
        #[arg(long)]
        reason: Reason,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Set {
            on,
            name,
            tokens,
            condition,
            reason,
            allow,
            allow_nothing,
            service,
        } => {
            let mut body = json!({ "on": on, "tokens": tokens, "reason": reason });
            if let Some(name) = name {
                body["name"] = name.into();
            }
            if let Some(condition) = condition {
                body["condition"] = json!(condition);
            }
            if allow_nothing || !allow.is_empty() {
                body["allow"] = json!(allow);
            }
            print_json(&service.client()?.post("/v1/halts", &body).await?)
        }
        Command::List { list } => {
            let members = ["id", "on", "name", "reason", "set_by_name", "set_at"];
            list.print("/v1/halts", &members).await
        }
        Command::Lift {
            id,
            reason,
            service,
        } => {
            let path = format!("/v1/halts/{id}/lift");
            let body = json!({ "reason": reason });
            print_json(&service.client()?.post(&path, &body).await?)
        }
    }
}
