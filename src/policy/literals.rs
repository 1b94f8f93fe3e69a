//! What the texts of policies compare things with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::stake::{Kind, Value};

/// The desk of whoever asks, and another.
pub(super) const DESKS: [&str; 2] = ["desk-a", "desk-b"];
/// What no policy names.
pub(super) const ANY: &str = "any";
/// So many values are tried of one thing.
const VALUES: usize = 12;

/// What the texts compare things with, by the things' names.
pub(super) struct Words(BTreeMap<String, BTreeSet<Literal>>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Literal {
    Text(String),
    Number(i64),
}

impl Words {
    pub(super) fn of(statements: &[&Json]) -> Self {
        let mut words = Self(BTreeMap::new());
        for statement in statements {
            words.add(&statement["conditions"]);
        }
        words
    }

    fn add(&mut self, expression: &Json) {
        match expression {
            Json::Array(items) => items.iter().for_each(|it| self.add(it)),
            Json::Object(members) => {
                for value in members.values() {
                    for (one, other) in [("left", "right"), ("right", "left"), ("left", "pattern")]
                    {
                        if let Some(name) = value[one]["."]["attr"].as_str() {
                            let of = self.0.entry(name.to_owned()).or_default();
                            literals(&value[other], of);
                        }
                    }
                    self.add(value);
                }
            }
            _ => {}
        }
    }

    pub(super) fn texts(&self, name: &str, more: &[&str]) -> Vec<String> {
        let known = self.0.get(name).into_iter().flatten();
        let known = known.filter_map(|it| match it {
            Literal::Text(text) => Some(text.clone()),
            Literal::Number(_) => None,
        });
        let more = more.iter().map(|it| (*it).to_owned());
        let all: BTreeSet<_> = more.chain(known).take(VALUES).collect();
        all.into_iter().collect()
    }

    pub(super) fn values(&self, name: &str, kind: Kind) -> Vec<Value> {
        match kind {
            Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
            Kind::Number => {
                let known = self.0.get(name).into_iter().flatten();
                let near = known.flat_map(|it| match it {
                    Literal::Number(n) => vec![n.saturating_sub(1), *n, n.saturating_add(1)],
                    Literal::Text(_) => Vec::new(),
                });
                let all: BTreeSet<_> = [0].into_iter().chain(near).take(VALUES).collect();
                all.into_iter().map(Value::Number).collect()
            }
            Kind::Text => {
                let more: &[&str] = match name {
                    "owner" | "key_owner" => &DESKS,
                    _ => &[ANY],
                };
                self.texts(name, more)
                    .into_iter()
                    .map(Value::Text)
                    .collect()
            }
            Kind::Texts => {
                let words = self.texts(name, &[ANY]);
                let mut all = vec![Vec::new(), words.clone()];
                all.extend(words.into_iter().map(|it| vec![it]));
                all.into_iter().map(Value::Texts).collect()
            }
        }
    }
}

/// The literals of an expression. Of a pattern, a text that fits it.
fn literals(expression: &Json, into: &mut BTreeSet<Literal>) {
    if let Some(parts) = expression.as_array()
        && parts.iter().any(|it| it == "Wildcard")
    {
        let text = parts.iter().map(|it| it["Literal"].as_str().unwrap_or(ANY));
        into.insert(Literal::Text(text.collect()));
        return;
    }
    match expression {
        Json::String(text) => drop(into.insert(Literal::Text(text.clone()))),
        Json::Number(number) => {
            into.extend(number.as_i64().map(Literal::Number));
        }
        Json::Array(items) => items.iter().for_each(|it| literals(it, into)),
        Json::Object(members) => {
            for operator in ["Value", "Set", "neg", "*", "+", "-"] {
                if let Some(value) = members.get(operator) {
                    literals(value, into);
                }
            }
            for side in ["left", "right", "arg"] {
                if let Some(value) = members.get(side) {
                    literals(value, into);
                }
            }
        }
        _ => {}
    }
}
