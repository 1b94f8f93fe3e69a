//! What a policy set looks at in `context`, found out once when it is loaded.
//!
//! # Why
//! An order has a dozen fields, and hardly two orders have the same. Where no policy looks at them, a decision
//! hangs on caller and wallet alone and is remembered; where one looks at the side, it hangs on the side too.
//! And before an order is made, somebody has to say whether making it is worth the while: that is decided by a
//! wider set, which permits all that the set could permit.

use std::collections::BTreeSet;

use cedar_policy::PolicySet;
use serde_json::{Map, Value};

use super::Action;

/// Names in `context`, for each action.
pub(super) struct Looks(Vec<BTreeSet<String>>);

impl Looks {
    /// Of these policies; `declared` is what there is to look at.
    pub(super) fn of(policies: &Value, declared: impl Fn(Action) -> BTreeSet<String>) -> Self {
        let looks = Action::ALL.map(|action| {
            let declared = declared(action);
            let all = statements(policies).map(|(_, it)| it);
            let concerned = all.filter(|it| concerns(it, action));
            let mut mentioned = Mentioned::default();
            concerned.for_each(|it| mentioned.add(&it["conditions"]));
            if mentioned.whole {
                return declared;
            }
            declared.intersection(&mentioned.names).cloned().collect()
        });
        Self(looks.into())
    }

    /// At what the policies look where somebody asks for this.
    pub(super) fn at(&self, action: Action) -> &BTreeSet<String> {
        &self.0[action as usize]
    }
}

/// A set that permits whatever these could permit, for any context, and may permit more: conditions on the
/// context are taken to hold in a permit, and in a forbid not to.
pub(super) fn widened(policies: &Value) -> Option<PolicySet> {
    let mut policies = policies.clone();
    let all = policies.get_mut("staticPolicies")?.as_object_mut()?;
    all.retain(|_, it| it["effect"] == "permit" || !mentions(&it["conditions"]));
    for statement in all.values_mut() {
        let conditions = statement.get_mut("conditions")?.as_array_mut()?;
        conditions.retain_mut(|condition| match condition["kind"].as_str() {
            Some("when") => match without_context(&condition["body"]) {
                Some(body) => {
                    condition["body"] = body;
                    true
                }
                None => false,
            },
            _ => !mentions(&condition["body"]),
        });
    }
    PolicySet::from_json_value(policies).ok()
}

/// What is left of a conjunction.
fn without_context(body: &Value) -> Option<Value> {
    if !mentions(body) {
        return Some(body.clone());
    }
    let both = body.get("&&")?;
    let parts = (
        without_context(&both["left"]),
        without_context(&both["right"]),
    );
    match parts {
        (Some(left), Some(right)) => {
            Some(serde_json::json!({ "&&": { "left": left, "right": right } }))
        }
        (one, other) => one.or(other),
    }
}

fn mentions(expression: &Value) -> bool {
    let mut mentioned = Mentioned::default();
    mentioned.add(expression);
    mentioned.whole || !mentioned.names.is_empty()
}

/// The policies of a set in its JSON form. It has no templates: they have no place in a file.
pub(super) fn statements(policies: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = policies["staticPolicies"].as_object();
    all.into_iter().flat_map(Map::iter)
}

/// Whether the head of a policy leaves room for this action.
pub(super) fn concerns(statement: &Value, action: Action) -> bool {
    let head = &statement["action"];
    let names = |entity: &Value| {
        let id = entity["id"].as_str();
        id.is_none() || id == Some(action.name()) || id == action.group()
    };
    match (head["entity"].is_object(), head["entities"].as_array()) {
        (true, _) => names(&head["entity"]),
        (false, Some(entities)) => entities.iter().any(names),
        (false, None) => true,
    }
}

/// What is mentioned of `context`.
#[derive(Default)]
struct Mentioned {
    names: BTreeSet<String>,
    /// The context itself is, and with it all that there is.
    whole: bool,
}

impl Mentioned {
    fn add(&mut self, expression: &Value) {
        match expression {
            Value::Array(items) => items.iter().for_each(|it| self.add(it)),
            Value::Object(members) => {
                for (operator, value) in members {
                    if operator == "Var" && value == "context" {
                        self.whole = true;
                    } else if [".", "has"].contains(&operator.as_str())
                        && value["left"]["Var"] == "context"
                        && let Some(name) = value["attr"].as_str()
                    {
                        self.names.insert(name.to_owned());
                    } else {
                        self.add(value);
                    }
                }
            }
            _ => {}
        }
    }
}
