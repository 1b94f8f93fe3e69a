//! `chancery approvals`

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use serde_json::Value;

use super::client::Service;
use super::list::List;
use super::{print_json, remark};
use crate::approvals::document::hash;
use crate::approvals::signature::{message, ssh};
use crate::approvals::{NewApproval, Signature};
use crate::id::ProposalId;
use crate::keys::Justification;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what waits for approval
    List {
        /// Also what is over.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        list: List,
    },
    /// Show a proposal, and the hash that approvers sign
    Show {
        /// The proposal's id.
        proposal: ProposalId,
        #[command(flatten)]
        service: Service,
    },
    /// Approve a proposal: what it does is shown, and its hash signed here with your key
    Approve {
        /// The proposal's id.
        proposal: ProposalId,
        /// The file with your private key, or with the public one where an agent or a security key has the other half.
        #[arg(long, value_name = "FILE", required_unless_present = "signature")]
        ssh_key: Option<PathBuf>,
        /// A signature that was made elsewhere: ssh-keygen -Y sign -n chancery-approval, over the hash and a line feed.
        #[arg(long, value_name = "FILE", conflicts_with = "ssh_key")]
        signature: Option<PathBuf>,
        /// Only if the proposal has this hash, which you have from elsewhere.
        #[arg(long, value_name = "HEX")]
        hash: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Reject a proposal: it is over
    Reject {
        /// The proposal's id.
        proposal: ProposalId,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
    /// Withdraw a proposal of yours: it is over
    Withdraw {
        /// The proposal's id.
        proposal: ProposalId,
        #[command(flatten)]
        why: Justification,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { all, list } => {
            let path = if all {
                "/v1/approvals?all=true"
            } else {
                "/v1/approvals"
            };
            let members = [
                "id",
                "state",
                "requester",
                "sentence",
                "missing",
                "expires_at",
            ];
            list.print(path, &members).await
        }
        Command::Show { proposal, service } => {
            let path = format!("/v1/approvals/{proposal}");
            service.show(&path).await
        }
        Command::Approve {
            proposal,
            ssh_key,
            signature,
            hash,
            service,
        } => {
            let client = service.client()?;
            let path = format!("/v1/approvals/{proposal}");
            let shown = client.get(&path).await?;
            let digest = digest_of(&shown, hash.as_deref())?;
            remark(&format!(
                "{} asks to {}\nhash {}",
                text(&shown, "requester"),
                text(&shown, "sentence"),
                hex::encode(digest)
            ));
            let signature = match (ssh_key, signature) {
                (Some(key), _) => sign(&key, &message(&digest))?,
                (None, Some(file)) => std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?,
                (None, None) => bail!("say --ssh-key or --signature"),
            };
            let body = NewApproval {
                signature: Signature::Ssh(signature),
            };
            print_json(&client.post(&format!("{path}/approve"), &body).await?)
        }
        Command::Reject {
            proposal,
            why,
            service,
        } => end(&service, proposal, "reject", &why).await,
        Command::Withdraw {
            proposal,
            why,
            service,
        } => end(&service, proposal, "withdraw", &why).await,
    }
}

async fn end(
    service: &Service,
    proposal: ProposalId,
    how: &str,
    why: &Justification,
) -> anyhow::Result<()> {
    let path = format!("/v1/approvals/{proposal}/{how}");
    service.ask(&path, why).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// What is signed: made here, from the document whose sentence is shown, whatever the service says it is.
fn digest_of(shown: &Value, expected: Option<&str>) -> anyhow::Result<[u8; 32]> {
    let document = text(shown, "document");
    let digest = hash(document);
    let said: Value = serde_json::from_str(document).context("the document is no JSON")?;
    let of_document = (
        text(&said, "sentence"),
        text(&said["requester"], "person_name"),
    );
    let of_service = (text(shown, "sentence"), text(shown, "requester"));
    ensure!(
        hex::encode(digest) == text(shown, "hash") && of_document == of_service,
        "what the service shows is not what the document says: nothing is signed"
    );
    if let Some(expected) = expected {
        ensure!(
            hex::encode(digest).eq_ignore_ascii_case(expected),
            "the proposal's hash is {}: nothing is signed",
            hex::encode(digest)
        );
    }
    Ok(digest)
}

/// Has ssh-keygen sign, which asks for a passphrase or a touch where the key needs one.
fn sign(key: &Path, message: &str) -> anyhow::Result<String> {
    let mut signer = Program::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", ssh::NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("ssh-keygen does not start: install OpenSSH, or bring --signature")?;
    let mut input = signer.stdin.take().context("ssh-keygen takes no input")?;
    input.write_all(message.as_bytes())?;
    drop(input);
    let done = signer.wait_with_output()?;
    ensure!(done.status.success(), "ssh-keygen has not signed");
    Ok(String::from_utf8(done.stdout)?)
}
