//! `chancery keys`

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::client::Service;
use super::{print_json, print_line};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the keys that you may see
    List {
        #[command(flatten)]
        service: Service,
    },
    /// Show a key: state, address, PEM, JWK
    Show {
        /// The key's name.
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// Have a device make a key; it signs nothing before it is activated
    Create {
        /// A name that no other key has.
        name: String,
        /// wallet or client.
        #[arg(long)]
        purpose: String,
        /// secp256k1, rsa2048, rsa3072 or rsa4096; what fits the purpose unless it is said.
        #[arg(long)]
        algorithm: Option<String>,
        /// The [custody.NAME] section of the device.
        #[arg(long)]
        backend: String,
        /// Where the key is used, such as prod.
        #[arg(long)]
        environment: String,
        /// The desk or team.
        #[arg(long)]
        owner: String,
        /// How many days it is in use.
        #[arg(long)]
        cryptoperiod_days: Option<u16>,
        #[command(flatten)]
        service: Service,
    },
    /// Show a key's public half in all the forms that a counterparty may ask for
    Bundle {
        /// The key's name.
        name: String,
        /// Only the PEM file, byte for byte as it is to be sent.
        #[arg(long)]
        pem: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Move a key to another state: active, suspended, deactivated, compromised, …
    Step {
        /// The key's name.
        name: String,
        /// The state.
        to: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { service } => print_json(&service.client()?.get("/v1/keys").await?),
        Command::Show { name, service } => {
            print_json(&service.client()?.get(&format!("/v1/keys/{name}")).await?)
        }
        Command::Create {
            name,
            purpose,
            algorithm,
            backend,
            environment,
            owner,
            cryptoperiod_days,
            service,
        } => {
            let body = json!({
                "name": name, "purpose": purpose, "algorithm": algorithm, "backend": backend,
                "environment": environment, "owner": owner, "cryptoperiod_days": cryptoperiod_days,
            });
            print_json(&service.client()?.post("/v1/keys", &body).await?)
        }
        Command::Bundle { name, pem, service } => {
            let path = format!("/v1/keys/{name}/bundle");
            let bundle = service.client()?.get(&path).await?;
            if !pem {
                return print_json(&bundle);
            }
            let text = bundle["pem"].as_str().context("the bundle has no PEM")?;
            print_line(text.trim_end_matches('\n'));
            Ok(())
        }
        Command::Step {
            name,
            to,
            reason,
            service,
        } => {
            let body = json!({ "to": to, "reason": reason });
            print_json(
                &service
                    .client()?
                    .post(&format!("/v1/keys/{name}/steps"), &body)
                    .await?,
            )
        }
    }
}
