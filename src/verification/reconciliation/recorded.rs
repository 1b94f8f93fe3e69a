//! What the leaves tell of devices: their keys, and what was asked of them.

use std::collections::HashMap;

use uuid::Uuid;

use crate::audit::leaf::{Event, Leaf};

/// Signed with a secret of a wallet's, and not with a device's key.
const BY_SECRETS: [&str; 2] = ["l2-headers", "builder-headers"];

/// Leaves that were heard.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) keys: HashMap<Uuid, Key>,
    intents: HashMap<Uuid, Intent>,
    ends: HashMap<Uuid, End>,
    /// When the newest leaf was written, in milliseconds since 1970.
    pub(super) newest_ms: i64,
}

/// A key.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) backend: String,
    /// What the device calls it, if it does.
    pub(super) device_ref: Option<String>,
}

struct Intent {
    index: u64,
    key: Uuid,
    at_ms: i64,
}

struct End {
    at_ms: i64,
    released: bool,
    tries: u32,
    request: Option<String>,
}

/// What a device was asked for, or was to be.
#[derive(Clone, Debug)]
pub(super) struct DeviceCall {
    pub(super) intent: Uuid,
    /// The leaf of the intent.
    pub(super) index: u64,
    pub(super) key: Uuid,
    /// From when on.
    pub(super) from_ms: i64,
    /// Until when; `None`: it has no end yet.
    pub(super) until_ms: Option<i64>,
    pub(super) released: bool,
    /// How often at most.
    pub(super) tries: u32,
    /// What the device called the request that it answered.
    pub(super) request: Option<String>,
}

impl Recorded {
    pub(super) fn hear(&mut self, index: u64, leaf: &Leaf) {
        self.newest_ms = self.newest_ms.max(leaf.at_ms);
        match &leaf.event {
            Event::Intent(it) if !BY_SECRETS.contains(&it.operation.as_str()) => {
                let intent = Intent {
                    index,
                    key: it.key,
                    at_ms: leaf.at_ms,
                };
                self.intents.insert(it.intent, intent);
            }
            Event::Released(it) => {
                let request = it.device_request.clone();
                self.end(it.intent, leaf.at_ms, true, it.tries, request);
            }
            Event::Refused(it) | Event::Abandoned(it) => {
                let request = it.device_request.clone();
                self.end(it.intent, leaf.at_ms, false, it.tries, request);
            }
            Event::Admin(it) if it.action.ends_with("-key") => {
                self.key(it.subject, &it.details); // `record-public-key` is one of them
            }
            _ => {}
        }
    }

    fn end(
        &mut self,
        intent: Uuid,
        at_ms: i64,
        released: bool,
        tries: Option<u32>,
        request: Option<String>,
    ) {
        let end = End {
            at_ms,
            released,
            tries: tries.unwrap_or(1),
            request,
        };
        self.ends.insert(intent, end);
    }

    /// What is told of a key: the last word counts.
    fn key(&mut self, id: Uuid, details: &str) {
        let details: serde_json::Value = serde_json::from_str(details).unwrap_or_default();
        let key = self.keys.entry(id).or_default();
        let said = |name: &str| details[name].as_str().map(str::to_owned);
        if let Some(name) = said("name") {
            key.name = name;
        }
        if let Some(backend) = said("backend") {
            key.backend = backend;
        }
        if let Some(device_ref) = said("device_ref") {
            key.device_ref = Some(device_ref);
        }
    }

    /// All that devices were asked for, in the order of the log.
    pub(super) fn asked(&mut self) -> Vec<DeviceCall> {
        let intents = std::mem::take(&mut self.intents);
        let mut asked: Vec<DeviceCall> = intents
            .into_iter()
            .map(|(id, intent)| {
                let end = self.ends.remove(&id);
                DeviceCall {
                    intent: id,
                    index: intent.index,
                    key: intent.key,
                    from_ms: intent.at_ms,
                    until_ms: end.as_ref().map(|it| it.at_ms),
                    released: end.as_ref().is_some_and(|it| it.released),
                    tries: end.as_ref().map_or(1, |it| it.tries),
                    request: end.and_then(|it| it.request),
                }
            })
            .collect();
        asked.sort_by_key(|it| it.index);
        asked
    }
}
