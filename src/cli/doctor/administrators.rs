//! Who can let others in, and for how long.

use super::{Report, text};
use crate::administrators::{Administrators, Concern};
use crate::authority::Authority;
use crate::callers::Callers;
use crate::clock::Clock;
use crate::clock::timestamp;
use crate::config::Config;
use crate::policy::Policies;

/// Somebody can manage callers, for a while yet, and replace the policy. Without ways in that was said already.
pub(super) async fn check(
    report: &mut Report,
    config: &Config,
    authority: Authority,
    policies: Policies,
) {
    const WHAT: &str = "administrators";
    const ADVICE: &str = "see deploy/guide/callers.md";
    let clock = Clock::system();
    let Ok(callers) = Callers::open(&config.callers, authority, clock.clone()) else {
        return;
    };
    let administrators = Administrators::new(callers, policies);
    let found = async {
        let concerns = administrators.concerns(clock.now()).await?;
        let is_new = administrators.has_no_callers().await?;
        Ok::<_, crate::callers::CallerError>((concerns, administrators.list().await?, is_new))
    };
    match found.await {
        Err(error) => {
            report.check(WHAT, Err(text(error)), ADVICE);
        }
        Ok((_, _, true)) => {
            let advice = "chancery callers bootstrap makes the first operator";
            report.unknown(WHAT, "there is no caller yet", advice);
        }
        Ok((concerns, all, false)) => {
            for concern in &concerns {
                if matches!(concern, Concern::Ends(_, false)) {
                    report.unknown(WHAT, &text(concern), ADVICE);
                } else {
                    report.check(WHAT, Err(text(concern)), ADVICE);
                }
            }
            if let ([], Some(last)) = (concerns.as_slice(), all.first()) {
                let until = timestamp(last.until);
                let said = format!("{} can manage callers, until {until}", all.len());
                report.check(WHAT, Ok(said), ADVICE);
            }
            if let Ok(false) = administrators.can_replace_policy().await {
                report.unknown(
                    WHAT,
                    "nobody may replace the policy",
                    "have one permit replace_policy, as policies/start.cedar does: before the first start in the file, later as who broke the glass",
                );
            }
        }
    }
}
