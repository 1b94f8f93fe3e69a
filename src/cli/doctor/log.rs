//! Whether the audit log proves itself.

use super::{Report, text};
use crate::app::App;
use crate::config::Config;
use crate::evidence::{Evidence, Extent};
use crate::ledger::Ledger;

/// The log is the one that was published, and what has no place in it yet can have one.
pub(super) async fn check(report: &mut Report, config: &Config, ledger: &Ledger) {
    const WHAT: &str = "audit log";
    const ADVICE: &str = "see deploy/guide/audit-log.md: nothing is signed until then";
    let Ok(sealing) = App::keyring(config) else {
        return; // which was said
    };
    match Evidence::measure(&config.evidence, ledger.clone(), &sealing).await {
        Ok(None) => report.unknown(WHAT, "there is none yet", "chancery serve begins it"),
        Ok(Some(Extent { size, waiting })) => {
            let place = match &config.evidence.checkpoint_file {
                Some(file) => format!("{} and the database", file.display()),
                None => "the database alone".to_owned(),
            };
            let said = format!(
                "{size} leaves, which begin with what was published to {place}; {waiting} more have no place yet"
            );
            report.check(WHAT, Ok(said), ADVICE);
        }
        Err(error) => {
            report.check(WHAT, Err(text(error)), ADVICE);
        }
    }
}
