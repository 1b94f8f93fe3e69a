//! Whether what the leaves tell was allowed: keys signed only in a state that signs, and went from state to state as
//! keys go; a nonce made one API key; what others had to approve, they signed for, and enough of them.
//!
//! All of it is weighed at the end: leaves of several replicas have their places within a second of one another, and
//! not in the order in which they were written.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Report;
use crate::approvals::{ApproverKey, Quorum, Signature};
use crate::audit::leaf::{Admin, Event, Intent, Leaf};
use crate::keys::KeyState;

/// What was heard so far.
#[derive(Default)]
pub(super) struct Legality {
    keys: HashMap<Uuid, Walk>,
    /// What each (chain, address, nonce) made.
    made: HashMap<(String, String, String), String>,
    /// Proposals, each with its hash and its document.
    proposed: HashMap<Uuid, (String, String)>,
    /// Where each was carried out, and on what.
    carried: BTreeMap<u64, (Uuid, Value)>,
    /// Where something was done under a proposal.
    claimed: BTreeMap<u64, Uuid>,
    /// Whether there are leaves before those that are heard.
    goes_on: bool,
}

/// The states of a key.
#[derive(Default)]
struct Walk {
    /// Each step, by the epoch that it led to: where it is told, from where, to where.
    steps: BTreeMap<i64, (u64, String, String)>,
    /// Where the first signature of each epoch is that only an active key makes.
    signed: BTreeMap<i64, u64>,
    /// Whether the log has the key's beginning.
    is_whole: bool,
}

impl Legality {
    pub(super) fn new(goes_on: bool) -> Self {
        Self {
            goes_on,
            ..Self::default()
        }
    }

    pub(super) fn hear(&mut self, index: u64, leaf: &Leaf, report: &mut Report) {
        match &leaf.event {
            Event::Intent(it) if is_ordinary(it) => {
                let key = self.keys.entry(it.key).or_default();
                key.signed.entry(it.key_epoch).or_insert(index);
            }
            Event::Admin(it) => self.change(index, it, report),
            _ => {}
        }
    }

    fn change(&mut self, index: u64, it: &Admin, report: &mut Report) {
        let details: Value = serde_json::from_str(&it.details).unwrap_or_default();
        let text = |name: &str| match &details[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(proposal) = proposal_of(&it.approval) {
            self.claimed.insert(index, proposal);
        }
        match it.action.as_str() {
            "create-key" | "adopt-key" | "import-key" => {
                self.keys.entry(it.subject).or_default().is_whole = true;
            }
            "step-key" => {
                let key = self.keys.entry(it.subject).or_default();
                let epoch = details["epoch"].as_i64().unwrap_or_default();
                let step = (index, text("from"), text("to"));
                if key.steps.insert(epoch, step).is_some() {
                    let detail = format!("key {} came to its epoch {epoch} twice", it.subject);
                    report.fault(Some(index), "key-step", detail);
                }
            }
            "record-credential" => {
                let nonce = (text("chainId"), text("address"), text("nonce"));
                let api_key = text("apiKey");
                let before = self.made.entry(nonce).or_insert_with(|| api_key.clone());
                if *before != api_key {
                    let detail = format!("nonce {} made another API key before", text("nonce"));
                    report.fault(Some(index), "nonce-twice", detail);
                }
            }
            "propose" => {
                let proposed = (text("hash"), text("document"));
                self.proposed.insert(it.subject, proposed);
            }
            "carry-out-proposal" => {
                self.carried.insert(index, (it.subject, details));
            }
            _ => {}
        }
    }

    pub(super) fn end(self, report: &mut Report) {
        let mut faults: Vec<(u64, &'static str, String)> = Vec::new();
        for (id, key) in &self.keys {
            key.weigh(*id, &mut faults);
        }
        let carried: HashSet<Uuid> = self.carried.values().map(|it| it.0).collect();
        for (index, (id, details)) in &self.carried {
            let proposed = self.proposed.get(id);
            if let Err(why) = approved(proposed, details, self.goes_on) {
                faults.push((*index, "approval", format!("proposal {id}: {why}")));
            }
        }
        for (index, id) in &self.claimed {
            if !carried.contains(id) && !self.goes_on {
                let why = format!("it was done under proposal {id}, which nobody carried out");
                faults.push((*index, "approval", why));
            }
        }
        faults.sort();
        for (index, kind, detail) in faults {
            report.fault(Some(index), kind, detail);
        }
    }
}

impl Walk {
    fn weigh(&self, id: Uuid, faults: &mut Vec<(u64, &'static str, String)>) {
        let mut before: Option<(i64, &str)> = self.is_whole.then_some((0, "pre-activation"));
        for (epoch, (index, from, to)) in &self.steps {
            let states = (KeyState::from_name(from), KeyState::from_name(to));
            let is_edge = matches!(states, (Some(from), Some(to)) if from.step(to).is_ok());
            let follows = before.is_none_or(|(last, state)| *epoch == last + 1 && state == from);
            if !is_edge || !follows {
                let detail =
                    format!("key {id} cannot go from {from} to {to} and epoch {epoch} here");
                faults.push((*index, "key-step", detail));
            }
            before = Some((*epoch, to));
        }
        for (epoch, index) in &self.signed {
            let state = match self.steps.get(epoch) {
                Some((_, _, to)) => Some(to.as_str()),
                None if self.is_whole && *epoch == 0 => Some("pre-activation"),
                None if self.is_whole => Some("in an epoch that it never had"),
                None => None, // from before the first leaf that is here
            };
            if let Some(state) = state.filter(|it| *it != "active") {
                let detail = format!("key {id} signs, and is {state}");
                faults.push((*index, "key-state", detail));
            }
        }
    }
}

/// Whether only an active key signs this: an order, and an assertion that a caller asked for.
fn is_ordinary(intent: &Intent) -> bool {
    let is_errand = || {
        let record: Value = serde_json::from_str(&intent.record).unwrap_or_default();
        record.get("errand").is_some_and(|it| !it.is_null())
    };
    intent.operation == "order" || intent.operation == "assertion" && !is_errand()
}

/// The proposal that a leaf says it stands on.
fn proposal_of(approval: &str) -> Option<Uuid> {
    let id = approval.strip_prefix("proposal ")?;
    id.split([',', ' ']).next()?.parse().ok()
}

/// That enough people signed for a proposal, each for its hash and none of them who asked.
fn approved(
    proposed: Option<&(String, String)>,
    details: &Value,
    goes_on: bool,
) -> Result<(), String> {
    let hash = details["hash"].as_str().unwrap_or_default();
    let Some((proposed_hash, text)) = proposed else {
        let unknown = || "nobody proposed it".to_owned();
        return goes_on.then_some(()).ok_or_else(unknown);
    };
    let digest: [u8; 32] = Sha256::digest(text).into();
    if proposed_hash != hash || hex::encode(digest) != hash {
        return Err("it is not what was proposed".to_owned());
    }
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let mut people = HashSet::from([document["requester"]["person"].to_string()]);
    let mut counted = Vec::new();
    for given in details["approvals"].as_array().into_iter().flatten() {
        let name = given["name"].as_str().unwrap_or("somebody");
        if !people.insert(given["person"].to_string()) {
            return Err(format!("{name} asked for it, or approved twice"));
        }
        if !is_signed(given, &digest) {
            return Err(format!("the signature of {name} is not one of it"));
        }
        let roles = given["roles"].as_array().into_iter().flatten();
        counted.push(
            roles
                .filter_map(|it| it.as_str().map(str::to_owned))
                .collect(),
        );
    }
    let quorum: Option<Quorum> = serde_json::from_value(document["quorum"].clone()).ok();
    let quorum = quorum.ok_or("it says of no quorum")?;
    quorum.is_met_by(&counted).map_err(|it| it.to_string())
}

fn is_signed(given: &Value, hash: &[u8; 32]) -> bool {
    let signature = serde_json::from_value(given["signature"].clone()).ok();
    let key = given["public_key"]
        .as_str()
        .and_then(|it| hex::decode(it).ok());
    let Some((signature, key)) = signature.zip(key) else {
        return false;
    };
    let (key, party) = match &signature {
        Signature::Ssh(_) => (ApproverKey::from_record("ssh", key, None), None),
        Signature::Passkey(it) => {
            let key = ApproverKey::from_record("passkey", key, it.credential().ok());
            (key, it.party())
        }
    };
    key.is_some_and(|key| key.verify(&signature, hash, party.as_ref()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_names_the_proposal_that_it_stands_on() {
        let id = Uuid::from_u128(7);
        assert_eq!(
            proposal_of(&format!("proposal {id}, approved by ann")),
            Some(id)
        );
        for other in ["by right", "none (single operator)", "proposal x", ""] {
            assert_eq!(proposal_of(other), None, "{other}");
        }
    }
}
