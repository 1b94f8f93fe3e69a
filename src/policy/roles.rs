//! Which roles the policies speak of: one that none names is a typing mistake, and gives nothing.

use std::collections::BTreeSet;

use serde_json::Value;

/// Collects the texts that policies compare with `principal.roles`, from their JSON form.
pub(super) fn named_in(policies: &Value, roles: &mut BTreeSet<String>) {
    match policies {
        Value::Array(items) => items.iter().for_each(|it| named_in(it, roles)),
        Value::Object(members) => {
            for (operator, value) in members {
                let is_of_sets =
                    ["contains", "containsAny", "containsAll"].contains(&operator.as_str());
                let (left, right) = (&value["left"], &value["right"]);
                if is_of_sets && is_roles(left) {
                    texts(right, roles);
                } else if is_of_sets && is_roles(right) {
                    texts(left, roles);
                } else {
                    named_in(value, roles);
                }
            }
        }
        _ => {}
    }
}

fn is_roles(expression: &Value) -> bool {
    let access = &expression["."];
    access["attr"] == "roles" && access["left"]["Var"] == "principal"
}

fn texts(expression: &Value, roles: &mut BTreeSet<String>) {
    match expression {
        Value::String(role) => {
            roles.insert(role.clone());
        }
        Value::Array(items) => items.iter().for_each(|it| texts(it, roles)),
        Value::Object(members) => members.values().for_each(|it| texts(it, roles)),
        _ => {}
    }
}
