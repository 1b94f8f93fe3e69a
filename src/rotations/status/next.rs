//! What is next in a rotation, from the rule, and what is missing: the one place that knows.

use time::OffsetDateTime;

use super::{Known, Next, WaitsFor};
use crate::rotations::client::{asked_at, left_behind, removal};
use crate::rotations::probe::{Outcome, Role, latest};
use crate::rotations::{State, Step, rule};

impl Known<'_> {
    fn next(&self, step: Step, what: &'static str) -> Next {
        let more = step.arguments(self.rotation.kind);
        let command = format!("chancery rotations {step} {}{more}", self.rotation.id);
        Next {
            step,
            key: None,
            what,
            command,
        }
    }

    fn probe(&self, role: Role, what: &'static str) -> Next {
        let id = self.rotation.id;
        Next {
            step: Step::Probe,
            key: Some(role),
            what,
            command: format!("chancery rotations probe {id} {}", role.name()),
        }
    }

    /// Who has to move, how, and what is missing.
    pub(super) fn ahead(&self, now: OffsetDateTime) -> (WaitsFor, Vec<Next>, Vec<String>) {
        use WaitsFor::{Counterparty, Nobody, Operator};
        let rotation = self.rotation;
        let ways = rule::ways(rotation.kind, rotation.state);
        let told = ways.filter_map(|it| Some(self.next(it.step, it.what?)));
        let mut next: Vec<_> = told.collect();
        match rotation.state {
            State::Submitted => {
                let mut missing = Vec::new();
                if !self.took(Step::Confirm) {
                    missing
                        .push("the counterparty's confirmation, with the fingerprint".to_owned());
                }
                let shown = latest(self.probes, Role::New);
                if shown.is_none_or(|it| it.outcome != Some(Outcome::Succeeded)) {
                    missing.push("a probe of the new key that succeeds".to_owned());
                }
                let what = "see whether they take the new key";
                next.insert(1, self.probe(Role::New, what));
                (Counterparty, next, missing)
            }
            State::Registered => {
                let what = "see once more whether they take it";
                next.insert(1, self.probe(Role::New, what));
                (Operator, next, vec![])
            }
            State::Switched => {
                let what = "see whether there is a way back";
                next.insert(1, self.probe(Role::Old, what));
                (Operator, next, vec![])
            }
            State::RemovalAsked => {
                let (waits, mut first, missing) = self.proof(now);
                first.append(&mut next);
                (waits, first, missing)
            }
            State::Abandoned | State::RolledBack if left_behind(rotation, self.steps) => {
                if asked_at(rotation, self.steps).is_some() {
                    self.proof(now)
                } else {
                    let what = "ask them to remove the new key, which may be registered";
                    let missing = vec!["the proof that the new key was removed".to_owned()];
                    (Operator, vec![self.next(Step::AskRemoval, what)], missing)
                }
            }
            State::Closed | State::Abandoned | State::RolledBack => (Nobody, next, vec![]),
            _ => (Operator, next, vec![]),
        }
    }

    /// What is missing before a removal is proved.
    fn proof(&self, now: OffsetDateTime) -> (WaitsFor, Vec<Next>, Vec<String>) {
        let prove = self.next(Step::ProveRemoval, "record that the key is removed");
        match removal(self.rotation, self.steps, self.probes, now) {
            Ok(_) => (WaitsFor::Operator, vec![prove], vec![]),
            Err(missing) => {
                let probes = [
                    self.probe(Role::Old, "see whether they take the old key"),
                    self.probe(Role::New, "see whether they take the new key"),
                ];
                let mut next = Vec::from(probes);
                if self.rotation.goes() == Role::New {
                    next.reverse();
                }
                next.push(prove);
                (WaitsFor::Counterparty, next, vec![missing.to_string()])
            }
        }
    }
}
