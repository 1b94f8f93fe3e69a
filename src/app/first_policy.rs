//! The policy at the start: the ledger has one, or the file brings the first.
//!
//! # Why a start is refused
//! A policy that this program cannot read permits nothing, and people would find that out one refusal at a time.
//! A replica that does not start leaves the others to go on with the program that can. Only where the glass was
//! broken it starts all the same: for that one caller, who can bring another policy.

use super::{Settings, StartError};
use crate::audit::Log;
use crate::authority::Authority;
use crate::callers::Callers;
use crate::policy::{Brought, Policies};

pub(super) async fn bring(
    settings: &Settings,
    authority: &Authority,
    callers: &Callers,
    log: &Log,
) -> Result<Policies, StartError> {
    let policies = Policies::new(authority.clone());
    let file = &settings.policy.file;
    let shown = file.display();
    match policies.bring(file, log).await? {
        Brought::First => tracing::warn!(
            "{shown} is the first policy of this ledger; from now on chancery policy propose changes it, and the file does not"
        ),
        Brought::Same => {}
        Brought::Other(how) => tracing::warn!(
            "{shown} is not the policy that decides, and does not count: {how}. To have it decide: chancery policy propose {shown}"
        ),
    }
    let newest = policies.now();
    let Some(trouble) = newest.trouble() else {
        return Ok(policies);
    };
    let live = callers.live().await?;
    if live.iter().any(|(caller, _)| caller.is_break_glass()) {
        return Ok(policies);
    }
    Err(StartError::Unfit(format!(
        "this program cannot read the policy in the ledger ({trouble}): start the one that can and bring another policy \
         with it (chancery policy propose), or break the glass (chancery callers break-glass), start again, and bring \
         another as that caller"
    )))
}
