//! `chancery migrate`

use clap::Args;

use super::ConfigFile;
use crate::app::App;
use crate::ledger::{Ledger, SERVICE_ROLE};

/// Where the owner's way into the database is, and what to do there.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Then let the service's role do what it has to do: the statements of deploy/grants.sql.
    #[arg(long)]
    grant: bool,
}

/// Applies what is missing. A second run finds nothing to do.
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let config = options.file.load()?;
    let ledger = App::ledger(&config)?;
    apply(&ledger).await?;
    if options.grant {
        ledger.grant().await?;
        super::print_line(&format!("{SERVICE_ROLE} may do what the service does"));
    }
    Ok(())
}

/// Brings a schema up to date, and says what it does.
pub(super) async fn apply(ledger: &Ledger) -> anyhow::Result<()> {
    let applied = ledger.migrate().await?;
    for migration in &applied {
        super::print_line(&format!("applied {migration}"));
    }
    if applied.is_empty() {
        super::print_line("the schema is up to date");
    }
    Ok(())
}
