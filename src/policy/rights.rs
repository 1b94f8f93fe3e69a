//! Asking: what is decided and what becomes of a no.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::denials::Denials;
use super::{
    Action, Ask, Deed, Denied, Explanation, NotARequest, Permit, Policy, Resource, Settings,
};
use crate::approvals;
use crate::audit::{Author, Log};
use crate::callers::Caller;

/// The rights of callers. Cheap to clone.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    policy: Arc<Policy>,
    approvals: approvals::Settings,
    denials: Denials,
}

impl Rights {
    /// What this policy gives. Denials go to the log until the last handle is gone.
    pub fn new(
        settings: &Settings,
        policy: Arc<Policy>,
        approvals: approvals::Settings,
        log: Log,
        tasks: &TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            policy,
            approvals,
            denials: Denials::start(settings, log, tasks),
        }))
    }

    /// Whether a caller may do this to that. A no is put on record.
    pub fn ask(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Permit, Denied> {
        self.decide(caller, action, resource)?;
        let resource = resource.clone();
        Ok(Permit::new(Deed { action, resource }, self.author(caller)))
    }

    /// The same of something that says itself what it asks for, which the permit then holds.
    pub fn permit<A: Ask>(&self, caller: &Caller, asked: A) -> Result<Permit<A>, Denied> {
        let action = asked.action();
        let mut resource = asked.resource();
        if resource.is_bare() && self.0.policy.looks_at_stakes(action) {
            resource = resource.at(asked.stake());
        }
        self.decide(caller, action, &resource)?;
        Ok(Permit::new(asked, self.author(caller)))
    }

    /// Whether it hangs on more than caller and resource who may do this.
    pub fn looks_at_stakes(&self, action: Action) -> bool {
        self.0.policy.looks_at_stakes(action)
    }

    /// Whether a request for this could be permitted, before it is known what will be at stake: then it is
    /// asked again. A no is put on record.
    pub fn could(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Denied> {
        self.decide(caller, action, &resource.clone().open())
    }

    /// Whether the policy lets a caller do this, where a no is no refusal: what they may not see is left
    /// out. It is not put on record, and nothing but what they may read follows from it.
    pub fn would(&self, caller: &Caller, action: Action, resource: &Resource) -> bool {
        self.0.policy.decide(caller, action, resource).is_ok()
    }

    /// A no that follows from several questions; it is on record like any other.
    pub fn refuse(&self, caller: &Caller, action: Action, resource: &Resource) -> Denied {
        self.0.denials.note(caller.id, action, resource);
        Denied {
            action,
            rules: Vec::new(),
            hides: self.hides(caller, resource),
        }
    }

    /// What the policy says to a request of somebody, and why. It is no answer to them.
    pub fn explain(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Explanation, NotARequest> {
        self.0.policy.explain(caller, action, resource)
    }

    /// The roles that the policy names. Without any it goes by something else.
    pub fn roles(&self) -> &BTreeSet<String> {
        self.0.policy.roles()
    }

    /// SHA-256 of the policy that decides, as leaves have it.
    pub fn policy_digest(&self) -> [u8; 32] {
        self.0.policy.digest()
    }

    fn decide(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<(), Denied> {
        let decided = self.0.policy.decide(caller, action, resource);
        decided.map_err(|denied| {
            let refused = self.refuse(caller, action, resource);
            Denied {
                rules: denied.rules,
                ..refused
            }
        })
    }

    /// What a caller may not know to be there.
    fn hides(&self, caller: &Caller, resource: &Resource) -> Option<&'static str> {
        let noun = resource.noun()?;
        let seen = self.would(caller, Action::View, &resource.bare());
        (!seen).then_some(noun)
    }

    fn author(&self, caller: &Caller) -> Author {
        let agreed = self.0.approvals.agreement();
        Author::caller(caller.id, caller.credential, agreed)
    }
}
