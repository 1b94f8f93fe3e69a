//! What decides, and whether the file says the same.

use super::{Report, text};
use crate::authority::Authority;
use crate::clock::timestamp;
use crate::config::Config;
use crate::policy::{Brought, Policies, Policy};

const WHAT: &str = "policy";

/// The policy of the ledger, or, as long as there is none or nobody knows, the file that would bring it. Gives back
/// what decides, where something does.
pub(super) fn check(
    report: &mut Report,
    config: &Config,
    authority: Option<&Authority>,
) -> Option<Policies> {
    let policies = authority.map(|it| Policies::new(it.clone()));
    let newest = policies.as_ref().map(Policies::now);
    if let (Some(newest), Some(policies)) = (newest, policies)
        && (newest.stated().is_some() || newest.trouble().is_some())
    {
        let verdict = match (newest.trouble(), newest.stated()) {
            (None, Some(stated)) => Ok(format!(
                "{}, since {} (version {})",
                hex::encode(stated.digest),
                timestamp(stated.at),
                stated.version.number()
            )),
            (trouble, _) => Err(trouble.unwrap_or_default().to_owned()),
        };
        let advice = "run the program that reads it and replace it (chancery policy propose), or break the glass: see deploy/guide/policy.md";
        report.check(WHAT, verdict, advice);
        file(report, config, &newest.compare(&config.policy.file));
        return Some(policies);
    }
    let policy = Policy::load(&config.policy.file);
    let shown = config.policy.file.display();
    let described = policy.as_ref().map(|_| match authority {
        Some(_) => format!("{shown}, which the first start brings into the ledger"),
        None => shown.to_string(),
    });
    report.check(
        WHAT,
        described.map_err(text),
        "correct [policy] file, or the policy in it",
    );
    Some(Policies::or(authority?.clone(), Some(policy.ok()?)))
}

/// It does not decide, but people may think so.
fn file(report: &mut Report, config: &Config, compared: &Brought) {
    let shown = config.policy.file.display();
    if let Brought::Other(how) = compared {
        report.unknown(
            "policy in the file",
            &format!("{shown} is not the policy that decides: {how}"),
            &format!("chancery policy diff --active {shown}, then chancery policy propose {shown}; or chancery policy show --text into the file"),
        );
    }
}
