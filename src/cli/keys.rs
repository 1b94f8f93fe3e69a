//! `chancery keys`

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::attestation::{Attest, Verify};
use super::client::Service;
use super::import::Import;
use super::list::List;
use super::{print_json, print_line, remark};
use crate::custody::pkcs11::uri::KeyName;

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
        wanted: NewKey,
        /// secp256k1, rsa2048, rsa3072 or rsa4096; what fits the purpose unless it is said.
        #[arg(long)]
        algorithm: Option<String>,
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
        /// When it ends, such as 2027-03-01T00:00:00Z.
        #[arg(long)]
        ends_at: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
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
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
    /// Have a key destroyed in its device, after a waiting period; refused while something depends on it
    Destroy {
        /// The key's name.
        name: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        /// What may stand in the way all the same: open-orders, registered. The reason says why.
        #[arg(long)]
        accept: Vec<String>,
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
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
    /// Have a key's device use it again; its state here stays
    EnableInDevice {
        /// The key's name.
        name: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        service: Service,
    },
    /// Take a key back from its destruction, to the state it had before, as long as its device has it
    CancelDestruction {
        /// The key's name.
        name: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
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

// No doc comment: clap would show it instead of the command's.
#[derive(Debug, Args, serde::Serialize)]
pub(super) struct NewKey {
    /// A name that no other key has.
    pub(super) name: String,
    /// wallet, client or checkpoint.
    #[arg(long)]
    purpose: String,
    /// The [custody.NAME] section of the device.
    #[arg(long)]
    pub(super) backend: String,
    /// Where the key is used, such as prod.
    #[arg(long)]
    environment: String,
    /// The desk or team.
    #[arg(long)]
    owner: String,
    /// How many days it is in use.
    #[arg(long)]
    cryptoperiod_days: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct Adopt {
    #[command(flatten)]
    wanted: NewKey,
    /// What the device calls the key: its ARN in KMS, never an alias; a pkcs11: URI in a token.
    #[arg(long, visible_aliases = ["arn", "uri"], required_unless_present_any = ["id", "label"],
          conflicts_with_all = ["id", "label"])]
    device_ref: Option<String>,
    /// In a token: the key's id in hexadecimal, as tools print it.
    #[arg(long, value_parser = parse_id)]
    id: Option<Id>,
    /// In a token: the key's label, with or without its id.
    #[arg(long)]
    label: Option<String>,
    /// The address or fingerprint that it has to have.
    #[arg(long)]
    expected: Option<String>,
    /// What the key may do besides signing all the same: decrypt, unwrap, derive, sign-recover.
    #[arg(long)]
    accept: Vec<String>,
    #[command(flatten)]
    service: Service,
}

/// A `CKA_ID`.
#[derive(Clone, Debug)]
struct Id(Vec<u8>);

fn parse_id(text: &str) -> Result<Id, String> {
    let id = hex::decode(text.replace(':', "")).unwrap_or_default();
    if id.is_empty() {
        return Err("wanted are bytes in hexadecimal, such as 01a2 or 01:a2".into());
    }
    Ok(Id(id))
}

impl Adopt {
    async fn run(self) -> anyhow::Result<()> {
        let Self {
            wanted,
            device_ref,
            id,
            label,
            expected,
            accept,
            service,
        } = self;
        let device_ref = device_ref.unwrap_or_else(|| {
            let id = id.map(|Id(id)| id);
            KeyName { id, label }.to_string()
        });
        let mut body = json!(wanted);
        body["device_ref"] = json!(device_ref);
        body["expected"] = json!(expected);
        body["accept"] = json!(accept);
        let adopted = service.client()?.post("/v1/keys/adopt", &body).await?;
        print_json(&adopted)?;
        warn(&adopted);
        let member = if adopted["address"].is_null() {
            "fingerprint"
        } else {
            "address"
        };
        let public = adopted[member].as_str().unwrap_or_default();
        remark(&format!(
            "Compare its {member}, {public}, with what you expect; then: chancery keys step {} active --reason …",
            wanted.name
        ));
        Ok(())
    }
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
        Command::Show { name, service } => {
            print_json(&service.client()?.get(&format!("/v1/keys/{name}")).await?)
        }
        Command::Create {
            wanted,
            algorithm,
            service,
        } => create(&wanted, algorithm, &service).await,
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
        Command::Cryptoperiod {
            name,
            ends_at,
            reason,
            service,
        } => {
            let body = json!({ "ends_at": ends_at, "reason": reason });
            post(&service, &name, "cryptoperiod", &body).await
        }
        Command::Orphans { list } => {
            let members = ["key", "in_device", "address", "fingerprint", "trouble"];
            list.print("/v1/orphans", &members).await
        }
        Command::Recover {
            name,
            reason,
            service,
        } => post(&service, &name, "recover", &json!({ "reason": reason })).await,
        Command::Destroy {
            name,
            reason,
            accept,
            service,
        } => {
            let body = json!({ "reason": reason, "accept": accept });
            post(&service, &name, "destruction", &body).await
        }
        Command::Destruction { name, service } => {
            let path = format!("/v1/keys/{name}/destruction");
            print_json(&service.client()?.get(&path).await?)
        }
        Command::DisableInDevice {
            name,
            reason,
            service,
        } => switch(&service, &name, false, &reason).await,
        Command::EnableInDevice {
            name,
            reason,
            service,
        } => switch(&service, &name, true, &reason).await,
        Command::CancelDestruction {
            name,
            reason,
            service,
        } => {
            let body = json!({ "reason": reason });
            post(&service, &name, "destruction/cancel", &body).await
        }
        Command::Adopt(adopt) => adopt.run().await,
        Command::Attest(attest) => attest.run().await,
        Command::VerifyAttestation(verify) => verify.run(),
        Command::Import(import) => import.run().await,
        Command::Step {
            name,
            to,
            reason,
            service,
        } => {
            let body = json!({ "to": to, "reason": reason });
            post(&service, &name, "steps", &body).await
        }
    }
}

async fn create(
    wanted: &NewKey,
    algorithm: Option<String>,
    service: &Service,
) -> anyhow::Result<()> {
    let mut body = json!(wanted);
    body["algorithm"] = json!(algorithm);
    let made = service.client()?.post("/v1/keys", &body).await?;
    print_json(&made)?;
    warn(&made);
    Ok(())
}

/// Says what may have been mistyped of a new key.
pub(super) fn warn(key: &Value) {
    for warning in key["warnings"].as_array().into_iter().flatten() {
        remark(&format!(
            "warning: {}",
            warning.as_str().unwrap_or_default()
        ));
    }
}

async fn switch(service: &Service, name: &str, enabled: bool, reason: &str) -> anyhow::Result<()> {
    let body = json!({ "enabled": enabled, "reason": reason });
    post(service, name, "device-switch", &body).await
}

/// Asks for something to be done with a key.
async fn post(service: &Service, name: &str, what: &str, body: &Value) -> anyhow::Result<()> {
    let path = format!("/v1/keys/{name}/{what}");
    print_json(&service.client()?.post(&path, body).await?)
}
