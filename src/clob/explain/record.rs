//! An order that was signed here, beside what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::given::{Given, spelled};

/// What was released.
#[derive(Debug, Clone)]
pub struct Recorded {
    order: BTreeMap<String, String>,
    envelope: Option<BTreeMap<String, String>>,
    is_silent: bool,
}

/// A member that is not what was released.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = OrderChange)]
pub struct Change {
    /// The member's name.
    pub field: String,
    /// What was released; none where the member was not there.
    pub recorded: Option<String>,
    /// What is there now.
    pub given: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |it: &Option<String>| it.clone().unwrap_or_else(|| "absent".to_owned());
        let (given, recorded) = (word(&self.given), word(&self.recorded));
        write!(
            f,
            "{} is {given}, and {recorded} was signed here",
            self.field
        )
    }
}

impl Recorded {
    /// Out of the answer that was released for an order.
    pub fn of(answer: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let members = |value: &Value| {
            let all = value.as_object()?.iter();
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            Some(
                all.map(|(name, value)| (name.clone(), text(value)))
                    .collect(),
            )
        };
        Some(Self {
            order: members(&answer["order"])?,
            envelope: members(&answer["envelope"]),
            is_silent: false,
        })
    }

    /// The same where the signature is not to be told again.
    #[must_use]
    pub fn silent(self) -> Self {
        Self {
            is_silent: true,
            ..self
        }
    }

    pub(super) fn given(&self) -> Given {
        Given {
            members: self.order.clone(),
            ..Given::default()
        }
    }

    /// Every member of the order, and of the envelope where both have one, that differs.
    pub(super) fn changes(&self, given: &Given) -> Vec<Change> {
        let mut changes = differing(&self.order, &given.members);
        changes.retain(|it| !self.is_silent || it.field != "signature");
        if let (Some(recorded), Some(given)) = (&self.envelope, &given.envelope) {
            let known = ["owner", "orderType", "postOnly", "deferExec"];
            let of = |all: &BTreeMap<String, String>| {
                let kept = all
                    .iter()
                    .filter(|(name, _)| known.contains(&name.as_str()));
                kept.map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            };
            changes.extend(differing(&of(recorded), &of(given)));
        }
        changes
    }
}

fn differing(recorded: &BTreeMap<String, String>, given: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<_> = recorded.keys().chain(given.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let value = |of: &BTreeMap<String, String>| of.get(name).map(|it| spelled(name, it));
        let (recorded, given) = (value(recorded), value(given));
        (recorded != given).then(|| Change {
            field: name.clone(),
            recorded,
            given,
        })
    });
    changes.collect()
}
