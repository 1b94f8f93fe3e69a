//! Decisions that were made, and what the next one is made of.
//!
//! It promises that nothing decides by memory that Cedar would decide otherwise: a decision is found
//! again by all of its inputs, each compared whole, and a memory belongs to one policy and goes with it.
//!
//! # Why
//! Cedar takes some forty microseconds for a decision, mostly to make entities of the same callers and
//! wallets, and an order takes two decisions. Those that hang on caller, action and resource alone are
//! remembered, and so are those on what recurs in requests (a side, a step), where a policy looks at that. One
//! on anything else (amounts, scopes) is made each time, of prepared entities. So is a no that names rules, and
//! one that could not be evaluated, which is to be heard of each time.
//!
//! Whoever asks of many things at once drives out only what is asked of seldom: what stays is what is
//! asked of most (`TinyLFU`), so that no caller empties it for another (P11).

use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_policy::Entity;
use moka::sync::Cache;

use super::resource::Circumstance;
use super::{Action, Resource};
use crate::callers::Caller;

/// So many pairs of a caller and a resource; each takes about half a kilobyte.
const PAIRS: u64 = 32_768;

/// So many prepared callers, and so many prepared resources; each takes about a kilobyte.
const ENTITIES: u64 = 4_096;

/// What one policy has decided.
pub(super) struct Memory {
    pairs: Cache<u64, Arc<Pair>>,
    callers: Cache<u64, Arc<(Caller, Entity)>>,
    resources: Cache<u64, Arc<(Resource, Entity)>>,
    /// Nobody outside can make two inputs meet in one place; where they do, each drives out the other.
    hasher: RandomState,
}

/// A caller and a resource.
pub(super) struct Pair {
    caller: Caller,
    resource: Resource,
    /// A bit for each action.
    yes: AtomicU64,
    no: AtomicU64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            pairs: Cache::new(PAIRS),
            callers: Cache::new(ENTITIES),
            resources: Cache::new(ENTITIES),
            hasher: RandomState::new(),
        }
    }

    /// Where decisions on these two are kept, in circumstances that recur.
    pub(super) fn pair(
        &self,
        caller: &Caller,
        resource: &Resource,
        circumstance: &Circumstance,
    ) -> Option<Arc<Pair>> {
        if let Circumstance::At(stake) = circumstance
            && !stake.recurs()
        {
            return None;
        }
        let mut hash = self.hasher.build_hasher();
        caller.id.hash(&mut hash);
        resource.thing().hash(&mut hash);
        circumstance.hash(&mut hash);
        let place = hash.finish();
        let found = self.pairs.get(&place);
        if let Some(pair) = found.filter(|it| it.is_of(caller, resource, circumstance)) {
            return Some(pair);
        }
        let pair = Arc::new(Pair {
            caller: caller.clone(),
            resource: Resource {
                circumstance: circumstance.clone(),
                ..resource.clone()
            },
            yes: AtomicU64::new(0),
            no: AtomicU64::new(0),
        });
        self.pairs.insert(place, pair.clone());
        Some(pair)
    }

    /// A caller as Cedar sees them; `entity` is asked where that is not known.
    pub(super) fn caller(
        &self,
        caller: &Caller,
        entity: impl FnOnce() -> Option<Entity>,
    ) -> Option<Entity> {
        let place = self.hasher.hash_one(caller.id);
        let found = self.callers.get(&place);
        if let Some(found) = found.filter(|it| is_same(&it.0, caller)) {
            return Some(found.1.clone());
        }
        let made = entity()?;
        let kept = Arc::new((caller.clone(), made.clone()));
        self.callers.insert(place, kept);
        Some(made)
    }

    /// A resource as Cedar sees it; `entity` is asked where that is not known.
    pub(super) fn resource(
        &self,
        resource: &Resource,
        entity: impl FnOnce() -> Option<Entity>,
    ) -> Option<Entity> {
        let place = self.hasher.hash_one(resource.thing());
        let found = self.resources.get(&place);
        if let Some(found) = found.filter(|it| it.0.thing() == resource.thing()) {
            return Some(found.1.clone());
        }
        let made = entity()?;
        let kept = Arc::new((resource.bare(), made.clone()));
        self.resources.insert(place, kept);
        Some(made)
    }
}

impl Pair {
    /// What was decided on this action, if it was.
    pub(super) fn decided(&self, action: Action) -> Option<bool> {
        let bit = bit(action);
        if self.yes.load(Ordering::Relaxed) & bit != 0 {
            Some(true)
        } else if self.no.load(Ordering::Relaxed) & bit != 0 {
            Some(false)
        } else {
            None
        }
    }

    /// Keeps a yes, or a no of which there is nothing more to say.
    pub(super) fn keep(&self, action: Action, permitted: bool) {
        let decisions = if permitted { &self.yes } else { &self.no };
        decisions.fetch_or(bit(action), Ordering::Relaxed);
    }

    fn is_of(&self, caller: &Caller, resource: &Resource, circumstance: &Circumstance) -> bool {
        let is_it = self.resource.thing() == resource.thing();
        is_it && self.resource.circumstance == *circumstance && is_same(&self.caller, caller)
    }
}

/// Whether two callers are one to a policy: with what they came it does not see.
fn is_same(one: &Caller, other: &Caller) -> bool {
    let Caller {
        id,
        credential: _,
        kind: _,
        name,
        owner,
        roles,
        proposal: _,
        stated: _,
    } = one;
    *id == other.id && *name == other.name && *owner == other.owner && *roles == other.roles
}

fn bit(action: Action) -> u64 {
    1 << action as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CallerId;
    use crate::policy::Policy;

    const OWN: &str = r#"
        permit (principal, action == Action::"sign_order", resource)
        when { principal.roles.contains("trader") && principal.owner == resource.owner };
        permit (principal, action == Action::"issue_token", resource)
        when { ["read:orders"].containsAll(context.scopes) };
    "#;

    fn trader() -> Caller {
        Caller {
            id: CallerId::new(),
            credential: uuid::Uuid::now_v7(),
            kind: crate::callers::Kind::Token,
            name: "somebody".parse().unwrap(),
            owner: "desk-1".parse().unwrap(),
            roles: vec!["trader".parse().unwrap()],
            proposal: None,
            stated: Caller::unproven(uuid::Uuid::nil(), uuid::Uuid::nil()),
        }
    }

    #[test]
    fn every_action_has_a_bit_of_its_own() {
        let bits = Action::ALL.map(bit);
        assert_eq!(bits.iter().fold(0, |all, bit| all | bit).count_ones(), 59);
    }

    #[test]
    fn what_a_policy_looks_at_decides_anew_and_with_what_a_caller_came_does_not() {
        let policy: Policy = OWN.parse().unwrap();
        let wallet = |owner: &str| Resource::owned("Wallet", &"w", &owner, &"prod");
        let signs = |who: &Caller, owner: &str| {
            let decided = policy.decide(who, Action::SignOrder, &wallet(owner));
            decided.is_ok()
        };
        let of = |who: &Caller, on: &Resource| policy.memory.pair(who, on, &on.circumstance);
        let one = trader();
        for _ in 0..2 {
            assert!(signs(&one, "desk-1"));
            assert!(!signs(&one, "desk-2"));
        }
        let pair = of(&one, &wallet("desk-1")).unwrap();
        assert_eq!(pair.decided(Action::SignOrder), Some(true));
        assert_eq!(pair.decided(Action::View), None);
        let again = Caller {
            credential: uuid::Uuid::now_v7(),
            ..one.clone()
        };
        let same = of(&again, &wallet("desk-1")).unwrap();
        assert!(Arc::ptr_eq(&pair, &same));
        // The same caller, who has lost the role, moved, or is called otherwise since.
        let (mut roleless, mut moved, mut renamed) = (one.clone(), one.clone(), one.clone());
        roleless.roles.clear();
        moved.owner = "desk-2".parse().unwrap();
        renamed.name = "x".parse().unwrap();
        assert!(!signs(&roleless, "desk-1"));
        assert!(!signs(&moved, "desk-1") && signs(&moved, "desk-2"));
        assert!(signs(&renamed, "desk-1"));
        for other in [&roleless, &moved, &renamed] {
            let other = of(other, &wallet("desk-1")).unwrap();
            assert!(!Arc::ptr_eq(&pair, &other));
        }
        assert!(signs(&one, "desk-1"));
    }

    #[test]
    fn circumstances_are_looked_at_each_time() {
        let policy: Policy = OWN.parse().unwrap();
        let one = trader();
        let client = |scope: &str| {
            Resource::owned("Client", &"c", &"desk-1", &"prod").with_scopes(vec![scope.to_owned()])
        };
        for _ in 0..2 {
            for (scope, permitted) in [("read:orders", true), ("write:orders", false)] {
                let decided = policy.decide(&one, Action::IssueToken, &client(scope));
                assert_eq!(decided.is_ok(), permitted, "{scope}");
            }
        }
        let on = client("read:orders");
        assert!(policy.memory.pair(&one, &on, &on.circumstance).is_none());
    }
}
