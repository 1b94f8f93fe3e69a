//! `chancery keys adopt`

use clap::Args;

use super::client::Service;
use super::key_place::{KeyPlace, warn};
use super::{print_json, remark};
use crate::custody::DeviceRef;
use crate::custody::pkcs11::uri::KeyName;
use crate::keys::{Adoption, Use};

#[derive(Debug, Args)]
pub(super) struct Adopt {
    #[command(flatten)]
    place: KeyPlace,
    /// What the device calls the key: its ARN in KMS, never an alias; a pkcs11: URI in a token.
    #[arg(long, visible_aliases = ["arn", "uri"], required_unless_present_any = ["id", "label"],
          conflicts_with_all = ["id", "label"])]
    device_ref: Option<DeviceRef>,
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
    accept: Vec<Use>,
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
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let place = self.place;
        let device_ref = if let Some(given) = self.device_ref {
            given
        } else {
            let id = self.id.map(|Id(id)| id);
            let label = self.label;
            KeyName { id, label }.to_string().parse()?
        };
        let adoption = Adoption {
            name: place.name,
            purpose: place.purpose,
            backend: place.backend,
            device_ref,
            environment: place.environment,
            owner: place.owner,
            cryptoperiod_days: place.cryptoperiod_days,
            expected: self.expected,
            accept: self.accept,
        };
        let client = self.service.client()?;
        let adopted = client.post("/v1/keys/adopt", &adoption).await?;
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
            adoption.name
        ));
        Ok(())
    }
}
