//! Whether whoever is to be told can be.

use super::{Report, text};
use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::notices::{Notices, records};

const ADVICE: &str = "correct [notices] and the files it names, or let the host reach it; then chancery notices test";

/// Whether each destination can be spoken to. Nothing is sent.
pub(super) async fn reach(report: &mut Report, config: &Config, ledger: Ledger) {
    let notices = match Notices::open(&config.notices, ledger, Clock::system()) {
        Ok(notices) => notices,
        Err(error) => {
            report.check("notices", Err(text(error)), ADVICE);
            return;
        }
    };
    let all = notices.reach().await;
    if all.is_empty() {
        report.unknown(
            "notices",
            "nobody is told of approvals that wait, of deadlines, halts and alarms",
            "name somebody in [[notices.webhooks]] or [notices.mail], or watch the log",
        );
    }
    for tried in all {
        let what = format!("notices, {}", tried.destination);
        let verdict = tried.trouble.map_or(Ok("it answers".to_owned()), Err);
        report.check(&what, verdict, ADVICE);
    }
}

/// Whether everything has arrived, or still can.
pub(super) async fn stuck(report: &mut Report, config: &Config, ledger: &Ledger) {
    let webhooks = config.notices.webhooks.iter();
    let mut names: Vec<_> = webhooks.map(|it| it.name.to_string()).collect();
    names.extend(config.notices.mail.as_ref().map(|_| "mail".to_owned()));
    let (dead, stray) = match records::stuck(&names, ledger).await {
        Ok(stuck) => stuck,
        Err(error) => {
            report.check(
                "notices on record",
                Err(text(error)),
                "run chancery migrate",
            );
            return;
        }
    };
    if dead > 0 {
        report.unknown(
            "notices on record",
            &format!("{dead} were tried for two days and did not arrive"),
            "chancery notices list --state dead; they are forgotten after 30 days",
        );
    }
    if stray > 0 {
        report.unknown(
            "notices on record",
            &format!("{stray} wait for a destination that the configuration does not name"),
            "name it again, or let them be forgotten after 30 days",
        );
    }
}
