//! Whether the leaves tell one story: each intent ends once, and nothing that is unique comes twice.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Report;
use crate::audit::leaf::{Event, Intent, Leaf};

/// What was heard so far.
#[derive(Default)]
pub(super) struct Story {
    /// Intents, and whether each has its end.
    intents: HashMap<Uuid, bool>,
    /// Ends that came before their intent: another run's leaves may have got their place first.
    early: HashMap<Uuid, u64>,
    jtis: HashSet<Uuid>,
    /// Whether there are leaves before those that are heard.
    goes_on: bool,
}

impl Story {
    /// One that goes on after leaves that are not here: what ends in it may have begun there.
    pub(super) fn going_on() -> Self {
        Self {
            goes_on: true,
            ..Self::default()
        }
    }

    pub(super) fn hear(&mut self, index: u64, leaf: &Leaf, report: &mut Report) {
        match &leaf.event {
            Event::Intent(intent) => self.begins(index, intent, report),
            Event::Released(release) => {
                report.released += 1;
                self.ends(index, release.intent, report);
            }
            Event::Refused(end) | Event::Abandoned(end) => {
                report.ended += 1;
                self.ends(index, end.intent, report);
            }
            Event::Denied(_)
            | Event::Denials(_)
            | Event::DryRun(_)
            | Event::DryRuns(_)
            | Event::Admin(_)
            | Event::Token(_) => {}
        }
    }

    fn begins(&mut self, index: u64, intent: &Intent, report: &mut Report) {
        let id = intent.intent;
        let has_ended = self.early.remove(&id).is_some();
        if self.intents.insert(id, has_ended).is_some() {
            report.fault(
                Some(index),
                "intent-twice",
                format!("intent {id} was there already"),
            );
        }
        let Ok(record) = serde_json::from_str::<serde_json::Value>(&intent.record) else {
            report.fault(
                Some(index),
                "record",
                format!("the record of intent {id} is not JSON"),
            );
            return;
        };
        let jti = record.pointer("/claims/jti").and_then(|it| it.as_str());
        if let Some(jti) = jti.and_then(|it| it.parse().ok())
            && !self.jtis.insert(jti)
        {
            report.fault(
                Some(index),
                "jti-twice",
                format!("jti {jti} was issued already"),
            );
        }
    }

    fn ends(&mut self, index: u64, id: Uuid, report: &mut Report) {
        let twice = match self.intents.get_mut(&id) {
            Some(has_ended) => std::mem::replace(has_ended, true),
            None => self.early.insert(id, index).is_some(),
        };
        if twice {
            report.fault(
                Some(index),
                "end-twice",
                format!("intent {id} has ended already"),
            );
        }
    }

    pub(super) fn end(self, report: &mut Report) {
        let open = self
            .intents
            .values()
            .filter(|has_ended| !**has_ended)
            .count();
        report.open = u64::try_from(open).unwrap_or(u64::MAX);
        if self.goes_on {
            report.begun_before = u64::try_from(self.early.len()).unwrap_or(u64::MAX);
            return;
        }
        let mut early: Vec<_> = self.early.into_iter().collect();
        early.sort_by_key(|(_, index)| *index);
        for (id, index) in early {
            report.fault(
                Some(index),
                "end-without-intent",
                format!("there is no intent {id}"),
            );
        }
    }
}
