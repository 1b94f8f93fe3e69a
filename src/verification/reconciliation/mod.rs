//! What the log says was signed, held against what devices say of themselves.
//!
//! It promises to name each signature that a device says it has made and that the log does not know, and each that
//! the log says was released and that the device has not seen. It **trusts** what it is given of devices to be whole
//! between the two moments; what a device does not write down, nobody finds out here, and the report says of which
//! keys that is so.
//!
//! # Why
//! A leaf has the name that KMS gave the request, so most are matched without a doubt. A call whose answer was lost has
//! none, and neither has an intent that ended before its device was asked: those are matched by their key and their
//! time, and told apart, for somebody who signs behind the service's back just then hides among them.

mod counts;
mod recorded;
mod trail;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::BufRead;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Report, Unreadable};
use crate::clock;
use crate::tlog::{Note, Policy};
pub use counts::{Count, read as read_counts};
use recorded::{DeviceCall, Key, Recorded};
use trail::Event;
pub use trail::{BadTrail, Trail};

/// So far apart two clocks may be, and CloudTrail's seconds are whole.
const SLACK_MS: i64 = 5_000;

/// How long an intent that has no end may still have been in its device's hands.
const OPEN_MS: i64 = 60_000;

/// What devices say.
#[derive(Debug, Default)]
pub struct Devices {
    /// AWS KMS, by CloudTrail.
    pub trail: Option<Trail>,
    /// Others, by what they count.
    pub counts: Vec<Count>,
    /// From when on the trail is whole; its first event unless it is given.
    pub from: Option<OffsetDateTime>,
    /// Until when trail and log are whole; the last event or the newest leaf, whichever is earlier, unless it is
    /// given.
    pub until: Option<OffsetDateTime>,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Reconciliation {
    /// Whether the log proves itself, and nothing contradicts it.
    pub reconciled: bool,
    /// Of the leaves themselves.
    pub log: Report,
    /// From when on it was compared with the trail.
    pub from: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// Signatures that the trail tells of, with keys of this log.
    pub device_signatures: u64,
    /// How many of these signatures a leaf names by their request.
    pub matched: u64,
    /// Signatures of the trail that are outside the two moments, and were not judged.
    pub outside: u64,
    /// What is wrong.
    pub faults: Vec<Finding>,
    /// What was matched by key and time only, and what its device never saw.
    pub notes: Vec<Finding>,
    /// Keys that have signed, and of which no device said anything here.
    pub unobserved: Vec<Unobserved>,
    /// Keys of the trail that are not of this log, each with how often it has signed.
    pub other_keys: BTreeMap<String, u64>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// A stable word for its kind.
    pub kind: &'static str,
    /// The leaf of the intent, where there is one.
    pub index: Option<u64>,
    /// The intent.
    pub intent: Option<Uuid>,
    /// The key's name here, or the device's.
    pub key: String,
    /// When: the device's word, or else the intent's.
    pub at: Option<String>,
    /// The device's name for the request.
    pub request: Option<String>,
    /// CloudTrail's name for the event.
    pub event: Option<String>,
    /// What.
    pub detail: String,
}

/// A key of whose signatures there is the log's word only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unobserved {
    /// Its name.
    pub key: String,
    /// Its device.
    pub backend: String,
    /// How often it has signed, by the log.
    pub signatures: u64,
}

/// Verifies an export as [`verify`](super::verify) does, and holds it against what devices say.
pub fn reconcile(
    export: impl BufRead,
    policy: &Policy,
    kept: &[Note],
    devices: &Devices,
) -> Result<Reconciliation, Unreadable> {
    let mut recorded = Recorded::default();
    let log = super::read(export, policy, kept, |index, leaf| {
        recorded.hear(index, leaf);
    })?;
    let asked = recorded.asked();
    let mut found = Reconciliation {
        log,
        ..Reconciliation::default()
    };
    let mut observed = HashSet::new();
    if let Some(trail) = &devices.trail {
        let all = Matching::new(trail, devices, &recorded, &mut found);
        observed.extend(
            recorded
                .keys
                .iter()
                .filter(|it| is_kms(it.1))
                .map(|it| *it.0),
        );
        all.run(&asked, &mut found);
    }
    for count in &devices.counts {
        observed.extend(weigh(count, &recorded, &asked, &mut found));
    }
    found.unobserved = unobserved(&observed, &recorded, &asked);
    found.faults.sort();
    found.notes.sort();
    found.reconciled = found.log.verified && found.faults.is_empty();
    Ok(found)
}

fn is_kms(key: &Key) -> bool {
    let device_ref = key.device_ref.as_deref().unwrap_or_default();
    device_ref.starts_with("arn:") && device_ref.contains(":kms:")
}

/// The events of a trail, and the leaves that may explain them.
struct Matching<'a> {
    keys: &'a HashMap<Uuid, Key>,
    from_ms: i64,
    until_ms: i64,
    /// Of each key of this log, what no leaf explains yet, in the order of time.
    left: HashMap<Uuid, Vec<&'a Event>>,
    by_request: HashMap<&'a str, (&'a Event, Uuid)>,
    /// Events that a leaf names.
    claimed: HashSet<&'a str>,
}

impl<'a> Matching<'a> {
    fn new(
        trail: &'a Trail,
        devices: &Devices,
        recorded: &'a Recorded,
        found: &mut Reconciliation,
    ) -> Self {
        let (first, last) = trail.span.unwrap_or((i64::MAX, i64::MIN));
        let from_ms = devices.from.map_or(first, clock::unix_ms);
        let until_ms = devices
            .until
            .map_or(last.min(recorded.newest_ms), clock::unix_ms);
        (found.from, found.until) = (said(from_ms), said(until_ms));
        let refs: HashMap<&str, Uuid> = recorded
            .keys
            .iter()
            .filter_map(|(id, key)| Some((key.device_ref.as_deref()?, *id)))
            .collect();
        // A key may be called by the end of its ARN.
        let of = |called: &str| {
            let ending = format!(":key/{called}");
            let mut all = refs.iter();
            let by_end = all.find(|it| !called.is_empty() && it.0.ends_with(&ending));
            refs.get(called).or(by_end.map(|it| it.1)).copied()
        };
        let mut matching = Self {
            keys: &recorded.keys,
            from_ms,
            until_ms,
            left: HashMap::new(),
            by_request: HashMap::new(),
            claimed: HashSet::new(),
        };
        for event in trail.signatures.values() {
            let Some(key) = of(&event.key) else {
                *found.other_keys.entry(event.key.clone()).or_default() += 1;
                continue;
            };
            found.device_signatures += 1;
            matching.left.entry(key).or_default().push(event);
            if let Some(request) = &event.request {
                matching.by_request.insert(request, (event, key));
            }
        }
        for events in matching.left.values_mut() {
            events.sort_by(|a, b| (a.at_ms, &a.id).cmp(&(b.at_ms, &b.id)));
        }
        matching
    }

    fn run(mut self, asked: &[DeviceCall], found: &mut Reconciliation) {
        let of_kms = |it: &&DeviceCall| self.keys.get(&it.key).is_some_and(is_kms);
        let asked: Vec<&DeviceCall> = asked.iter().filter(of_kms).collect();
        let mut named = HashMap::new();
        for it in &asked {
            self.by_name(it, &mut named, found);
        }
        for events in self.left.values_mut() {
            events.retain(|event| !self.claimed.contains(event.id.as_str()));
        }
        for it in &asked {
            self.by_time(it, found);
        }
        for (key, events) in &self.left {
            for event in events {
                if (self.from_ms..=self.until_ms).contains(&event.at_ms) {
                    let detail = format!("signed for {}, and no leaf tells of it", event.by);
                    let at = Finding::of(self.name(*key), event);
                    found.faults.push(at.saying("unrecorded", detail));
                } else {
                    found.outside += 1;
                }
            }
        }
    }

    /// What a leaf names by its request.
    fn by_name<'n>(
        &mut self,
        it: &'n DeviceCall,
        named: &mut HashMap<&'n str, Uuid>,
        found: &mut Reconciliation,
    ) {
        let Some(request) = &it.request else { return };
        let about = Finding::about(self.name(it.key), it);
        if let Some(other) = named.insert(request, it.intent) {
            let detail = format!("the request is that of intent {other}, too");
            found.faults.push(about.saying("request-twice", detail));
            return;
        }
        match self.by_request.get(request.as_str()).copied() {
            Some((event, key)) => {
                if key == it.key {
                    found.matched += 1;
                } else {
                    let detail = format!("the device says it signed with {}", self.name(key));
                    found.faults.push(about.saying("other-key", detail));
                }
                self.claimed.insert(&event.id);
            }
            None if self.is_inside(it) => {
                let detail = "the device is said to have answered, and its log has no such request";
                found
                    .faults
                    .push(about.saying("unseen-release", detail.into()));
            }
            None => {}
        }
    }

    /// What can only be matched by key and time: calls whose answer was lost, and leaves without a name.
    fn by_time(&mut self, it: &DeviceCall, found: &mut Reconciliation) {
        let spare = it.tries - u32::from(it.request.is_some() && it.tries > 0);
        let from = it.from_ms - SLACK_MS;
        let until = it.until_ms.unwrap_or(it.from_ms + OPEN_MS) + SLACK_MS;
        let name = self.name(it.key);
        let mut seen = 0;
        if let Some(left) = self.left.get_mut(&it.key) {
            left.retain(|event| {
                let fits = seen < spare && (from..=until).contains(&event.at_ms);
                if fits {
                    seen += 1;
                    let detail = format!("signed for {}, matched by key and time only", event.by);
                    let mut note = Finding::of(name.clone(), event).saying("presumed", detail);
                    (note.index, note.intent) = (Some(it.index), Some(it.intent));
                    found.notes.push(note);
                }
                !fits
            });
        }
        if seen > 0 || it.request.is_some() || !self.is_inside(it) {
            return;
        }
        let about = Finding::about(name, it);
        if it.released {
            let detail = "a signature was released, and the device has made none then";
            found
                .faults
                .push(about.saying("unseen-release", detail.into()));
        } else {
            let detail = "no signature came of it, and its device never saw it";
            found
                .notes
                .push(about.saying("unseen-intent", detail.into()));
        }
    }

    /// Whether all of it is between the two moments.
    fn is_inside(&self, it: &DeviceCall) -> bool {
        let until = it.until_ms.unwrap_or(it.from_ms + OPEN_MS);
        it.from_ms - SLACK_MS >= self.from_ms && until <= self.until_ms
    }

    fn name(&self, key: Uuid) -> String {
        name_of(key, self.keys)
    }
}

fn name_of(key: Uuid, keys: &HashMap<Uuid, Key>) -> String {
    match keys.get(&key) {
        Some(known) if !known.name.is_empty() => known.name.clone(),
        _ => key.to_string(),
    }
}

/// Holds a count against the leaves of its key; says of which key it is.
fn weigh(
    count: &Count,
    recorded: &Recorded,
    asked: &[DeviceCall],
    found: &mut Reconciliation,
) -> Option<Uuid> {
    let mut finding = Finding {
        at: said(count.from_ms),
        ..Finding::on(count.key.clone())
    };
    let by_id: Option<Uuid> = count.key.parse().ok();
    let mut keys = recorded.keys.iter();
    let known = keys.find(|(id, key)| Some(**id) == by_id || key.name == count.key);
    let Some((id, _)) = known else {
        let detail = "a device counts for a key that the log does not know".to_owned();
        found.faults.push(finding.saying("unknown-key", detail));
        return None;
    };
    let (mut least, mut most) = (0, 0);
    for it in asked.iter().filter(|it| it.key == *id) {
        let until = it.until_ms.unwrap_or(it.from_ms + OPEN_MS);
        if until < count.from_ms - SLACK_MS || it.from_ms > count.until_ms + SLACK_MS {
            continue;
        }
        most += u64::from(it.tries);
        let is_inside = it.from_ms >= count.from_ms && until <= count.until_ms;
        least += u64::from(it.released && is_inside);
    }
    let signatures = count.signatures;
    finding.detail = match signatures {
        more if more > most => {
            finding.kind = "more-than-recorded";
            format!(
                "the device made {more} signatures, and leaves account for {most} at most: {} were made behind the service's back",
                more - most
            )
        }
        fewer if fewer < least => {
            finding.kind = "fewer-than-released";
            format!(
                "the device made {fewer} signatures, and {least} were released: it has not seen all, or its count was put back"
            )
        }
        _ => return Some(*id),
    };
    found.faults.push(finding);
    Some(*id)
}

fn unobserved(
    observed: &HashSet<Uuid>,
    recorded: &Recorded,
    asked: &[DeviceCall],
) -> Vec<Unobserved> {
    let mut signed: HashMap<Uuid, u64> = HashMap::new();
    for it in asked
        .iter()
        .filter(|it| it.released && !observed.contains(&it.key))
    {
        *signed.entry(it.key).or_default() += 1;
    }
    let mut all: Vec<_> = signed
        .into_iter()
        .map(|(id, signatures)| Unobserved {
            key: name_of(id, &recorded.keys),
            backend: recorded.keys.get(&id).cloned().unwrap_or_default().backend,
            signatures,
        })
        .collect();
    all.sort();
    all
}

impl Finding {
    fn on(key: String) -> Self {
        Self {
            kind: "",
            index: None,
            intent: None,
            key,
            at: None,
            request: None,
            event: None,
            detail: String::new(),
        }
    }

    fn of(key: String, event: &Event) -> Self {
        Self {
            at: said(event.at_ms),
            request: event.request.clone(),
            event: Some(event.id.clone()),
            ..Self::on(key)
        }
    }

    fn about(key: String, it: &DeviceCall) -> Self {
        Self {
            index: Some(it.index),
            intent: Some(it.intent),
            at: said(it.from_ms),
            request: it.request.clone(),
            ..Self::on(key)
        }
    }

    fn saying(self, kind: &'static str, detail: String) -> Self {
        Self {
            kind,
            detail,
            ..self
        }
    }
}

/// A moment for people.
fn said(ms: i64) -> Option<String> {
    clock::of_unix_ms(ms).map(clock::timestamp)
}
