//! `chancery keys attest` and `chancery keys verify-attestation`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::client::Service;
use super::destination::Destination;
use super::{print_line, remark};
use crate::attestation::{self, Verdict};
use crate::custody::PublicKey;

#[derive(Debug, Args)]
pub(super) struct Attest {
    /// The key's name.
    #[arg(required_unless_present = "all")]
    name: Option<String>,
    /// All keys that you may see and that are not over.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Write the statements to this new file, as JSON, instead of standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    service: Service,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The file with the statement, or a list of them.
    file: PathBuf,
    /// The public key of whoever is to have signed it, as PEM.
    #[arg(long)]
    key: PathBuf,
}

impl Attest {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = self.service.client()?;
        let destination = Destination::open(self.out.as_deref())?;
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => in_being(&client.get("/v1/keys").await?),
        };
        let (mut statements, mut wrong) = (Vec::new(), 0);
        for name in &names {
            let path = format!("/v1/keys/{name}/attestation");
            match client.post(&path, &json!({})).await {
                Ok(mut answer) => {
                    remark(&format!(
                        "{name}: {}",
                        answer["verdict"].as_str().unwrap_or_default()
                    ));
                    wrong += usize::from(answer["verdict"] != Verdict::AsRecorded.name());
                    statements.push(answer["statement"].take());
                }
                Err(error) if self.all => {
                    wrong += 1;
                    remark(&format!("{name}: {error:#}"));
                }
                Err(error) => return Err(error),
            }
        }
        let stated = match <[Value; 1]>::try_from(statements) {
            Ok([one]) if !self.all => one,
            Ok(one) => json!(one),
            Err(all) => json!(all),
        };
        destination.write(&format!("{stated:#}"))?;
        if wrong > 0 {
            bail!(
                "{wrong} of {} keys are not as recorded, or could not be looked at",
                names.len()
            );
        }
        Ok(())
    }
}

/// Keys that a device has, and is not about to destroy.
fn in_being(keys: &Value) -> Vec<String> {
    let over = ["destroy-pending", "destroyed"];
    let keys = keys.as_array().into_iter().flatten();
    keys.filter(|key| !over.contains(&key["state"].as_str().unwrap_or_default()))
        .filter(|key| !key["fingerprint"].is_null())
        .filter_map(|key| key["name"].as_str().map(str::to_owned))
        .collect()
}

impl Verify {
    /// Checks without a service: anybody can who has the statement and the public key.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let pem = read(&self.key)?;
        let key = PublicKey::from_pem(&pem)
            .with_context(|| format!("{} is no public key in PEM", self.key.display()))?;
        let stated: Value = serde_json::from_str(&read(&self.file)?)
            .with_context(|| format!("{} is not JSON", self.file.display()))?;
        let all = match stated {
            Value::Array(all) => all,
            one => vec![one],
        };
        if all.is_empty() {
            bail!("{} holds no statement", self.file.display());
        }
        let mut drifted = 0;
        for jws in &all {
            let checked = attestation::check(jws, &key)?;
            drifted += usize::from(checked.verdict != Verdict::AsRecorded);
            let claims = &checked.claims;
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let possession = if checked.possession {
                "possession proved"
            } else {
                "possession not proved"
            };
            print_line(&format!(
                "{}  {}  {}  evidence {}, {possession}, read at {}",
                text(&claims["key"]["name"]),
                text(&claims["public_key"]["fingerprint"]),
                checked.verdict.name(),
                text(&claims["device"]["evidence"]),
                text(&claims["read_at"]),
            ));
        }
        if drifted > 0 {
            bail!(
                "the signatures hold; {drifted} of {} keys are not as recorded",
                all.len()
            );
        }
        Ok(())
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
