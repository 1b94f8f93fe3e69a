//! What a yes and a no of the policy are.

use std::sync::Arc;

use ruint::aliases::U256;

use super::{Action, Resource, Stake};
use crate::approvals::{Approval, ApprovalNeeded};
use crate::audit::Author;
use crate::authority::Version;
use crate::halts::{Bearing, Halt, Winding};

/// Proof that the policy allowed exactly this `A`. Minted only in `policy`; a change is begun with
/// it, and a signature is taken to its record with it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Permit<A = Deed> {
    action: A,
    author: Author,
}

/// Something that a caller may do to something.
#[derive(Clone, Debug)]
pub struct Deed {
    /// What.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// The token ids of orders in it.
    pub markets: Vec<U256>,
    /// What it winds down, where that is more than its action says.
    pub winds: Option<Winding>,
}

/// Something that the policy decides on before it is done.
pub trait Ask {
    /// What is wanted.
    fn action(&self) -> Action;
    /// On what.
    fn resource(&self) -> Resource;
    /// What is at stake. It is asked for only where a policy looks at that.
    fn stake(&self) -> Stake {
        Stake::new()
    }
    /// What it takes all of, where that is not one right: each is decided by itself, with its own stake.
    fn parts(&self) -> Vec<(Action, Stake)> {
        Vec::new()
    }
    /// The token ids of orders in it.
    fn markets(&self) -> Vec<U256> {
        Vec::new()
    }
    /// What comes of it, as far as halts are about it.
    fn bearing(&self) -> Bearing {
        self.action().bearing()
    }
}

impl Ask for Deed {
    fn action(&self) -> Action {
        self.action
    }

    fn resource(&self) -> Resource {
        self.resource.clone()
    }

    fn markets(&self) -> Vec<U256> {
        self.markets.clone()
    }

    fn bearing(&self) -> Bearing {
        self.winds.map_or(self.action.bearing(), Bearing::Winds)
    }
}

impl Deed {
    /// This to that.
    pub fn new(action: Action, resource: Resource) -> Self {
        Self {
            action,
            resource,
            markets: Vec::new(),
            winds: None,
        }
    }

    /// The deed with orders for these tokens in it.
    #[must_use]
    pub fn on_markets(self, markets: Vec<U256>) -> Self {
        Self { markets, ..self }
    }

    /// The same where it winds something down.
    #[must_use]
    pub fn winding(self, winds: Option<Winding>) -> Self {
        Self { winds, ..self }
    }

    /// The same after it was done, which may have changed the thing it was done to.
    #[must_use]
    pub fn as_done(&self) -> Self {
        Self {
            resource: self.resource.clone().stated([None; 2]),
            ..self.clone()
        }
    }
}

impl<A> Permit<A> {
    pub(super) fn new(action: A, author: Author) -> Self {
        Self { action, author }
    }

    #[cfg(test)]
    pub(crate) fn for_test(action: A) -> Self {
        Self::new(action, Author::bootstrap(crate::id::CallerId::SERVICE))
    }

    /// What is permitted.
    pub fn action(&self) -> &A {
        &self.action
    }

    /// Who answers for it.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// By which version of what decides it was permitted.
    pub fn decided(&self) -> Version {
        self.author.decided().unwrap_or_default()
    }

    /// Whether what it stands on was stated anew since it was read: no gate lets it through.
    pub fn is_outdated(&self) -> bool {
        self.decided() == Version::NEVER
    }

    /// The permitted thing, for which leave is asked anew.
    pub(crate) fn give_up(self) -> A {
        self.action
    }

    /// Who has agreed to it, if it loosens (P6).
    pub fn loosen(&self) -> Result<Approval, ApprovalNeeded> {
        self.author.loosen()
    }

    /// Takes the permit apart into the permitted thing and a permit for what follows from it: an
    /// order, and the digest that stands for it. Called only by `signing`, once both are on record.
    pub(crate) fn split<B>(self, follows: impl FnOnce(&A) -> B) -> (A, Permit<B>) {
        let follows = Permit::new(follows(&self.action), self.author);
        (self.action, follows)
    }
}

/// The policy said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", text(.action.name(), .rules, .halt.as_deref()))]
pub struct Denied {
    /// What was wanted.
    pub action: Action,
    /// The `@id` of the policies that forbid it; none when nothing permits it.
    pub rules: Vec<String>,
    /// What the caller may not know to be there, as people call it: they are told what they would be
    /// told if it were not.
    pub hides: Option<&'static str>,
    /// The halt that stops what the policy permits.
    pub halt: Option<Arc<Halt>>,
}

fn text(action: &str, rules: &[String], halt: Option<&Halt>) -> String {
    if let Some(halt) = halt {
        format!("{action} is stopped by {halt}")
    } else if rules.is_empty() {
        format!("{action} is not permitted")
    } else {
        format!("{action} is not permitted by {}", rules.join(", "))
    }
}
