//! `chancery migrate`

use crate::app::App;
use crate::config::Config;

/// Applies what is missing. A second run finds nothing to do.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let applied = App::ledger(config)?.migrate().await?;
    for migration in &applied {
        super::print_line(&format!("applied {migration}"));
    }
    if applied.is_empty() {
        super::print_line("the schema is up to date");
    }
    Ok(())
}
