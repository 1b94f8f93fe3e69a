//! What a pack shows people, made of what it proves: leaves and statements, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::sheets::{Filled, Sheets};
use crate::audit::leaf::{Event, Intent, Leaf};
use crate::clock;
use crate::lookups::{RecordKind, kind_of, market_of};
use crate::verification::{Unreadable, export};

/// A statement, as a pack has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The version, from 1.
    pub version: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// By whom.
    pub by: Uuid,
    /// Of what.
    pub kind: String,
    /// Of which.
    pub id: Uuid,
    /// Whether something may not be allowed any more.
    pub tightens: bool,
    /// What holds; nothing: it is gone.
    pub body: Option<String>,
    /// What chains it to the one before, in hexadecimal.
    pub link: Option<String>,
}

/// Makes the sheets of leaves and statements; without a folder they are only hashed. Tells how many leaves it has gone
/// through, now and then.
pub(super) fn derive(
    leaves: impl BufRead,
    statements: impl BufRead,
    folder: Option<&Path>,
    mut told: impl FnMut(u64),
) -> Result<Vec<Filled>, Unreadable> {
    let mut work = Work {
        sheets: Sheets::make(folder)?,
        names: HashMap::new(),
        states: HashMap::new(),
        last: BTreeMap::new(),
    };
    for (number, line) in (1..).zip(statements.lines()) {
        let read = serde_json::from_str(&line?);
        let read = read.map_err(|error| Unreadable::Malformed(number, error.to_string()))?;
        work.state(read)?;
    }
    work.take_stock()?;
    let mut lines = export::lines(leaves);
    lines.head()?;
    let mut count = 0_u64;
    while let Some(line) = lines.next()? {
        if let Some(leaf) = Leaf::from_bytes(&line.leaf) {
            work.hear(line.index, &leaf)?;
        }
        count += 1;
        if count.is_multiple_of(100_000) {
            told(count);
        }
    }
    Ok(work.sheets.end()?)
}

struct Work {
    sheets: Sheets,
    /// What ids are called, as it was stated last.
    names: HashMap<Uuid, String>,
    /// The state of each key.
    states: HashMap<Uuid, String>,
    /// The last statement of each thing, by kind.
    last: BTreeMap<(String, Uuid), Statement>,
}

impl Work {
    fn name(&self, id: Uuid) -> Value {
        if id.is_nil() {
            return "service".into();
        }
        self.names
            .get(&id)
            .map_or(Value::Null, |it| it.as_str().into())
    }

    fn state(&mut self, it: Statement) -> io::Result<()> {
        let body: Value = body(&it);
        let at = clock::timestamp(it.at);
        if let Some(name) = body["name"].as_str() {
            self.names.insert(it.id, name.to_owned());
        }
        let by =
            json!({ "version": it.version, "at": at, "by": it.by, "by_name": self.name(it.by) });
        let row = |more: Value| merged(by.clone(), more);
        match it.kind.as_str() {
            "key" => {
                let to = body["state"].as_str().unwrap_or_default().to_owned();
                let from = self.states.insert(it.id, to.clone());
                if from.as_ref() != Some(&to) {
                    let key_name = self.name(it.id);
                    let more = json!({ "key": it.id, "key_name": key_name, "from": from, "to": to, "epoch": body["epoch"] });
                    self.sheets.add("key-states", &row(more))?;
                }
            }
            "caller" | "credential" => {
                let name = if it.kind == "caller" {
                    it.id
                } else {
                    id_in(&body, "caller")
                };
                let more = json!({
                    "of": it.kind, "id": it.id, "name": self.name(name), "holds": it.body.is_some(), "tightens": it.tightens,
                });
                self.sheets.add("grants", &row(more))?;
            }
            "policy" => {
                let text = body["text"].as_str().unwrap_or_default();
                let more = json!({ "sha256": hex::encode(Sha256::digest(text)), "reason": body["reason"], "text": text });
                self.sheets.add("policies", &row(more))?;
                return Ok(()); // it may be long, and is no part of the stock
            }
            _ => {}
        }
        self.last.insert((it.kind.clone(), it.id), it);
        Ok(())
    }

    /// What there was at the end.
    fn take_stock(&mut self) -> io::Result<()> {
        for ((kind, id), it) in std::mem::take(&mut self.last) {
            if it.body.is_none() {
                continue;
            }
            let sheet = match kind.as_str() {
                "key" => "keys",
                "wallet" => "wallets",
                "client" => "clients",
                "caller" => "callers",
                "credential" => "credentials",
                "person" | "approver" => "people",
                "proposal" | "adoption" => continue, // `approvals` has the first
                _ => "rules",
            };
            let stated = json!({
                "id": id, "version": it.version, "stated_at": clock::timestamp(it.at), "stated_by": it.by, "of": kind,
                "body": it.body,
            });
            self.sheets.add(sheet, &merged(body(&it), stated))?;
        }
        Ok(())
    }

    fn hear(&mut self, index: u64, leaf: &Leaf) -> io::Result<()> {
        let at = clock::of_unix_ms(leaf.at_ms);
        let at = at.map_or(Value::Null, |at| clock::timestamp(at).into());
        let place = json!({ "index": index, "at": at });
        let row = |more: Value| merged(place.clone(), more);
        match &leaf.event {
            Event::Intent(it) => {
                let more = self.intent(it);
                self.sheets.add("signatures", &row(more))
            }
            Event::Released(it) => {
                let more = json!({
                    "signature": it.intent, "attempt": it.attempt, "tries": it.tries,
                    "device_request": it.device_request, "signature_hash": hex::encode(it.signature_hash), "answer_hash": hex::encode(it.answer_hash),
                });
                self.sheets.add("releases", &row(more))
            }
            Event::Refused(it) | Event::Abandoned(it) => {
                let more =
                    json!({ "kind": leaf.kind(), "signature": it.intent, "reason": it.reason });
                self.sheets.add("refusals", &row(more))
            }
            Event::Denied(it) => {
                let more = json!({
                    "kind": "denied", "caller": it.caller, "caller_name": self.name(it.caller), "action": it.action,
                    "resource": it.resource,
                });
                self.sheets.add("refusals", &row(more))
            }
            Event::Denials(it) => {
                let more = json!({
                    "kind": "denials", "caller": it.caller, "caller_name": self.name(it.caller), "count": it.refusals,
                });
                self.sheets.add("refusals", &row(more))
            }
            Event::DryRun(it) => {
                let more = json!({
                    "caller": it.caller, "caller_name": self.name(it.caller), "action": it.action, "resource": it.resource,
                    "digest": hex::encode(it.digest),
                });
                self.sheets.add("dry-runs", &row(more))
            }
            Event::DryRuns(it) => {
                let more = json!({ "caller": it.caller, "caller_name": self.name(it.caller), "count": it.runs });
                self.sheets.add("dry-runs", &row(more))
            }
            Event::Token(it) => {
                let more = json!({
                    "fetch": it.fetch, "client": it.client, "client_name": self.name(it.client), "key": it.key,
                    "caller": it.caller, "caller_name": self.name(it.caller), "credential": it.credential,
                    "scopes": it.scopes, "expires_at_ms": it.expires_at_ms,
                });
                self.sheets.add("tokens", &row(more))
            }
            Event::Admin(it) => {
                let more = json!({
                    "actor": it.actor, "actor_name": self.name(it.actor), "action": it.action, "subject": it.subject,
                    "subject_name": self.name(it.subject), "approval": it.approval, "details": it.details,
                });
                let row = row(more);
                let also = match kind_of(&it.action) {
                    Some(RecordKind::Approval) => Some("approvals"),
                    Some(RecordKind::Rotation) => Some("rotations"),
                    Some(RecordKind::Credential) => Some("nonces-and-credentials"),
                    Some(RecordKind::LookUp) => Some("look-ups"),
                    _ => None,
                };
                if let Some(also) = also {
                    self.sheets.add(also, &row)?;
                }
                self.sheets.add("changes", &row)
            }
        }
    }

    fn intent(&self, it: &Intent) -> Value {
        json!({
            "signature": it.intent, "operation": it.operation, "caller": it.caller, "caller_name": self.name(it.caller),
            "credential": it.credential, "subject": it.subject, "subject_name": self.name(it.subject), "key": it.key,
            "key_name": self.name(it.key), "key_epoch": it.key_epoch, "policy": hex::encode(it.policy),
            "digest": hex::encode(it.digest), "market": market_of(&it.record), "idempotency_key": it.idempotency_key,
        })
    }
}

fn body(statement: &Statement) -> Value {
    let body = statement.body.as_deref();
    body.and_then(|it| serde_json::from_str(it).ok())
        .unwrap_or_default()
}

fn id_in(body: &Value, member: &str) -> Uuid {
    let id = body[member].as_str().and_then(|it| it.parse().ok());
    id.unwrap_or_default()
}

/// Both objects in one; what the second says stands.
fn merged(mut one: Value, other: Value) -> Value {
    if !one.is_object() {
        one = json!({});
    }
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}
