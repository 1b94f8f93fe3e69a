//! What a policy would have let somebody do at a moment, without a request: who could do what.

use std::sync::Arc;

use super::resource::Circumstance;
use super::{Action, Newest, Resource, Rights, Unexplained};
use crate::authority::Snapshot;
use crate::callers::Caller;
use crate::halts::{Bearing, Halts, Hit};
use crate::ledger::LedgerError;

/// The policy and the halts of a moment.
pub struct Then<'s> {
    snapshot: &'s Snapshot,
    newest: Arc<Newest>,
}

/// That something could be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Could {
    /// The rules that would permit it, by their `@id`s.
    pub rules: Vec<String>,
    /// Whether it hung on more than who asked on what: on the side or the price of an order, say.
    pub depends: bool,
}

impl Rights {
    /// What was decided by then. Nothing follows from it.
    pub fn then<'s>(&self, snapshot: &'s Snapshot) -> Result<Then<'s>, Unexplained> {
        let newest = Arc::new(Newest::of(snapshot));
        match newest.trouble() {
            Some(trouble) => Err(Unexplained::Unfit(trouble.to_owned())),
            None => Ok(Then { snapshot, newest }),
        }
    }
}

impl Then<'_> {
    /// The policy.
    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// Whether a caller could do this to that, in some circumstance.
    pub fn could(&self, caller: &Caller, action: Action, resource: &Resource) -> Option<Could> {
        if caller.is_break_glass() {
            return None; // none of what that gives signs
        }
        let policy = self.newest.policy();
        let depends = policy.looks_at_stakes(action);
        let circumstance = if depends {
            Circumstance::Open
        } else {
            Circumstance::Nothing
        };
        let answer = policy.ask(caller, action, resource, &circumstance)?;
        let is_sound = answer.diagnostics().errors().next().is_none();
        let permits = is_sound && answer.decision() == cedar_policy::Decision::Allow;
        permits.then(|| Could {
            rules: policy.rules_of(&answer),
            depends,
        })
    }

    /// The halt that stopped it, whatever the policy said.
    pub fn halt(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Option<String>, LedgerError> {
        let hit = Hit {
            caller: caller.id,
            touches: resource.touches,
            markets: &[],
            bearing: action.bearing(),
        };
        let halt = Halts::then(self.snapshot, &hit)?;
        Ok(halt.map(|halt| halt.to_string()))
    }

    /// What has a key do something.
    pub fn signing() -> impl Iterator<Item = Action> {
        let signs = |it: &Action| matches!(it.bearing(), Bearing::Signs | Bearing::Probes);
        Action::ALL.into_iter().filter(signs)
    }
}
