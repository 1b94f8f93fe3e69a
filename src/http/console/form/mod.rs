//! A form that came, and the same form once more.
//!
//! A member's name says how it is read: `days:number`, `allow:list`, `dry:flag`, `more:json`; text without a colon.
//! What is left empty is left out; `*` is all of it. The API judges what comes, as from anybody.

use serde_json::{Map, Value};

use super::page::{Field, Form, Section, WHOLE, place};

/// How a form asks for something.
pub(super) const METHODS: [&str; 2] = ["POST", "PUT"];

/// What a form says.
#[derive(Default)]
pub(super) struct Sent {
    /// Where it is asked for.
    pub(super) path: String,
    /// How.
    pub(super) method: String,
    /// Where one comes to when it is done.
    pub(super) then: String,
    /// It is asked for once under this.
    pub(super) key: String,
    pub(super) body: Value,
}

impl Sent {
    /// Of a form's fields.
    pub(super) fn of(fields: &[(String, String)]) -> Self {
        let mut sent = Self::default();
        let mut body = Map::new();
        for (name, value) in fields {
            match name.as_str() {
                "path" => sent.path.clone_from(value),
                "method" => sent.method.clone_from(value),
                "then" => sent.then.clone_from(value),
                "key" => sent.key.clone_from(value),
                name => {
                    if let Some(name) = name.strip_prefix("f.") {
                        put(&mut body, name, value);
                    }
                }
            }
        }
        // What is all of it stands for itself: where it is no JSON, the API says what is wrong with it.
        sent.body = match body.remove("*") {
            Some(whole) => whole,
            None => body.into(),
        };
        sent
    }
}

/// Puts a member where its name says.
fn put(body: &mut Map<String, Value>, name: &str, value: &str) {
    let (name, kind) = name.split_once(':').unwrap_or((name, "text"));
    let value = match kind {
        "list" => {
            let items = value.split([',', '\n', ' ']).map(str::trim);
            items.filter(|it| !it.is_empty()).collect()
        }
        "flag" => Value::Bool(matches!(value, "yes" | "on" | "true")),
        "json" => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        _ if value.trim().is_empty() => return,
        "number" => match value.trim().parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => value.into(), // the API says what is wrong with it
        },
        _ => value.trim().into(),
    };
    match name.split_once('.') {
        // A member's member: there is no deeper one.
        Some((of, name)) => {
            let within = body.entry(of).or_insert_with(|| Map::new().into());
            if let Some(within) = within.as_object_mut() {
                within.insert(name.to_owned(), value);
            }
        }
        None => drop(body.insert(name.to_owned(), value)),
    }
}

/// The form whose fields these are, filled in as they were.
pub(super) fn form_of(fields: &[(String, String)]) -> Section {
    let sent = Sent::of(fields);
    let fields = fields.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("f.")?;
        let (label, _) = name.split_once(':').unwrap_or((name, ""));
        let field = if name == WHOLE {
            Field::whole("All of it", value)
        } else {
            Field::text(name, label).with(value)
        };
        Some(field)
    });
    let method = METHODS.iter().find(|it| **it == sent.method);
    Section::Form(Form {
        about: "As you filled it in.",
        method: method.unwrap_or(&"POST"),
        key: sent.key,
        fields: fields.collect(),
        button: "Send",
        ..Form::post("What you asked for", sent.path, &place(&sent.then))
    })
}

#[cfg(test)]
mod tests;
