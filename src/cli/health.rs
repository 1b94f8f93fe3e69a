//! `chancery health`

use anyhow::bail;
use clap::Args;

use super::client::Service;
use super::{print_json, table};

/// How the replica that answers is, by what it has to have.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: Service,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let health = options.service.client()?.get("/v1/health").await?;
    if options.json {
        print_json(&health)?;
    } else {
        let rows = table::rows(&health["checks"], &["what", "trouble"]);
        table::print(&["what", "trouble"], &rows);
    }
    if health["ready"] != true {
        bail!("it cannot sign");
    }
    Ok(())
}
