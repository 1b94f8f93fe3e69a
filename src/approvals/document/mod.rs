//! What is proposed, as one text: approvers read it, its hash is signed, and what is done is compared
//! with it.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Quorum;
use crate::id::{CallerId, PersonId, ProposalId};
use crate::idempotency::{RequestDigest, canonical};

/// Members of a body that are secrets of others. They are in the request's digest, and nowhere else.
const SECRETS: [&str; 3] = ["secret", "passphrase", "pin"];

/// Details of an operation that are another each time it is tried: new ids, the time, what was just seen, how far
/// what decides has come.
const FLEETING: [&str; 8] = [
    "id",
    "version",
    "not_before",
    "began_at",
    "evidence",
    "probe",
    "attestation",
    "opens_until",
];

/// What an operation would put on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects(Vec<Value>);

impl Effects {
    /// One more.
    pub(crate) fn add(&mut self, action: &str, details: &Value) {
        let mut details = details.clone();
        if let Some(members) = details.as_object_mut() {
            members.retain(|name, _| !FLEETING.contains(&name.as_str()));
        }
        self.0.push(json!({ "action": action, "details": details }));
    }

    /// As they are written.
    pub(crate) fn to_value(&self) -> Value {
        Value::Array(self.0.clone())
    }

    /// As they were written.
    pub(crate) fn of(value: &Value) -> Self {
        Self(value.as_array().cloned().unwrap_or_default())
    }

    /// Whether it is not known what the operation does before it is begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In one sentence, for people.
    fn sentence(&self) -> Option<String> {
        let one = |it: &Value| {
            let action = it["action"].as_str().unwrap_or_default();
            said(action, &it["details"])
        };
        let sentences: Vec<String> = self.0.iter().map(one).collect();
        (!sentences.is_empty()).then(|| sentences.join("; then "))
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Method and the path's template: what quorums are set for.
    pub operation: String,
    /// The body.
    pub body: Value,
    /// The digest of all of it.
    pub digest: RequestDigest,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Requester {
    /// The caller.
    pub caller: CallerId,
    /// Their name.
    pub name: String,
    /// Whose the caller is.
    pub person: PersonId,
    /// That person's name.
    pub person_name: String,
}

/// What is proposed.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its id.
    pub id: ProposalId,
    /// Who asks.
    pub requester: Requester,
    /// For what.
    pub request: Request,
    /// What that would put on record; empty where it is not known before it is begun.
    pub effects: Effects,
    /// Who has to approve.
    pub quorum: Quorum,
    /// SHA-256 of the policy that let them ask.
    pub policy: [u8; 32],
    /// Until when.
    pub expires_at: OffsetDateTime,
}

impl Document {
    /// The canonical text: JSON with sorted members and no white space.
    ///
    /// # Panics
    /// Never: what it says are texts and numbers.
    pub fn to_text(&self) -> String {
        let Request {
            method, path, body, ..
        } = &self.request;
        let shown = shown(body);
        let sentence = self.effects.sentence();
        let plain = || format!("{method} {path} {shown}");
        let document = json!({
            "version": 1,
            "proposal": self.id,
            "sentence": sentence.unwrap_or_else(plain),
            "requester": {
                "caller": self.requester.caller, "name": self.requester.name,
                "person": self.requester.person, "person_name": self.requester.person_name,
            },
            "request": {
                "method": method, "path": path, "body": shown, "operation": self.request.operation,
                "digest": hex::encode(self.request.digest.0),
            },
            "effects": self.effects.to_value(),
            "quorum": self.quorum,
            "policy": hex::encode(self.policy),
            "expires_at": self.expires_at.unix_timestamp(),
        });
        String::from_utf8(canonical(&document)).expect("JSON is text")
    }
}

/// SHA-256 of a document: what is signed.
pub fn hash(document: &str) -> [u8; 32] {
    Sha256::digest(document).into()
}

/// A body as others may read it.
fn shown(body: &Value) -> Value {
    match body {
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| {
                let value = if SECRETS.contains(&name.as_str()) {
                    Value::String("[a secret]".into())
                } else {
                    shown(value)
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(one).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(shown).collect()),
        plain => plain.clone(),
    }
}

/// What one leaf would say, in words.
fn said(action: &str, details: &Value) -> String {
    let text = |name: &str| words(&details[name]);
    match action {
        "step-key" => format!(
            "move key {} from {} to {} ({})",
            text("name"),
            text("from"),
            text("to"),
            text("reason")
        ),
        "create-caller" => format!(
            "make caller {} of {} with {}",
            text("name"),
            text("owner"),
            text("roles")
        ),
        "issue-caller-token" => format!(
            "issue another token for caller {}, for {} days",
            text("name"),
            text("token_days")
        ),
        "set-cryptoperiod" => format!(
            "have the cryptoperiod of key {} end at {} instead of {} ({})",
            text("name"),
            text("ends_at"),
            text("was"),
            text("reason")
        ),
        "set-person-roles" => format!(
            "give person {} the roles {} instead of {}",
            text("name"),
            text("to"),
            text("from")
        ),
        "register-approver-key" => format!(
            "let person {} approve with the {} key {} ({})",
            text("person"),
            text("kind"),
            text("name"),
            text("fingerprint")
        ),
        "replace-policy" => format!(
            "replace policy {} by {}: add {}, change {}, remove {} ({})",
            text("from"),
            text("to"),
            some(&details["added"]),
            some(&details["changed"]),
            some(&details["removed"]),
            text("reason")
        ),
        "add-recipient" => format!(
            "let wallets of {} send to {} on chain {}, as {}, from {} minutes after that",
            details["owner"].as_str().unwrap_or("every desk"),
            text("address"),
            text("chainId"),
            text("name"),
            text("wait_minutes")
        ),
        "sign-operation" => {
            let calls = details["calls"].as_array().map_or(&[][..], Vec::as_slice);
            let calls = calls.iter().map(|call| {
                let (op, with) = (words(&call["op"]), words(&call["arguments"]));
                format!("{op} ({with})")
            });
            let calls = calls.collect::<Vec<_>>().join(", then ");
            format!(
                "have wallet {} do {calls}, with nonce {}",
                text("wallet"),
                text("nonce")
            )
        }
        "assign-caller" => format!("make caller {} person {}'s", text("caller"), text("person")),
        _ => {
            let none = Map::new();
            let members = details.as_object().unwrap_or(&none).iter();
            let members: Vec<_> = members
                .map(|(name, value)| format!("{name} {}", words(value)))
                .collect();
            format!("{}: {}", action.replace('-', " "), members.join(", "))
        }
    }
}

/// The first of many; the rest stands in the document.
fn some(list: &Value) -> String {
    const NAMED: usize = 20;
    let all = list.as_array().map_or(&[][..], Vec::as_slice);
    match all.get(..NAMED) {
        Some(first) if all.len() > NAMED => {
            let first = words(&Value::Array(first.to_vec()));
            format!("{first} and {} more", all.len() - NAMED)
        }
        _ => words(list),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" and "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
