//! Which rules differ from one policy to another, by what they are called.

use std::collections::BTreeMap;

use super::Policy;
use super::looks::statements;

/// What rules without an `@id` are called, all together.
const UNNAMED: &str = "rules without an @id";

/// The rules that differ, by their `@id`s.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RuleChanges {
    /// Rules that the old policy has not.
    pub(super) added: Vec<String>,
    /// Rules that say something else.
    pub(super) changed: Vec<String>,
    /// Rules that the new policy has not.
    pub(super) removed: Vec<String>,
}

/// Compares what they say, and not how that is written.
pub(super) fn between(old: &Policy, new: &Policy) -> RuleChanges {
    let (before, after) = (by_name(old), by_name(new));
    let mut changes = RuleChanges::default();
    for (name, rules) in &before {
        match after.get(name) {
            None => changes.removed.push(name.clone()),
            Some(others) if others != rules => changes.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let is_new = |name: &&String| !before.contains_key(*name);
    changes.added = after.keys().filter(is_new).cloned().collect();
    changes
}

/// The rules of each name, in an order of their own.
fn by_name(policy: &Policy) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, rule) in statements(policy.statements()) {
        let name = rule["annotations"]["id"].as_str();
        let name = name.map_or_else(|| UNNAMED.to_owned(), shown);
        all.entry(name).or_default().push(rule.to_string());
    }
    for rules in all.values_mut() {
        rules.sort_unstable();
    }
    all
}

/// A name as it can stand in a sentence that people approve: one that could be read as part of it is quoted.
fn shown(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if !name.is_empty() && name.len() <= 100 && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.escape_default())
    }
}

#[cfg(test)]
mod tests;
