//! What of a request policies look at: Cedar's `context`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cedar_policy::{Context, RestrictedExpression};

/// What is at stake, in the schema's words. What does not fit there is not left out: the policy denies it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stake {
    items: Vec<Item>,
    is_beyond: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Item {
    name: Cow<'static, str>,
    value: Value,
    recurs: bool,
}

/// A value as files have it too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    Flag(bool),
}

/// What kind of value something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    Number,
    Flag,
}

impl Kind {
    /// By the schema's JSON form.
    pub(super) fn of(attribute: &serde_json::Value) -> Self {
        let name = attribute["name"].as_str().or(attribute["type"].as_str());
        match name {
            _ if attribute["type"] == "Set" => Self::Texts,
            Some("Long" | "__cedar::Long") => Self::Number,
            Some("Bool" | "Boolean" | "__cedar::Bool") => Self::Flag,
            _ => Self::Text,
        }
    }
}

impl Stake {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a text of which there are few: decisions on it are remembered.
    #[must_use]
    pub fn word(self, name: &'static str, value: impl Into<String>) -> Self {
        self.with(name, Value::Text(value.into()), true)
    }

    /// With any text.
    #[must_use]
    pub fn text(self, name: &'static str, value: impl Into<String>) -> Self {
        self.with(name, Value::Text(value.into()), false)
    }

    /// With texts, in no order.
    #[must_use]
    pub fn texts(self, name: &'static str, values: Vec<String>) -> Self {
        self.with(name, Value::Texts(values), false)
    }

    /// With a number of which there are few: decisions on it are remembered.
    #[must_use]
    pub fn code(self, name: &'static str, value: impl Into<i64>) -> Self {
        self.with(name, Value::Number(value.into()), true)
    }

    /// With any number. One that Cedar has no place for (2⁶³ and more) is denied wherever a policy looks at
    /// what is at stake.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: impl TryInto<i64>) -> Self {
        let Ok(value) = value.try_into() else {
            self.is_beyond = true;
            return self;
        };
        self.with(name, Value::Number(value), false)
    }

    /// With a yes or no.
    #[must_use]
    pub fn flag(self, name: &'static str, value: bool) -> Self {
        self.with(name, Value::Flag(value), true)
    }

    fn with(mut self, name: &'static str, value: Value, recurs: bool) -> Self {
        let name = Cow::Borrowed(name);
        self.items.push(Item {
            name,
            value,
            recurs,
        });
        self
    }

    /// With something that a file names.
    pub(super) fn read(mut self, name: String, value: Value) -> Self {
        self.items.push(Item {
            name: Cow::Owned(name),
            value,
            recurs: false,
        });
        self
    }

    /// What a JSON object says; or the name of what can be no such thing.
    pub fn from_json(said: BTreeMap<String, serde_json::Value>) -> Result<Self, String> {
        said.into_iter().try_fold(
            Self::new(),
            |stake, (name, value)| match serde_json::from_value(value) {
                Ok(value) => Ok(stake.read(name, value)),
                Err(_) => Err(name),
            },
        )
    }

    /// Whether it says this.
    pub(super) fn says(&self, name: &str) -> bool {
        self.items.iter().any(|item| item.name == name)
    }

    /// Whether there was a number in it that policies cannot see.
    pub(super) fn is_beyond(&self) -> bool {
        self.is_beyond
    }

    /// What of it somebody looks at.
    pub(super) fn only(mut self, looked_at: impl Fn(&str) -> bool) -> Self {
        self.items.retain(|item| looked_at(&item.name));
        self
    }

    /// Whether the same is asked about again and again.
    pub(super) fn recurs(&self) -> bool {
        self.items.iter().all(|item| item.recurs)
    }

    /// As Cedar has it.
    pub(super) fn context(&self) -> Option<Context> {
        let text = |text: &String| RestrictedExpression::new_string(text.clone());
        let pairs = self.items.iter().map(|item| {
            let value = match &item.value {
                Value::Text(value) => text(value),
                Value::Texts(values) => RestrictedExpression::new_set(values.iter().map(text)),
                Value::Number(value) => RestrictedExpression::new_long(*value),
                Value::Flag(value) => RestrictedExpression::new_bool(*value),
            };
            (item.name.clone().into_owned(), value)
        });
        Context::from_pairs(pairs).ok()
    }
}
