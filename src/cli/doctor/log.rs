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
        Ok(Some(Extent {
            size,
            waiting,
            place,
            copies,
        })) => {
            let place = match place {
                Some(place) => format!("{place} and the database"),
                None => "the database alone".to_owned(),
            };
            let said = format!(
                "{size} leaves, which begin with what was published to {place}; {waiting} more have no place yet"
            );
            report.check(WHAT, Ok(said), ADVICE);
            for (name, has) in copies {
                let said = has.map(|has| {
                    let behind = size.saturating_sub(has);
                    format!("{name} has {has} leaves; {behind} are not in it yet")
                });
                let advice = "see deploy/guide/audit-log.md, copies as it grows";
                report.check(
                    "copy of the log",
                    said.map_err(|why| format!("{name}: {why}")),
                    advice,
                );
            }
        }
        Err(error) => {
            report.check(WHAT, Err(text(error)), ADVICE);
        }
    }
}
