//! `chancery signatures`

use clap::{Args, Subcommand};

use super::client::Service;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what was signed, by the id of the answer
    Show {
        /// The id.
        id: String,
        #[command(flatten)]
        service: Service,
    },
    /// Find what was signed, after an answer was lost; newest first
    Find {
        #[command(flatten)]
        by: By,
        #[command(flatten)]
        service: Service,
    },
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct By {
    /// What the key signed: 0x and 64 hexadecimal digits.
    #[arg(long)]
    digest: Option<String>,
    /// The order's hash at the venue.
    #[arg(long)]
    order_hash: Option<String>,
    /// Your own idempotency key, of one request or of a batch.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Show { id, service } => {
            let path = format!("/v1/signatures/{id}");
            service.show(&path).await
        }
        Command::Find { by, service } => {
            let wanted = [
                ("digest", by.digest),
                ("orderHash", by.order_hash),
                ("idempotency_key", by.key),
            ];
            let wanted = wanted
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            let query = reqwest::Url::parse_with_params("http://query/", wanted)?;
            let path = format!("/v1/signatures?{}", query.query().unwrap_or_default());
            service.show(&path).await
        }
    }
}
