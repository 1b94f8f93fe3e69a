//! `chancery operations`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Service;
use super::list::List;
use super::print_json;
use crate::id::IntentId;
use crate::name::Name;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the contracts that operations name, and what profiles approve
    Catalogue {
        #[command(flatten)]
        service: Service,
    },
    /// Sign what a wallet is to do: approvals, splits, withdrawals, and the rest of the catalogue
    Sign {
        /// The wallet's name.
        wallet: Name,
        /// The request as JSON, as POST /v1/wallets/{wallet}/operations takes it; `-` reads it from the standard input.
        file: PathBuf,
        /// Say what would be signed, and sign nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Sign all approvals that a profile needs, in one go (types 1 to 3)
    SetUp {
        /// The wallet's name.
        wallet: Name,
        /// clob-v2, clob-v3 or auto-redeem.
        #[arg(long, default_value = "clob-v2")]
        profile: String,
        /// The wallet's next nonce.
        #[arg(long)]
        nonce: String,
        /// Say what would be signed, and sign nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Sign that every allowance is taken back (types 1 to 3)
    RevokeAll {
        /// The wallet's name.
        wallet: Name,
        /// The wallet's next nonce.
        #[arg(long)]
        nonce: String,
        /// Say what would be signed, and sign nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        service: Service,
    },
    /// List a wallet's operations, the newest first
    List {
        /// The wallet's name.
        wallet: Name,
        #[command(flatten)]
        list: List,
    },
    /// Show one, with its decoded calls and what is sent
    Show {
        /// The wallet's name.
        wallet: Name,
        /// Its id.
        operation: IntentId,
        #[command(flatten)]
        service: Service,
    },
    /// Put on record what became of one
    Settle {
        /// The wallet's name.
        wallet: Name,
        /// Its id.
        operation: IntentId,
        /// `executed`, or `dead`: it can happen no more, which takes a second person.
        outcome: String,
        /// Who looked, and where.
        #[arg(long)]
        evidence: String,
        /// The transaction that carried it out.
        #[arg(long)]
        transaction_hash: Option<String>,
        /// The nonce that is the next one by now.
        #[arg(long)]
        next_nonce: Option<String>,
        #[command(flatten)]
        service: Service,
    },
}

fn path(wallet: &Name) -> String {
    format!("/v1/wallets/{wallet}/operations")
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Catalogue { service } => {
            print_json(&service.client()?.get("/v1/catalogue/operations").await?)
        }
        Command::Sign {
            wallet,
            file,
            dry_run,
            service,
        } => {
            let mut wish = read(&file)?;
            if dry_run {
                wish["dryRun"] = true.into();
            }
            service.ask(&path(&wallet), &wish).await
        }
        Command::SetUp {
            wallet,
            profile,
            nonce,
            dry_run,
            service,
        } => {
            let operation = json!({ "op": "set_up_trading", "profile": profile });
            let wish = wish(&operation, &nonce, dry_run);
            service.ask(&path(&wallet), &wish).await
        }
        Command::RevokeAll {
            wallet,
            nonce,
            dry_run,
            service,
        } => {
            let wish = wish(&json!({ "op": "revoke_all" }), &nonce, dry_run);
            service.ask(&path(&wallet), &wish).await
        }
        Command::List { wallet, list } => {
            let members = [
                "id",
                "kind",
                "counter",
                "nonce",
                "state",
                "outflow",
                "recipient",
                "at",
            ];
            list.print(&path(&wallet), &members).await
        }
        Command::Show {
            wallet,
            operation,
            service,
        } => {
            let path = format!("{}/{operation}", path(&wallet));
            service.show(&path).await
        }
        Command::Settle {
            wallet,
            operation,
            outcome,
            evidence,
            transaction_hash,
            next_nonce,
            service,
        } => {
            let path = format!("{}/{operation}/outcome", path(&wallet));
            let body = json!({
                "outcome": outcome, "evidence": evidence, "transactionHash": transaction_hash, "nextNonce": next_nonce,
            });
            service.ask(&path, &body).await
        }
    }
}

fn wish(operation: &Value, nonce: &str, dry_run: bool) -> Value {
    json!({ "operations": [operation], "nonce": nonce, "dryRun": dry_run })
}

/// The whole of a file, or of the standard input, as JSON.
fn read(file: &std::path::Path) -> anyhow::Result<Value> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    let wish: Value = serde_json::from_str(&text).context("the request is no JSON")?;
    anyhow::ensure!(wish.is_object(), "the request is no JSON object");
    Ok(wish)
}
