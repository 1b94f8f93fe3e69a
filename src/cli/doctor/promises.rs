//! Whether what is on record keeps the promises.

use super::{Report, text};
use crate::app::App;
use crate::config::Config;
use crate::invariants;
use crate::ledger::Ledger;

/// Looks at every row and leaf.
pub(super) async fn check(report: &mut Report, config: &Config, ledger: &Ledger) {
    const ADVICE: &str = "see deploy/guide/failures.md: halt, keep the database as it is, and find out what wrote it";
    let Ok(sealing) = App::keyring(config) else {
        return; // which was said
    };
    let found = match invariants::check(ledger, &sealing, |_| ()).await {
        Ok(found) => found,
        Err(error) => {
            report.check("promises", Err(text(error)), ADVICE);
            return;
        }
    };
    for law in &found.laws {
        let what = format!("{}, {}", law.promise, law.what);
        let verdict = if law.broken == 0 {
            Ok(format!("{} looked at", law.looked_at))
        } else {
            let first = law.first.join("; ");
            Err(format!("{} of {}: {first}", law.broken, law.looked_at))
        };
        report.check(&what, verdict, ADVICE);
    }
    let said = format!(
        "{} released, {} refused, {} abandoned, {} open; {} signatures are of no kind that a public key checks",
        found.released, found.refused, found.abandoned, found.open, found.not_judged
    );
    report.check("on record", Ok(said), "");
    report.unknown(
        "not shown by a database",
        &found.not_shown.join("; "),
        "other tests and your own records show these",
    );
    report.promises = Some(found);
}
