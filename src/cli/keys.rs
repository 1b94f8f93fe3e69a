//! `chancery keys`

use anyhow::Context;
use clap::Subcommand;

use super::adopt::Adopt;
use super::attestation::{Attest, Verify};
use super::client::Service;
use super::import::Import;
use super::key_place::{KeyPlace, warn};
use super::list::List;
use super::{print_json, print_line};
use crate::custody::Algorithm;
use crate::destruction;
use crate::keys::{CryptoperiodEnd, DeviceSwitch, Justification, KeyStep, NewKey};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the keys that you may see
    List {
        #[command(flatten)]
        list: List,
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
        #[command(flatten)]
        place: KeyPlace,
        /// secp256k1, rsa2048, rsa3072 or rsa4096; what fits the purpose unless it is said.
        #[arg(long)]
        algorithm: Option<Algorithm>,
        #[command(flatten)]
        service: Service,
    },
    /// Take over a key that is in a device already; it signs nothing before it is activated
    Adopt(Adopt),
    /// Have a key looked at in its device, and print a signed statement of what was seen
    Attest(Attest),
    /// Check a statement of attest, without the service
    VerifyAttestation(Verify),
    /// Bring a private key that exists outside a device, wrapped for it; it signs nothing before it is activated
    Import(Import),
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
    /// Change when a key's cryptoperiod ends; later takes a second person
    Cryptoperiod {
        /// The key's name.
        name: String,
        #[command(flatten)]
        end: CryptoperiodEnd,
        #[command(flatten)]
        service: Service,
    },
    /// List keys that are on record and were never finished, and what their devices hold of them
    Orphans {
        #[command(flatten)]
        list: List,
    },
    /// Put on record what a device made for a process that then died; it signs nothing before it is activated
    Recover {
        /// The key's name.
        name: String,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
    /// Have a key destroyed in its device, after a waiting period; refused while something depends on it
    Destroy {
        /// The key's name.
        name: String,
        #[command(flatten)]
        destruction: destruction::Request,
        #[command(flatten)]
        service: Service,
    },
    /// Say what depends on a key, and how far its destruction is
    Destruction {
        /// The key's name.
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// Have a key's device itself not use it: one that is suspended, deactivated or compromised
    DisableInDevice {
        /// The key's name.
        name: String,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
    /// Have a key's device use it again; its state here stays
    EnableInDevice {
        /// The key's name.
        name: String,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
    /// Take a key back from its destruction, to the state it had before, as long as its device has it
    CancelDestruction {
        /// The key's name.
        name: String,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
    /// Move a key to another state: active, suspended, deactivated, compromised, …
    Step {
        /// The key's name.
        name: String,
        #[command(flatten)]
        step: KeyStep,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { list } => {
            let members = [
                "name",
                "state",
                "purpose",
                "algorithm",
                "backend",
                "environment",
                "owner",
                "address",
                "cryptoperiod_ends_at",
            ];
            list.print("/v1/keys", &members).await
        }
        Command::Show { name, service } => service.show(&format!("/v1/keys/{name}")).await,
        Command::Create {
            place,
            algorithm,
            service,
        } => create(place, algorithm, &service).await,
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
        Command::Cryptoperiod { name, end, service } => {
            post(&service, &name, "cryptoperiod", &end).await
        }
        Command::Orphans { list } => {
            let members = ["key", "in_device", "address", "fingerprint", "trouble"];
            list.print("/v1/orphans", &members).await
        }
        Command::Recover { name, why, service } => post(&service, &name, "recover", &why).await,
        Command::Destroy {
            name,
            destruction,
            service,
        } => post(&service, &name, "destruction", &destruction).await,
        Command::Destruction { name, service } => {
            let path = format!("/v1/keys/{name}/destruction");
            service.show(&path).await
        }
        Command::DisableInDevice { name, why, service } => {
            switch(&service, &name, false, why).await
        }
        Command::EnableInDevice { name, why, service } => switch(&service, &name, true, why).await,
        Command::CancelDestruction { name, why, service } => {
            post(&service, &name, "destruction/cancel", &why).await
        }
        Command::Adopt(adopt) => adopt.run().await,
        Command::Attest(attest) => attest.run().await,
        Command::VerifyAttestation(verify) => verify.run(),
        Command::Import(import) => import.run().await,
        Command::Step {
            name,
            step,
            service,
        } => post(&service, &name, "steps", &step).await,
    }
}

async fn create(
    place: KeyPlace,
    algorithm: Option<Algorithm>,
    service: &Service,
) -> anyhow::Result<()> {
    let new = NewKey {
        name: place.name,
        purpose: place.purpose,
        algorithm,
        backend: place.backend,
        environment: place.environment,
        owner: place.owner,
        cryptoperiod_days: place.cryptoperiod_days,
    };
    let made = service.client()?.post("/v1/keys", &new).await?;
    print_json(&made)?;
    warn(&made);
    Ok(())
}

async fn switch(
    service: &Service,
    name: &str,
    enabled: bool,
    why: Justification,
) -> anyhow::Result<()> {
    let Justification { reason } = why;
    post(
        service,
        name,
        "device-switch",
        &DeviceSwitch { enabled, reason },
    )
    .await
}

/// Asks for something to be done with a key.
async fn post(
    service: &Service,
    name: &str,
    what: &str,
    body: &impl serde::Serialize,
) -> anyhow::Result<()> {
    let path = format!("/v1/keys/{name}/{what}");
    service.ask(&path, body).await
}
