//! Asking: what is decided and what becomes of a no.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::asides::Asides;
use super::{
    Action, Ask, Deed, Denied, Explanation, NotARequest, Permit, Policy, Resource, Settings,
};
use crate::approvals::check::Claim;
use crate::approvals::{self, Approval};
use crate::audit::{Author, Log};
use crate::authority::{Authority, Snapshot, Version};
use crate::callers::Caller;
use crate::halts::{Halt, Halts, Hit};
use crate::ledger::LedgerError;

/// Why something that was permitted is not permitted again.
#[derive(Debug, thiserror::Error)]
pub enum Again {
    /// What decides could not be loaded.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It is no more.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// The rights of callers. Cheap to clone.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    policy: Arc<Policy>,
    authority: Authority,
    approvals: Arc<approvals::Settings>,
    halts: Halts,
    asides: Asides,
}

impl Rights {
    /// What this policy gives. Denials and dry runs go to the log until the last handle is gone.
    pub fn new(
        settings: &Settings,
        policy: Arc<Policy>,
        authority: Authority,
        approvals: Arc<approvals::Settings>,
        log: Log,
        tasks: &TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            policy,
            halts: Halts::new(authority.clone()),
            authority,
            approvals,
            asides: Asides::start(settings, log, tasks),
        }))
    }

    /// Whether a caller may do this to that. A no is put on record.
    pub fn ask(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<Permit, Denied> {
        let deed = Deed {
            action,
            resource: resource.clone(),
            markets: Vec::new(),
        };
        self.permit(caller, deed)
    }

    /// The same of something that says itself what it asks for, which the permit then holds.
    pub fn permit<A: Ask>(&self, caller: &Caller, asked: A) -> Result<Permit<A>, Denied> {
        let decided = self.decide(caller, &asked, &self.on(&asked))?;
        Ok(Permit::new(asked, self.author(caller, decided)))
    }

    /// Decides once more, by what was decided until now: what was permitted may have been tightened. Says by
    /// which version it is still permitted.
    pub async fn again(&self, caller: &Caller, asked: &impl Ask) -> Result<Version, Again> {
        self.0.authority.catch_up().await?;
        Ok(self.decide(caller, asked, &self.on(asked))?)
    }

    /// On what something is asked for, with what is at stake where the policy looks at that.
    fn on(&self, asked: &impl Ask) -> Resource {
        let resource = asked.resource();
        if resource.is_bare() && self.0.policy.looks_at_stakes(asked.action()) {
            resource.at(asked.stake())
        } else {
            resource
        }
    }

    /// What decides, apart from the policy file.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
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
        let deed = Deed {
            action,
            resource: resource.clone().open(),
            markets: Vec::new(),
        };
        self.decide(caller, &deed, &deed.resource).map(drop)
    }

    /// Whether the policy lets a caller do this, where a no is no refusal: what they may not see is left
    /// out. It is not put on record, and nothing but what they may read follows from it.
    pub fn would(&self, caller: &Caller, action: Action, resource: &Resource) -> bool {
        self.0.policy.decide(caller, action, resource).is_ok()
    }

    /// A no that follows from several questions; it is on record like any other.
    pub fn refuse(&self, caller: &Caller, action: Action, resource: &Resource) -> Denied {
        self.0.asides.denied(caller.id, action, resource);
        Denied {
            action,
            rules: Vec::new(),
            hides: self.hides(caller, resource),
            halt: None,
        }
    }

    /// A caller was told what would be signed, which is on record like a denial.
    pub fn tried(&self, caller: &Caller, asked: &impl Ask, digest: [u8; 32]) {
        let what = (asked.action(), &asked.resource());
        self.0.asides.tried(caller.id, what, digest);
    }

    /// By which rules something is permitted, as people name them.
    pub fn rules(&self, caller: &Caller, asked: &impl Ask) -> Vec<String> {
        let said = self.explain(caller, asked.action(), &self.on(asked));
        said.map_or_else(|_| Vec::new(), |it| it.rules)
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

    /// The halts.
    pub fn halts(&self) -> &Halts {
        &self.0.halts
    }

    /// The halt that stops something that was permitted once.
    pub fn halt_on(&self, caller: &Caller, asked: &impl Ask) -> Result<Option<Arc<Halt>>, Denied> {
        let (now, resource) = (self.0.authority.now(), asked.resource());
        self.halt_among(&now, caller, asked, &resource)
    }

    fn halt_among(
        &self,
        now: &Snapshot,
        caller: &Caller,
        asked: &impl Ask,
        resource: &Resource,
    ) -> Result<Option<Arc<Halt>>, Denied> {
        let halts = &self.0.halts;
        let halt = halts.are_on_markets(now).and_then(|which_market| {
            let markets = if which_market {
                asked.markets()
            } else {
                Vec::new()
            };
            let hit = Hit {
                caller: caller.id,
                touches: resource.touches,
                markets: &markets,
                bearing: asked.bearing(),
            };
            halts.on(now, &hit)
        });
        halt.map_err(|error| {
            tracing::error!(%error, "halts cannot be read: denied");
            self.refuse(caller, asked.action(), resource)
        })
    }

    /// By which version of what decides it is permitted.
    fn decide(
        &self,
        caller: &Caller,
        asked: &impl Ask,
        resource: &Resource,
    ) -> Result<Version, Denied> {
        let now = self.0.authority.now();
        let action = asked.action();
        let decided = self.0.policy.decide(caller, action, resource);
        if decided.is_ok()
            && let Some(halt) = self.halt_among(&now, caller, asked, resource)?
        {
            self.0.asides.denied(caller.id, action, resource);
            return Err(Denied {
                action,
                rules: Vec::new(),
                hides: None,
                halt: Some(halt),
            });
        }
        let decided = decided.map(|()| now.version());
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

    /// Who answers for a proposal of what the policy has let them ask for, and others have to agree to.
    pub(crate) fn proposer(&self, caller: &Caller) -> Author {
        let decided = self.0.authority.now().version();
        Author::caller(caller.id, caller.credential, decided, None)
    }

    fn author(&self, caller: &Caller, decided: Version) -> Author {
        let rules = &self.0.approvals;
        // Whoever broke the glass has shown two things that one person need not have.
        let alone = caller.is_break_glass().then(Approval::break_glass);
        let (id, credential) = (caller.id, caller.credential);
        match (rules.agreement().or(alone), caller.proposal) {
            (None, Some(proposal)) => {
                let rules = rules.clone();
                Author::under(id, credential, decided, Claim { proposal, rules })
            }
            (agreed, _) => Author::caller(id, credential, decided, agreed),
        }
    }
}
