//! `chancery credentials`

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::builder_key::give_builder;
use super::client::Service;
use super::destination::Destination;
use super::list::List;
use super::nonce_search::search;
use super::print_json;
use crate::clob::api_keys::{CredentialMode, DeclaredNonces, NewCredential, NewSearch};
use crate::credentials::CredentialNonce;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the API keys on record for a wallet's address
    List {
        /// The wallet's name.
        #[arg(long)]
        wallet: String,
        /// Ask the CLOB which ones it has.
        #[arg(long)]
        at_clob: bool,
        #[command(flatten)]
        list: List,
    },
    /// Give the service a builder's API key, from files; builder headers are made with it from then on
    GiveBuilder {
        #[command(flatten)]
        of: Of,
        /// The API key's id, as the CLOB gave it out.
        api_key: String,
        /// The file with its secret.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// The file with its passphrase.
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Make an API key; the one that is live ends with it and has to be named
    Create {
        #[command(flatten)]
        of: Of,
        /// The nonce that selects it.
        #[arg(long, default_value = "0")]
        nonce: CredentialNonce,
        /// The API key that ends.
        #[arg(long, value_name = "API_KEY")]
        replaces: Option<String>,
        /// Derive first, and make one only where there is nothing to derive.
        #[arg(long)]
        or_derive: bool,
    },
    /// Get the API key that a nonce made, once more
    Derive {
        #[command(flatten)]
        of: Of,
        /// The nonce.
        #[arg(long, default_value = "0")]
        nonce: CredentialNonce,
    },
    /// Find out whether an API key works
    Check {
        #[command(flatten)]
        of: Of,
        /// The API key's id.
        api_key: String,
    },
    /// Have the CLOB delete an API key; its nonce stays on record
    Delete {
        #[command(flatten)]
        of: Of,
        /// The API key's id.
        api_key: String,
    },
    /// Write an API key's secrets to a file; that is put on record
    Reveal {
        #[command(flatten)]
        of: Of,
        /// The API key's id.
        api_key: String,
        /// A new file, for its owner only. Standard output unless it is given.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Look nonces up: which one made which API key, when, for whom, and what became of it
    Nonces {
        /// Of this wallet's address.
        #[arg(long)]
        wallet: Option<String>,
        /// This nonce.
        #[arg(long)]
        nonce: Option<String>,
        /// The one that made this API key.
        #[arg(long)]
        api_key: Option<String>,
        /// Recorded then or later, such as 2026-11-21T00:00:00Z.
        #[arg(long)]
        from: Option<String>,
        /// Recorded before.
        #[arg(long)]
        until: Option<String>,
        #[command(flatten)]
        list: List,
    },
    /// Put nonces on record that were used elsewhere
    Declare {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        declared: DeclaredNonces,
    },
    /// Try small nonces until one turns out to have made an API key; goes on where it was stopped
    Search {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        new: NewSearch,
        /// Go on with this search.
        #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to"])]
        resume: Option<String>,
        /// Stop at the first that is found.
        #[arg(long)]
        first: bool,
    },
}

/// Of which wallet, on which service.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The wallet's name.
    #[arg(long)]
    wallet: String,
    #[command(flatten)]
    service: Service,
}

impl Of {
    fn path(&self, rest: &str) -> String {
        format!("/v1/wallets/{}/{rest}", self.wallet)
    }
}

/// What a table shows of an API key.
const API_KEYS: [&str; 7] = [
    "apiKey",
    "kind",
    "state",
    "state_at",
    "nonce",
    "chainId",
    "created_by_name",
];

/// What a table shows of a nonce.
const NONCES: [&str; 7] = [
    "nonce",
    "outcome",
    "apiKey",
    "state",
    "wallets",
    "recorded_at",
    "recorded_by_name",
];

#[expect(clippy::too_many_lines, reason = "a line or two for each command")]
pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List {
            wallet,
            at_clob,
            list,
        } => {
            let path = |rest: &str| format!("/v1/wallets/{wallet}/{rest}");
            if at_clob {
                return list.print(&path("api-keys"), &["apiKey", "state"]).await;
            }
            list.print(&path("credentials"), &API_KEYS).await
        }
        Command::GiveBuilder {
            of,
            api_key,
            secret_file,
            passphrase_file,
        } => {
            give_builder(
                &of.service,
                &of.wallet,
                &api_key,
                &secret_file,
                &passphrase_file,
            )
            .await
        }
        Command::Create {
            of,
            nonce,
            replaces,
            or_derive,
        } => {
            let mode = if or_derive {
                CredentialMode::CreateOrDerive
            } else {
                CredentialMode::Create
            };
            let wanted = NewCredential {
                mode,
                nonce,
                replaces,
            };
            make(&of, &wanted).await
        }
        Command::Derive { of, nonce } => {
            let (mode, replaces) = (CredentialMode::Derive, None);
            let wanted = NewCredential {
                mode,
                nonce,
                replaces,
            };
            make(&of, &wanted).await
        }
        Command::Check { of, api_key } => {
            let path = of.path(&format!("credentials/{api_key}/check"));
            of.service.ask(&path, &json!({})).await
        }
        Command::Delete { of, api_key } => {
            let path = of.path(&format!("credentials/{api_key}"));
            print_json(&of.service.client()?.delete(&path).await?)
        }
        Command::Reveal {
            of,
            api_key,
            output,
        } => {
            let path = of.path(&format!("credentials/{api_key}/reveal"));
            let client = of.service.client()?;
            let destination = Destination::open(output.as_deref())?;
            let secrets = client.post(&path, &json!({})).await?;
            destination.write(&serde_json::to_string_pretty(&secrets)?)
        }
        Command::Nonces {
            wallet,
            nonce,
            api_key,
            from,
            until,
            list,
        } => {
            let wanted = [
                ("wallet", wallet),
                ("nonce", nonce),
                ("apiKey", api_key),
                ("from", from),
                ("until", until),
            ];
            find_nonces(wanted, &list).await
        }
        Command::Declare { of, declared } => {
            let client = of.service.client()?;
            print_json(&client.post(&of.path("nonces"), &declared).await?)
        }
        Command::Search {
            of,
            new,
            resume,
            first,
        } => {
            let client = of.service.client()?;
            let id = if let Some(id) = resume {
                id
            } else {
                let begun = client.post(&of.path("nonce-searches"), &new).await?;
                begun["id"]
                    .as_str()
                    .context("the search has no id")?
                    .to_owned()
            };
            search(&client, &of.wallet, &id, first).await
        }
    }
}

/// Has the CLOB make an API key, or tell one once more.
async fn make(of: &Of, wanted: &NewCredential) -> anyhow::Result<()> {
    let client = of.service.client()?;
    print_json(&client.post(&of.path("credentials"), wanted).await?)
}

async fn find_nonces(wanted: [(&str, Option<String>); 5], list: &List) -> anyhow::Result<()> {
    let wanted = wanted
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let query = reqwest::Url::parse_with_params("http://query/", wanted)?;
    let path = format!("/v1/nonces?{}", query.query().unwrap_or_default());
    list.print(&path, &NONCES).await
}
