//! What is next in a rotation and what is missing: the one place that knows.

use time::OffsetDateTime;

use super::{Known, Next, WaitsFor};
use crate::rotations::client::{asked_at, left_behind, removal};
use crate::rotations::probe::{Outcome, Role, latest};
use crate::rotations::{Kind, State, Step};

impl Known<'_> {
    fn next(&self, step: Step, what: &'static str) -> Next {
        let more = match step {
            Step::Confirm => " --fingerprint … --reference …",
            Step::Submit | Step::AskRemoval => " --channel … --reference …",
            Step::Switch | Step::CutOver | Step::Close | Step::Abandon | Step::RollBack => {
                " --reason …"
            }
            Step::Profile => " --name … --reason …",
            _ => "",
        };
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
    #[expect(
        clippy::too_many_lines,
        reason = "a table: a state, what is next, what is missing"
    )]
    pub(super) fn ahead(&self, now: OffsetDateTime) -> (WaitsFor, Vec<Next>, Vec<String>) {
        use WaitsFor::{Counterparty, Nobody, Operator};
        let give_up = || self.next(Step::Abandon, "give up; the old key stays");
        let go_back = || self.next(Step::RollBack, "let the old key sign again");
        match self.rotation.state {
            State::Requested => (
                Operator,
                vec![
                    self.next(Step::Generate, "have the device make the new key"),
                    give_up(),
                ],
                vec![],
            ),
            State::Generated if self.rotation.kind == Kind::Wallet => {
                let what = "put the new wallet on record; its key is activated";
                (
                    Operator,
                    vec![self.next(Step::Profile, what), give_up()],
                    vec![],
                )
            }
            State::Generated => (
                Operator,
                vec![
                    self.next(Step::Submit, "send the public half, and record that"),
                    give_up(),
                ],
                vec![],
            ),
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
                let next = vec![
                    self.next(Step::Confirm, "record what they confirm"),
                    self.probe(Role::New, "see whether they take the new key"),
                    give_up(),
                ];
                (Counterparty, next, missing)
            }
            State::Registered => (
                Operator,
                vec![
                    self.next(Step::Switch, "let the new key sign"),
                    self.probe(Role::New, "see once more whether they take it"),
                    give_up(),
                ],
                vec![],
            ),
            State::Switched => (
                Operator,
                vec![
                    self.next(
                        Step::AskRemoval,
                        "ask them to remove the old key, naming both",
                    ),
                    self.probe(Role::Old, "see whether there is a way back"),
                    go_back(),
                ],
                vec![],
            ),
            State::RemovalAsked => {
                let (waits, mut next, missing) = self.proof(now);
                next.push(go_back());
                (waits, next, missing)
            }
            State::RemovalProved => (
                Operator,
                vec![self.next(Step::Close, "deactivate the old key")],
                vec![],
            ),
            State::Abandoned | State::RolledBack if left_behind(self.rotation, self.steps) => {
                if asked_at(self.rotation, self.steps).is_some() {
                    self.proof(now)
                } else {
                    let what = "ask them to remove the new key, which may be registered";
                    let missing = vec!["the proof that the new key was removed".to_owned()];
                    (Operator, vec![self.next(Step::AskRemoval, what)], missing)
                }
            }
            State::Profiled => (
                Operator,
                vec![
                    self.next(Step::Credential, "have the CLOB make its API key"),
                    give_up(),
                ],
                vec![],
            ),
            State::Credentialed => {
                let what = "once it is funded, approved and tried with a small order: take new orders with the new wallet only";
                (
                    Operator,
                    vec![self.next(Step::CutOver, what), give_up()],
                    vec![],
                )
            }
            State::CutOver => {
                let what = "have the CLOB cancel what is open of the old wallet, and see that nothing is left";
                let back = self.next(Step::RollBack, "go back to the old wallet");
                (Operator, vec![self.next(Step::Drain, what), back], vec![])
            }
            State::Drained => {
                let what = "have the CLOB delete the old wallet's API key";
                (
                    Operator,
                    vec![self.next(Step::DeleteCredential, what)],
                    vec![],
                )
            }
            State::CredentialDeleted => {
                let what = "once allowances are revoked and what was left is moved: deactivate the old key, and say who looked";
                (Operator, vec![self.next(Step::Close, what)], vec![])
            }
            State::Closed | State::Abandoned | State::RolledBack => (Nobody, vec![], vec![]),
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
