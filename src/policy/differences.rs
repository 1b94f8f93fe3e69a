//! What changes from one policy to another: requests that become permitted, or denied.
//!
//! # Why
//! Nobody sees from two texts what they mean. So both are asked the same requests: every role and every pair of
//! roles, on things of the own desk and of another, with every value that either text compares something with,
//! and one that neither names. It is a search and not a proof: what it does not find may be there
//! (`deploy/policies/invariants/` is for proofs).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::cases::{CaseCaller, CaseRequest, CaseResource};
use super::literals::{ANY, DESKS, Words};
use super::looks::{concerns, statements};
use super::stake::Value;
use super::{Action, Policy};

/// So many contexts are tried for a caller and a resource.
const CONTEXTS: usize = 500;

/// A request with another answer, and how many like it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Difference {
    /// Whether it is permitted now.
    pub permitted: bool,
    /// The request.
    pub request: CaseRequest,
    /// So many more differ in the same way, for the same roles, action and kind of thing.
    pub more: usize,
}

/// What was found.
#[derive(Debug, serde::Serialize)]
pub struct Differences {
    /// Requests, by role and action.
    pub found: Vec<Difference>,
    /// So many were asked.
    pub asked: usize,
    /// Actions with more contexts than were tried.
    pub cut: Vec<&'static str>,
}

/// Asks both.
pub fn differences(old: &Policy, new: &Policy) -> Differences {
    let both = [old, new];
    let mut found = BTreeMap::new();
    let (mut asked, mut cut) = (0, Vec::new());
    let roles: BTreeSet<&String> = both.iter().flat_map(|it| it.roles()).collect();
    for action in Action::ALL {
        let [before, after] = both.map(|it| concerned(it, action));
        if before == after {
            continue;
        }
        let all: Vec<&Json> = before.into_iter().chain(after).collect();
        let words = Words::of(&all);
        let (contexts, is_cut) = contexts(both, action, &words);
        if is_cut {
            cut.push(action.name());
        }
        for request in requests(action, &roles, &words, &contexts) {
            let answers = both.map(|it| it.answer(&request).ok().map(|it| it.permitted));
            let [Some(before), Some(after)] = answers else {
                continue;
            };
            asked += 1;
            if before != after {
                let kind = request.resource.as_ref().map(|it| it.kind.clone());
                let like = (request.caller.roles.clone(), action.name(), kind, after);
                let more = found.entry(like).or_insert((request, 0_usize));
                more.1 += 1;
            }
        }
    }
    // A pair of roles says nothing new where one of the two differs by itself.
    let alone: Vec<_> = found.keys().filter(|it| it.0.len() < 2).cloned().collect();
    found.retain(|like, _| {
        let is_new = |it: &(Vec<String>, &str, Option<String>, bool)| {
            let same = (it.1, &it.2, it.3) == (like.1, &like.2, like.3);
            !(same && it.0.iter().all(|role| like.0.contains(role)))
        };
        like.0.len() < 2 || alone.iter().all(is_new)
    });
    let found = found
        .into_iter()
        .map(|((.., permitted), (request, count))| Difference {
            permitted,
            request,
            more: count - 1,
        });
    Differences {
        found: found.collect(),
        asked,
        cut,
    }
}

/// The policies that have to do with an action.
fn concerned(policy: &Policy, action: Action) -> Vec<&Json> {
    let all = statements(policy.statements()).map(|(_, it)| it);
    let mut all: Vec<_> = all.filter(|it| concerns(it, action)).collect();
    all.sort_by_cached_key(ToString::to_string);
    all
}

fn requests(
    action: Action,
    roles: &BTreeSet<&String>,
    words: &Words,
    contexts: &[BTreeMap<String, Value>],
) -> Vec<CaseRequest> {
    let roles: Vec<&String> = roles.iter().copied().collect();
    let mut held = vec![Vec::new()];
    for (number, one) in roles.iter().enumerate() {
        held.push(vec![(*one).clone()]);
        for other in &roles[number + 1..] {
            held.push(vec![(*one).clone(), (*other).clone()]);
        }
    }
    let owners = words.texts("owner", &DESKS[..1]);
    let mut all = Vec::new();
    for roles in held {
        for owner in &owners {
            let caller = CaseCaller {
                name: ANY.to_owned(),
                owner: owner.clone(),
                roles: roles.clone(),
            };
            for resource in things(words) {
                for context in contexts {
                    all.push(CaseRequest {
                        caller: caller.clone(),
                        action,
                        resource: resource.clone(),
                        context: context.clone(),
                    });
                }
            }
        }
    }
    all
}

/// What something can be done to. What does not go with an action is no request, and left out.
fn things(words: &Words) -> Vec<Option<CaseResource>> {
    let mut all = vec![None];
    for kind in ["Wallet", "Client", "Key"] {
        for owner in words.texts("owner", &DESKS) {
            for environment in words.texts("environment", &[ANY]) {
                let purposes = match kind {
                    "Key" => words.texts("purpose", &["wallet", "client"]),
                    _ => vec![String::new()],
                };
                for purpose in purposes {
                    all.push(Some(CaseResource {
                        kind: kind.to_owned(),
                        name: ANY.to_owned(),
                        owner: owner.clone(),
                        environment: environment.clone(),
                        purpose: Some(purpose).filter(|it| !it.is_empty()),
                    }));
                }
            }
        }
    }
    all
}

/// What can be at stake, as far as either looks at it, and whether that is all.
fn contexts(
    both: [&Policy; 2],
    action: Action,
    words: &Words,
) -> (Vec<BTreeMap<String, Value>>, bool) {
    let looked: BTreeSet<_> = both.iter().flat_map(|it| it.looked_at(action)).collect();
    let (mut all, mut is_cut) = (vec![BTreeMap::new()], false);
    for name in looked {
        let values = words.values(name, both[0].kind_of(action, name));
        let wider = all.iter().flat_map(|context: &BTreeMap<String, Value>| {
            values.iter().map(|value| {
                let mut wider = context.clone();
                wider.insert(name.clone(), value.clone());
                wider
            })
        });
        let mut wider: Vec<_> = wider.collect();
        is_cut |= wider.len() > CONTEXTS;
        // Every so many, so that each value is among them.
        let step = wider.len().div_ceil(CONTEXTS).max(1);
        let mut number = 0;
        wider.retain(|_| {
            number += 1;
            number % step == 0
        });
        all = wider;
    }
    (all, is_cut)
}
