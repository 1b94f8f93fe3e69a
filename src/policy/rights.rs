//! Asking: what is decided and what becomes of a no.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::asides::Asides;
use super::{
    Action, Ask, Deed, Denied, Explanation, Newest, NotARequest, Permit, Policies, Policy,
    Resource, Settings, Stake,
};
use crate::approvals::check::Claim;
use crate::approvals::{self, Approval};
use crate::audit::{Author, Log};
use crate::authority::{Authority, Snapshot, Statement, Version};
use crate::callers::Caller;
use crate::halts::{Bearing, Halt, Halts, Hit};
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

/// What was decided on a request, and why.
#[derive(Debug)]
pub struct Explained {
    /// What the policy says.
    pub explanation: Explanation,
    /// SHA-256 of that policy.
    pub policy: [u8; 32],
    /// The version with which it came.
    pub version: Option<Version>,
    /// The halt that stops what the policy permits, in words.
    pub halt: Option<String>,
}

/// Why nothing is explained.
#[derive(Debug, thiserror::Error)]
pub enum Unexplained {
    /// It is no request.
    #[error(transparent)]
    NotARequest(#[from] NotARequest),
    /// The policy is none to this program.
    #[error("this program cannot read the policy: {0}")]
    Unfit(String),
    /// What held cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The rights of callers. Cheap to clone.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    policies: Policies,
    authority: Authority,
    approvals: Arc<approvals::Settings>,
    halts: Halts,
    asides: Asides,
}

impl Rights {
    /// What the policy gives. Denials and dry runs go to the log until the last handle is gone.
    pub fn new(
        settings: &Settings,
        policies: Policies,
        authority: Authority,
        approvals: Arc<approvals::Settings>,
        log: Log,
        tasks: &TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            policies,
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
        self.permit(caller, Deed::new(action, resource.clone()))
    }

    /// Permits something that says itself what it asks for; the permit then holds it.
    pub fn permit<A: Ask>(&self, caller: &Caller, asked: A) -> Result<Permit<A>, Denied> {
        let decided = self.decide_all(caller, &asked)?;
        Ok(Permit::new(asked, self.author(caller, decided)))
    }

    /// Decides once more, by what was decided until now: what was permitted may have been tightened. Says by
    /// which version it is still permitted.
    pub async fn again(&self, caller: &Caller, asked: &impl Ask) -> Result<Version, Again> {
        self.0.authority.catch_up().await?;
        Ok(self.decide_all(caller, asked)?)
    }

    /// All that it takes: the oldest of the versions by which each part is permitted.
    fn decide_all(&self, caller: &Caller, asked: &impl Ask) -> Result<Version, Denied> {
        let mut decided = self.decide(caller, asked, |policy| on(asked, policy))?;
        for (action, stake) in asked.parts() {
            let winds = match asked.bearing() {
                Bearing::Winds(what) => Some(what),
                _ => None,
            };
            let deed = Deed::new(action, asked.resource()).winding(winds);
            let part = self.decide(caller, &deed, |policy| {
                at(deed.resource(), action, policy, || stake)
            })?;
            decided = decided.min(part);
        }
        Ok(decided)
    }

    /// What decides.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// Whether it hangs on more than caller and resource who may do this.
    pub fn looks_at_stakes(&self, action: Action) -> bool {
        self.0.policies.now().policy().looks_at_stakes(action)
    }

    /// Whether a request for this could be permitted, before it is known what will be at stake: then it is
    /// asked again. A no is put on record.
    pub fn could(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Denied> {
        self.could_do(caller, &Deed::new(action, resource.clone()))
    }

    /// Whether a deed could be permitted, whatever is at stake.
    pub fn could_do(&self, caller: &Caller, deed: &Deed) -> Result<(), Denied> {
        let open = deed.resource.clone().open();
        self.decide(caller, deed, |_| open).map(drop)
    }

    /// Whether the policy lets a caller do this, where a no is no refusal: what they may not see is left
    /// out. It is not put on record, and nothing but what they may read follows from it.
    pub fn would(&self, caller: &Caller, action: Action, resource: &Resource) -> bool {
        let newest = self.0.policies.now();
        newest.policy().decide(caller, action, resource).is_ok()
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
        let newest = self.0.policies.now();
        let policy = newest.policy();
        let said = policy.explain(caller, asked.action(), &on(asked, policy));
        said.map_or_else(|_| Vec::new(), |it| it.rules)
    }

    /// What was said to a request of somebody at a moment, or is now, and why. It is no answer to them.
    pub fn explain(
        &self,
        (snapshot, is_past): (&Snapshot, bool),
        caller: &Caller,
        asked: &Deed,
    ) -> Result<Explained, Unexplained> {
        let newest = if is_past {
            Arc::new(Newest::of(snapshot))
        } else {
            self.0.policies.of(snapshot)
        };
        if let Some(trouble) = newest.trouble() {
            return Err(Unexplained::Unfit(trouble.to_owned()));
        }
        let (action, resource) = (asked.action, &asked.resource);
        let explanation = newest.policy().explain(caller, action, resource)?;
        let hit = Hit {
            caller: caller.id,
            touches: resource.touches,
            markets: &asked.markets,
            bearing: asked.bearing(),
        };
        let halt = if is_past {
            Halts::then(snapshot, &hit)?
        } else {
            self.0.halts.on(snapshot, &hit)?
        };
        Ok(Explained {
            explanation,
            policy: newest.digest(),
            version: newest.stated().map(|it| it.version),
            halt: halt.map(|halt| halt.to_string()),
        })
    }

    /// The roles that the policy names. Without any it goes by something else.
    pub fn roles(&self) -> BTreeSet<String> {
        self.0.policies.now().policy().roles().clone()
    }

    /// SHA-256 of the policy that decides, as leaves have it. A permit that an older one gave is not put on
    /// record any more, so no leaf names another than the one that decided.
    pub fn policy_digest(&self) -> [u8; 32] {
        self.0.policies.now().digest()
    }

    /// The policy, by version.
    pub fn policies(&self) -> &Policies {
        &self.0.policies
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

    /// By which version of what decides it is permitted, on a resource as the policy looks at it.
    fn decide(
        &self,
        caller: &Caller,
        asked: &impl Ask,
        resource: impl FnOnce(&Policy) -> Resource,
    ) -> Result<Version, Denied> {
        let now = self.0.authority.now();
        let newest = self.0.policies.of(&now);
        let (action, resource) = (asked.action(), &resource(newest.policy()));
        let decided = newest.policy().decide(caller, action, resource);
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
        let decided = decided.map(|()| by(&now, caller, resource.statements()));
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
        let decided = by(&self.0.authority.now(), caller, []);
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

/// On what something is asked for, with what is at stake where the policy looks at that.
fn on(asked: &impl Ask, policy: &Policy) -> Resource {
    at(asked.resource(), asked.action(), policy, || asked.stake())
}

fn at(
    resource: Resource,
    action: Action,
    policy: &Policy,
    stake: impl FnOnce() -> Stake,
) -> Resource {
    if resource.is_bare() && policy.looks_at_stakes(action) {
        resource.at(stake())
    } else {
        resource
    }
}

/// By which version something is permitted to a caller: by none where rows that it stands on were stated anew
/// since they were read.
fn by<'a>(
    now: &Snapshot,
    caller: &'a Caller,
    stated: impl IntoIterator<Item = &'a Statement>,
) -> Version {
    if now.are_at(caller.stated.iter().chain(stated)) {
        now.version()
    } else {
        Version::NEVER
    }
}
